//! What is laid together of differentials, beside the snapshots that their publishers shipped.

use super::shared;
use hearthgate::definitions::profile::{Profile, ProfileNode};
use hearthgate::definitions::{Definitions, trim};
use hearthgate::fhir::{Node, json};
use std::collections::{BTreeMap, BTreeSet};

/// Parts of a profile's URL and of the difference. R4's publisher shut a choice to one type where the differential neither states the type nor asks
/// for a value; later ones leave it open, as is done here. R4's `elementdefinition-de` and US Core's
/// Patient copy what their extensions' own definitions ask, by which extensions are judged.
const EXPLAINED: [(&str, &str); 9] = [
    ("/StructureDefinition/bodyheight ", " .value"),
    ("/StructureDefinition/bodytemp ", " .value"),
    ("/StructureDefinition/bodyweight ", " .value"),
    ("/StructureDefinition/headcircum ", " .value"),
    ("/StructureDefinition/heartrate ", " .value"),
    ("/StructureDefinition/oxygensat ", " .value"),
    ("/StructureDefinition/resprate ", " .value"),
    ("/StructureDefinition/elementdefinition-de ", " .extension:"),
    ("/StructureDefinition/us-core-patient ", " .extension:race rules: us-core-23"),
];

/// What a profile asks of an element, in words that can be compared.
type Facts = BTreeMap<&'static str, String>;

/// Everything a profile asks, by the path of the element with its slices: `component:systolic.value[x]`.
fn asked(profile: &Profile) -> BTreeMap<String, Facts> {
    let mut all = BTreeMap::new();
    gather(profile, profile.root(), String::new(), &mut all);
    all
}

fn gather(profile: &Profile, node: &ProfileNode, path: String, all: &mut BTreeMap<String, Facts>) {
    for &child in &node.children {
        let child = profile.node(child);
        gather(profile, child, format!("{path}.{}", child.name), all);
    }
    let only = |slice: &ProfileNode| node.path.ends_with("[x]") && node.slices.len() == 1 && slice.element.types == node.element.types;
    for &slice in &node.slices {
        let slice = profile.node(slice);
        if only(slice) {
            // The only type a choice may have: what is asked of its slice is asked of it.
            for &child in &slice.children {
                let child = profile.node(child);
                gather(profile, child, format!("{path}.{}", child.name), all);
            }
            all.entry(path.clone()).or_default().extend(facts(slice));
            continue;
        }
        gather(profile, slice, format!("{path}:{}", slice.slice_name.as_deref().unwrap()), all);
    }
    all.entry(path).or_default().extend(facts(node));
}

fn facts(node: &ProfileNode) -> Facts {
    let element = &node.element;
    let mut facts = Facts::new();
    let mut state = |name: &'static str, value: String| {
        if !value.is_empty() {
            facts.insert(name, value);
        }
    };
    state("min", if element.min == 0 { String::new() } else { element.min.to_string() });
    // A choice is there once at most, and so is each slice of it.
    let has_no_max = element.max == u32::MAX || node.path.ends_with("[x]") && element.max == 1;
    state("max", if has_no_max { String::new() } else { element.max.to_string() });
    let mut types: Vec<String> = element
        .types
        .iter()
        .map(|one| format!("{} {:?} {:?} {:?}", one.code, one.profiles, one.target_profiles, one.aggregation))
        .collect();
    types.sort();
    state("types", types.join(", "));
    state("binding", element.binding.as_ref().map(|one| format!("{:?} {}", one.strength, one.value_set)).unwrap_or_default());
    for (name, value) in [("fixed", &node.fixed), ("pattern", &node.pattern), ("minValue", &node.min_value), ("maxValue", &node.max_value)]
    {
        state(name, value.as_ref().map(json::write).unwrap_or_default());
    }
    state("maxLength", element.max_length.map(|length| length.to_string()).unwrap_or_default());
    // Every quantity that must be simple is judged by the profile SimpleQuantity, which has this rule.
    let keys: BTreeSet<&str> = node.invariants.iter().map(|one| one.key.as_str()).filter(|key| *key != "sqty-1").collect();
    state("rules", keys.into_iter().collect::<Vec<_>>().join(" "));
    // Slices of a choice are told apart by their type, stated or not.
    if !node.path.ends_with("[x]") && !node.slices.is_empty() {
        let by: Vec<String> = node.discriminators.iter().map(|one| format!("{:?} {}", one.kind, one.path)).collect();
        state("slicing", by.join(", "));
        let rules = element.slicing.as_ref().map(|one| format!("{} {}", one.rules, one.ordered));
        state("rules of slicing", rules.filter(|rules| rules != "open false").unwrap_or_default());
    }
    facts
}

/// The ways to an element that leave out one or more slices: what they ask is asked of it too.
fn wider(path: &str) -> Vec<String> {
    let mut ways = vec![String::new()];
    for step in path.split('.').skip(1) {
        let mut slices = step.split(':');
        let name = slices.next().unwrap_or_default();
        let full = step;
        let mut next = Vec::new();
        for way in &ways {
            next.push(format!("{way}.{full}"));
            if full != name {
                next.push(format!("{way}.{name}"));
            }
        }
        next.truncate(64);
        ways = next;
    }
    ways.retain(|way| way != path);
    ways
}

/// A fact is met where it stands itself, or where the element without its slice asks the same.
fn is_met(all: &BTreeMap<String, Facts>, path: &str, name: &str, value: &str) -> bool {
    let has = |path: &str| {
        all.get(path).and_then(|facts| facts.get(name)).is_some_and(|found| {
            name != "rules" && found == value || name == "rules" && value.split(' ').all(|key| found.split(' ').any(|one| one == key))
        })
    };
    has(path) || wider(path).iter().any(|way| has(way))
}

fn differences(generated: &Profile, shipped: &Profile) -> Vec<String> {
    let (generated, shipped) = (asked(generated), asked(shipped));
    let mut found = Vec::new();
    for (one, other, word) in [(&shipped, &generated, "missing"), (&generated, &shipped, "extra")] {
        for (path, facts) in one {
            for (name, value) in facts {
                if !is_met(other, path, name, value) {
                    let instead = other.get(path).and_then(|facts| facts.get(name)).cloned().unwrap_or_default();
                    found.push(format!("{word} {path} {name}: {value} / {instead}"));
                }
            }
        }
    }
    found
}

/// What publishers' tools wrote into snapshots, and neither the differential nor its base asks.
fn is_explained(difference: &str) -> bool {
    EXPLAINED.iter().any(|(profile, part)| difference.contains(profile) && difference.contains(part))
}

fn without_snapshot(resource: &Node) -> Option<Node> {
    let is_profile = resource.resource_type() == Some("StructureDefinition") && resource.text("derivation") == Some("constraint");
    let has_both = ["snapshot", "differential"].iter().all(|view| resource.get(view).is_some_and(|one| !one.items("element").is_empty()));
    let mut bare = (is_profile && has_both).then(|| resource.clone())?;
    bare.as_object_mut()?.remove("snapshot");
    Some(bare)
}

#[test]
fn differentials_ask_what_the_shipped_snapshots_ask() {
    let packages = [
        "packages/hl7.fhir.r4.core-4.0.1.tgz",
        "packages/hl7.fhir.us.core-6.1.0.tgz",
        "packages/hl7.fhir.us.core-7.0.0.tgz",
        "suites/validator/files/swiss.mednet.fhir#0.5.0.tgz",
        "suites/validator/files/mimic/mimic-0.1.2.tgz",
    ];
    let mut unexplained = Vec::new();
    for package in packages {
        let Some(path) = shared(package) else { return };
        let resources = trim::read_resources(&path).unwrap();
        let bare: Vec<Node> = resources.iter().filter_map(without_snapshot).collect();
        let shipped = Definitions::with(&resources);
        let generated = Definitions::with(&bare);
        let (mut same, mut without_base, mut differ) = (0, 0, Vec::new());
        for url in bare.iter().filter_map(|one| one.text("url")) {
            let (Some(generated), Some(shipped)) = (generated.profile(url), shipped.profile(url)) else { continue };
            if generated.incomplete.is_some() {
                without_base += 1;
                continue;
            }
            let found = differences(generated, shipped);
            same += usize::from(found.is_empty());
            differ.extend(found.into_iter().map(|one| format!("{url} {one}")));
        }
        println!("{package}: {same} of {} the same, {without_base} whose base is elsewhere, {} differences", bare.len(), differ.len());
        // The others' snapshots are of bases that are not in hand here in their versions, so they are only counted.
        let is_whole = package.starts_with("packages/");
        unexplained.extend(differ.into_iter().filter(|one| is_whole && !is_explained(one)));
    }
    assert!(unexplained.is_empty(), "{unexplained:#?}");
}
