//! Where, during what and with what something took place tells of it: a blood count taken in a methadone clinic says that somebody goes there.

use super::code::{Identifier, Reference, items};
use super::facts::{codes_of, identifiers_of, labels_of};
use super::label::Labeller;
use super::patients::BUNDLE_DEPTH;
use super::screen::with_level;
use super::vocabulary::{Concept, is_sensitivity};
use crate::fhir::Node;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

const PART_OF: &str = "partOf";

/// Elements that name the setting, or hold what names it.
const SETTING: [&str; 13] = [
    "context",
    "encounter",
    "episodeOfCare",
    "facility",
    "item",
    "location",
    "locationReference",
    "medication",
    "medicationReference",
    PART_OF,
    "serviceProvider",
    "slot",
    "study",
];

/// Elements by which settings name those they belong to, roles for whom they are, and products what they are made of.
const BELONGING: [&str; 8] =
    ["healthcareService", "ingredient", "managingOrganization", "organization", "productReference", "protocol", "providedBy", "schedule"];

/// What the setting is named by inside an element that holds more.
const HELD: [&str; 6] = ["encounter", "itemReference", "location", "locationReference", "reference", "substanceReference"];

/// A practitioner's role: for an institution, at a place.
const ROLE: &str = "PractitionerRole";

/// Who looks after a patient together, which may tell what for.
const TEAM: &str = "CareTeam";

/// Elements that say what a definition is of.
const DEFINED: [&str; 8] = ["code", "description", "name", "purpose", "subtitle", "title", "topic", "useContext"];

/// The same of one that says what is to be asked, given, done or measured, too.
const ASKED: [&str; 9] = with_more(DEFINED, ["item"]);
const GIVEN: [&str; 9] = with_more(DEFINED, ["productCodeableConcept"]);
const PLANNED: [&str; 10] = with_more(DEFINED, ["action", "goal"]);
const MEASURED: [&str; 9] = with_more(DEFINED, ["group"]);

/// Elements that say what an appointment is for.
const TIMES: [&str; 5] = ["appointmentType", "comment", "serviceCategory", "serviceType", "specialty"];

/// What may be carried out.
const CARRIED_OUT: [&str; 4] = ["ActivityDefinition", "Measure", "PlanDefinition", "Questionnaire"];

/// What a record may be made by, which its publisher's URL names: by element, the types.
const MADE_BY: [(&str, &[&str]); 10] = [
    ("definitionCanonical", &["ChargeItemDefinition"]),
    ("definitionUri", &["ChargeItemDefinition"]),
    ("instantiates", &CARRIED_OUT),
    ("instantiatesCanonical", &CARRIED_OUT),
    ("instantiatesUri", &CARRIED_OUT),
    ("measure", &["Measure"]),
    ("moduleCanonical", &CARRIED_OUT),
    ("moduleUri", &CARRIED_OUT),
    ("protocol", &CARRIED_OUT),
    ("questionnaire", &["Questionnaire"]),
];
/// The most actions of a plan that are followed to what they have carried out.
const MAX_ACTIONS: usize = 500;
const ACTION: &str = "action";
/// What a task is given and gives.
const EXCHANGED: [&str; 2] = ["input", "output"];
/// Where an extension, or what a task exchanges, names a definition.
const CANONICAL: &str = "valueCanonical";
/// The extensions that say the same where there is no such element, and the elements in which they do.
const MADE_BY_EXTENSIONS: [(&str, &str); 2] = [
    ("http://hl7.org/fhir/StructureDefinition/workflow-instantiatesCanonical", "valueCanonical"),
    ("http://hl7.org/fhir/StructureDefinition/workflow-instantiatesUri", "valueUri"),
];

/// By type, the elements that say what kind of a setting, or of a role, it is. What else happened there is not the setting's kind.
const KINDS: [(&str, &[&str]); 19] = [
    ("ActivityDefinition", &GIVEN),
    ("ChargeItemDefinition", &DEFINED),
    ("Encounter", &["class", "type", "serviceType"]),
    ("EpisodeOfCare", &["type"]),
    ("Endpoint", &["name"]),
    ("HealthcareService", &["category", "type", "specialty", "name", "program"]),
    ("InsurancePlan", &["type", "name", "alias"]),
    ("Location", &["type", "name", "alias", "description"]),
    ("Measure", &MEASURED),
    ("Medication", &["code", "ingredient"]),
    ("MedicationKnowledge", &["code"]),
    ("Organization", &["type", "name", "alias"]),
    ("PlanDefinition", &PLANNED),
    (ROLE, &["code", "specialty"]),
    ("Questionnaire", &ASKED),
    ("ResearchStudy", &["category", "condition", "description", "focus", "keyword", "title"]),
    ("Schedule", &TIMES),
    ("Slot", &TIMES),
    ("Substance", &["category", "code", "description", "ingredient"]),
];

const fn with_more<const KNOWN: usize, const MORE: usize, const ALL: usize>(
    known: [&'static str; KNOWN],
    more: [&'static str; MORE],
) -> [&'static str; ALL] {
    let mut all = [""; ALL];
    let (before, after) = all.split_at_mut(KNOWN);
    before.copy_from_slice(&known);
    after.copy_from_slice(&more);
    all
}

/// A record as a resource names it: literally, by identifier, or in both ways.
pub struct NamedRecord {
    pub literal: Option<Reference>,
    pub logical: Option<Reference>,
}

impl NamedRecord {
    /// What a reference names, if it may be of one of the types that are meant. One by identifier may not tell its type: it is asked for the empty one.
    pub(super) fn of(node: &Node, is_meant: impl Fn(&str) -> bool) -> Option<NamedRecord> {
        let literal = Reference::from_node(node).filter(|literal| literal.type_name().is_some_and(&is_meant));
        let logical = Reference::logical(node).filter(|logical| logical.sought().is_some_and(|(type_name, _)| is_meant(type_name)));
        (literal.is_some() || logical.is_some()).then_some(NamedRecord { literal, logical })
    }

    /// A setting. A logical reference that does not tell its type may mean one unless it must be told.
    fn of_setting(node: &Node, must_tell_type: bool) -> Option<NamedRecord> {
        NamedRecord::of(node, |type_name| is_setting(type_name) || (type_name.is_empty() && !must_tell_type))
    }
}

/// The settings that a resource and what is contained in it name. A Location's or an Encounter's own are among them; a logical reference that does
/// not tell its type may name one. What stands in a Bundle may be a record here that tells more.
pub fn named_settings(resource: &Node) -> impl Iterator<Item = NamedRecord> {
    let own = settings_among_entries(resource).filter_map(Reference::of_resource);
    let own = own.map(|literal| NamedRecord { literal: Some(literal), logical: None });
    with_entries(resource).flat_map(settings_named_by).chain(own)
}

/// The settings that stand in a Bundle, whatever took place in them.
fn settings_among_entries(resource: &Node) -> impl Iterator<Item = &Node> {
    with_entries(resource).skip(1).filter(|entry| entry.resource_type().is_some_and(is_setting))
}

/// A resource and, where it is a Bundle, the resources in it, as deep as Bundles are looked into.
fn with_entries(resource: &Node) -> impl Iterator<Item = &Node> {
    let mut inside: Vec<&Node> = entries_of(resource).collect();
    let mut next = inside.clone();
    for _ in 1..BUNDLE_DEPTH {
        next = next.into_iter().flat_map(entries_of).collect();
        inside.extend(&next);
    }
    std::iter::once(resource).chain(inside)
}

fn entries_of(bundle: &Node) -> impl Iterator<Item = &Node> {
    let entries = if bundle.resource_type() == Some("Bundle") { items(bundle, "entry") } else { &[] };
    entries.iter().filter_map(|entry| entry.get("resource"))
}

/// The same of one resource.
fn settings_named_by(resource: &Node) -> impl Iterator<Item = NamedRecord> {
    // For whom somebody is who did something tells of them, not of where it took place: the reference in the contained role goes by itself.
    let contained = items(resource, "contained").iter().map(|inner| (inner, inner.resource_type() != Some(ROLE)));
    let named = std::iter::once((resource, true)).chain(contained).flat_map(|(node, belongs)| named_in(node, belongs));
    named.chain(named_as_contained(resource)).chain(named_by_number(resource))
}

/// What a record was made by, where that is named by its OID or UUID.
fn named_by_number(resource: &Node) -> impl Iterator<Item = NamedRecord> {
    let numbered = made_by(resource).filter_map(|(_, name)| Reference::new(name)?.by_urn());
    numbered.map(|name| NamedRecord { literal: None, logical: Some(name) })
}

/// The settings that a resource contains, by their own identifiers: they may be records here, which tell more than what is contained says.
fn named_as_contained(resource: &Node) -> impl Iterator<Item = NamedRecord> {
    let contained = items(resource, "contained");
    let referred = std::iter::once(resource).chain(contained).filter(|_| !contained.is_empty());
    let fragments: HashSet<&str> = referred
        .flat_map(|node| nodes_in(node, node.resource_type() != Some(ROLE)))
        .filter_map(|(named, _)| named.text("reference"))
        .chain(made_by(resource).filter(|_| !contained.is_empty()).map(|(_, name)| name))
        .filter_map(|name| name.strip_prefix('#'))
        .collect();
    let settings = contained.iter().filter(move |inner| inner.text("id").is_some_and(|id| fragments.contains(id)));
    settings.flat_map(names_of_contained).map(|name| NamedRecord { literal: None, logical: Some(name) })
}

/// By which business identifiers what is contained may be a record here, where it is something that tells.
pub(super) fn names_of_contained(inner: &Node) -> impl Iterator<Item = Reference> {
    let type_name = inner.resource_type().filter(|type_name| is_setting(type_name) || *type_name == TEAM);
    let own = items(inner, "identifier").iter().filter_map(Identifier::from_node).filter(Identifier::has_system);
    type_name.into_iter().flat_map(move |type_name| own.clone().map(move |identifier| Reference::by_identifier(type_name, &identifier)))
}

/// The settings that one resource names; also those it belongs to, where it is one that may belong to any.
fn named_in(resource: &Node, belongs: bool) -> impl Iterator<Item = NamedRecord> {
    nodes_in(resource, belongs).filter_map(|(node, must_tell_type)| NamedRecord::of_setting(node, must_tell_type))
}

/// The nodes by which they may be named, each with whether the type must be told for it to be one.
fn nodes_in(resource: &Node, belongs: bool) -> impl Iterator<Item = (&Node, bool)> {
    let is_one = belongs && resource.resource_type().is_some_and(is_setting);
    let belonging = if is_one { &BELONGING[..] } else { &[] };
    SETTING.iter().chain(belonging).flat_map(move |element| {
        let nodes = items(resource, element).iter();
        let nodes = nodes.flat_map(|node| std::iter::once(node).chain(HELD.iter().flat_map(|member| items(node, member))));
        // What is no setting is part of none.
        let must_tell_type = *element == PART_OF && !is_one;
        nodes.map(move |node| (node, must_tell_type))
    })
}

/// What a resource itself says of its settings, which need not be records of their own: how it displays them, and what it contains of them, or holds
/// beside what took place in them.
pub fn labels_of_inner_settings(resource: &Node, labeller: &Labeller) -> Vec<Concept> {
    let beside = settings_among_entries(resource).flat_map(|setting| labels_of_setting(setting, labeller));
    let labels: Vec<Concept> = with_entries(resource).flat_map(|one| labels_of_settings_in(one, labeller)).chain(beside).collect();
    if labels.is_empty() { labels } else { with_level(labels) }
}

fn labels_of_settings_in(resource: &Node, labeller: &Labeller) -> Vec<Concept> {
    let mut labels = Vec::new();
    let mut open = vec![resource];
    let mut contained: HashMap<&str, Vec<&Node>> = HashMap::new();
    for inner in items(resource, "contained").iter().filter(|inner| inner.resource_type().is_some_and(is_setting)) {
        inner.text("id").into_iter().for_each(|id| contained.entry(id).or_default().push(inner));
    }
    while let Some(node) = open.pop() {
        for (named, must_tell_type) in nodes_in(node, true) {
            if let Some(display) = named.get("display").filter(|_| !must_tell_type) {
                labels.extend(labeller.survey(display, &[]).concepts());
            }
        }
        let referred = nodes_in(node, true).filter_map(|(named, _)| named.text("reference"));
        let fragments = referred.chain(made_by(node).map(|(_, name)| name)).filter_map(|name| name.strip_prefix('#'));
        for id in fragments {
            for inner in contained.remove(id).unwrap_or_default() {
                labels.extend(labels_of_setting(inner, labeller));
                open.push(inner);
            }
        }
    }
    labels
}

/// The definitions that a record was made by, each by its type and the URL that its publisher gave it.
pub fn definitions_of(resource: &Node) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
    with_entries(resource).flat_map(definitions_named_by)
}

fn definitions_named_by(resource: &Node) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
    let named = made_by(resource)
        .flat_map(|(types, name)| urls_in(name).flat_map(move |url| types.iter().map(move |type_name| (*type_name, url.clone()))));
    named.chain(items(resource, "contained").iter().filter_map(published))
}

/// A contained definition: under its URL it may be here, and tell more.
fn published(inner: &Node) -> Option<(&'static str, Cow<'_, str>)> {
    let of_elements = MADE_BY.iter().flat_map(|(_, types)| types.iter());
    let type_name = of_elements.copied().find(|type_name| inner.resource_type() == Some(*type_name))?;
    Some((type_name, Cow::Borrowed(inner.text("url").and_then(bare_url)?)))
}

/// The URLs by which a name may mean a definition: its own, and that in the search for it.
fn urls_in(name: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let sought = name.split_once('?').into_iter().flat_map(|(_, query)| query.split('&'));
    let sought = sought.filter_map(|pair| pair.strip_prefix("url=").or_else(|| pair.strip_prefix("url:exact=")));
    let sought = sought.map(|url| percent_decode_str(url).decode_utf8_lossy());
    let sought = sought.filter_map(|url| Some(Cow::Owned(bare_url(&url)?.to_owned())));
    bare_url(name).map(Cow::Borrowed).into_iter().chain(sought)
}

/// What a record, or what is contained in it, names that it was made by, with the types it may be of; and what a definition itself names.
fn made_by(resource: &Node) -> impl Iterator<Item = (&'static [&'static str], &str)> {
    let plans = std::iter::once(resource).chain(items(resource, "contained"));
    let details = plans.flat_map(|plan| items(plan, "activity")).filter_map(|activity| activity.get("detail"));
    let contained = items(resource, "contained").iter();
    let exchanged = EXCHANGED.iter().flat_map(|element| items(resource, element)).filter_map(|one| one.get(CANONICAL)?.as_text());
    let exchanged = exchanged.map(|named| (&CARRIED_OUT[..], named));
    let named = std::iter::once(resource).chain(details).chain(contained).flat_map(|node| {
        let elements = MADE_BY.iter().flat_map(|(element, types)| items(node, element).iter().map(|named| (*types, named)));
        let extensions = items(node, "extension").iter().filter_map(|extension| {
            let stated = MADE_BY_EXTENSIONS.iter().find(|(url, _)| extension.text("url") == Some(*url)).map(|(_, element)| *element);
            Some((&CARRIED_OUT[..], extension.get(stated.unwrap_or(CANONICAL))?))
        });
        elements.chain(extensions).filter_map(|(types, named)| Some((types, named.as_text()?)))
    });
    named.chain(exchanged).chain(named_by_definition(resource).map(|named| (&CARRIED_OUT[..], named)))
}

/// The definitions that a definition was made of or has carried out, likewise.
pub fn definitions_behind(definition: &Node) -> impl Iterator<Item = (&'static str, &str)> {
    named_by_definition(definition).filter_map(bare_url).flat_map(|url| CARRIED_OUT.iter().map(move |type_name| (*type_name, url)))
}

/// Those of the definitions that a record contains are named by it.
fn named_by_definition(resource: &Node) -> impl Iterator<Item = &str> {
    std::iter::once(resource).chain(items(resource, "contained")).flat_map(named_by_itself)
}

fn named_by_itself(definition: &Node) -> impl Iterator<Item = &str> {
    let is_one = definition.resource_type().is_some_and(|type_name| CARRIED_OUT.contains(&type_name));
    let derived = items(definition, "derivedFrom").iter();
    let related = items(definition, "relatedArtifact").iter();
    let related = related.filter(|artifact| matches!(artifact.text("type"), Some("composed-of" | "derived-from")));
    let carried_out =
        actions_in(definition).into_iter().flat_map(|action| ["definitionCanonical", "definitionUri"].map(|name| action.get(name)));
    let named = derived.chain(related.filter_map(|artifact| artifact.get("resource"))).chain(carried_out.flatten());
    named.filter(move |_| is_one).filter_map(Node::as_text)
}

/// The actions of a plan, with those within others, as many as are looked at.
fn actions_in(plan: &Node) -> Vec<&Node> {
    let mut actions: Vec<&Node> = items(plan, ACTION).iter().take(MAX_ACTIONS).collect();
    let mut next = 0;
    while let Some(action) = actions.get(next) {
        let room = MAX_ACTIONS - actions.len();
        actions.extend(items(action, ACTION).iter().take(room));
        next += 1;
    }
    actions
}

fn bare_url(name: &str) -> Option<&str> {
    name.split(['|', '#']).next().filter(|url| !url.is_empty())
}

/// The settings that a resource names, as references.
pub fn settings_of(resource: &Node) -> Vec<Reference> {
    named_settings(resource).flat_map(|named| [named.literal, named.logical]).flatten().collect()
}

/// Whether a record bears the identifier by which a logical reference names something.
pub fn bears(record: &Node, logical: &Reference) -> bool {
    let mut names = identifiers_of(record).map(|identifier| Reference::by_identifier("", &identifier));
    names.any(|name| logical.sought().is_some_and(|(_, token)| name.sought() == Some(("", token))))
}

/// How a record may be named by its identifiers, its type told or not.
pub fn logical_names(record: &Node) -> impl Iterator<Item = Reference> {
    let type_name = record.resource_type().unwrap_or_default();
    identifiers_of(record).flat_map(move |identifier| ["", type_name].map(|type_name| Reference::by_identifier(type_name, &identifier)))
}

/// Whether resources of a type are places, institutions, roles there, products, times, studies and definitions, which are nobody's records: what they are
/// called is known to everybody, and that somebody has to do with them is not.
pub fn is_nobodys(type_name: &str) -> bool {
    is_setting(type_name) && !matches!(type_name, "Encounter" | "EpisodeOfCare")
}

/// Whether resources of a type are settings of others, or lead to what may be one as a role does.
pub fn is_setting(type_name: &str) -> bool {
    KINDS.iter().any(|(known, _)| *known == type_name)
}

/// What the kind of a setting tells: the sensitivities of its type and name, those its source labelled it with, and the level that goes with them.
pub fn labels_of_setting(setting: &Node, labeller: &Labeller) -> Vec<Concept> {
    let elements = KINDS.iter().find(|(known, _)| Some(*known) == setting.resource_type()).map_or(&[][..], |(_, elements)| elements);
    let parts = elements.iter().filter_map(|element| setting.get(element));
    let mut labels: Vec<Concept> = labels_of(setting).filter(is_sensitivity).collect();
    for part in parts {
        labels.extend(labeller.survey(part, &codes_of(part)).concepts());
    }
    with_level(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json::{DEFAULT_DEPTH, parse};

    fn read(text: &str) -> Node {
        parse(text.as_bytes(), DEFAULT_DEPTH).unwrap()
    }

    #[test]
    fn settings_are_found_where_a_resource_names_them() {
        let check = |body: &str, expected: &[&str]| {
            let resource = read(&format!(r#"{{"resourceType":"Observation",{body}}}"#));
            let found: Vec<String> = settings_of(&resource).iter().map(|reference| reference.as_str().to_owned()).collect();
            assert_eq!(found, expected, "{body}");
        };
        check(r#""encounter":{"reference":"Encounter/1"}"#, &["Encounter/1"]);
        check(r#""context":{"encounter":[{"reference":"Encounter/2"}]}"#, &["Encounter/2"]);
        check(r#""location":[{"location":{"reference":"Location/3"}}]"#, &["Location/3"]);
        check(r#""medication":{"reference":{"reference":"Medication/4"}}"#, &["Medication/4"]);
        check(r#""medicationReference":{"reference":"Medication/5"}"#, &["Medication/5"]);
        check(r#""partOf":[{"reference":"Procedure/6"}]"#, &[]);
        check(r#""facility":{"reference":"Location/6"}"#, &["Location/6"]);
        check(
            r#""item":[{"encounter":[{"reference":"Encounter/6"}],"locationReference":{"reference":"Location/7"}}]"#,
            &["Encounter/6", "Location/7"],
        );
        check(r#""item":[{"item":{"reference":"Condition/6"}}]"#, &[]);
        check(r#""encounter":{"type":"Encounter","identifier":{"system":"s","value":"a|b"}}"#, &["Encounter?identifier=s|a\\|b"]);
        check(r#""location":[{"location":{"identifier":{"value":"8"}}}]"#, &["?identifier=8"]);
        check(
            r#""encounter":{"reference":"Encounter/1","identifier":{"system":"s","value":"9"}}"#,
            &["Encounter/1", "Encounter?identifier=s|9"],
        );
        check(r#""partOf":[{"type":"Procedure","identifier":{"system":"s","value":"6"}}]"#, &[]);
        check(r#""partOf":[{"identifier":{"system":"s","value":"6"}}]"#, &[]);
        check(r#""subject":{"reference":"Location/7"}"#, &[]);
        check(r#""managingOrganization":{"reference":"Organization/10"}"#, &[]);
        let room = read(r#"{"resourceType":"Location","managingOrganization":{"reference":"Organization/10"}}"#);
        assert_eq!(settings_of(&room).first().and_then(Reference::relative), Some("Organization/10"));
        let members = r#""organization":{"reference":"Organization/13"},"healthcareService":[{"reference":"HealthcareService/14"}]"#;
        let role = read(&format!(r#"{{"resourceType":"PractitionerRole","id":"r",{members},"location":[{{"reference":"Location/15"}}]}}"#));
        let led = ["Location/15", "HealthcareService/14", "Organization/13"];
        assert_eq!(settings_of(&role).iter().filter_map(Reference::relative).collect::<Vec<_>>(), led);
        check(
            &format!(r##""contained":[{{"resourceType":"PractitionerRole","id":"r",{members}}}],"performer":[{{"reference":"#r"}}]"##),
            &[],
        );
        let mixture = read(
            r#"{"resourceType":"Medication","ingredient":[{"itemReference":{"reference":"Medication/11"}},{"itemReference":{"reference":"Substance/12"}}]}"#,
        );
        assert_eq!(settings_of(&mixture).iter().filter_map(Reference::relative).collect::<Vec<_>>(), ["Medication/11", "Substance/12"]);
    }

    #[test]
    fn the_kind_of_a_setting_tells_and_what_happened_there_does_not() {
        let check = |resource: &str, expected: &[&str]| {
            let labels = labels_of_setting(&read(resource), Labeller::built_in());
            assert_eq!(labels.iter().map(|label| label.code.code.as_str()).collect::<Vec<_>>(), expected, "{resource}");
        };
        let role = "http://terminology.hl7.org/CodeSystem/v3-RoleCode";
        check(&format!(r#"{{"resourceType":"Location","type":[{{"coding":[{{"system":"{role}","code":"SURF"}}]}}]}}"#), &["SUD", "R"]);
        check(&format!(r#"{{"resourceType":"Location","type":[{{"coding":[{{"system":"{role}","code":"PSYCHF"}}]}}]}}"#), &["PSY", "R"]);
        check(&format!(r#"{{"resourceType":"Location","type":[{{"coding":[{{"system":"{role}","code":"CARD"}}]}}]}}"#), &[]);
        check(r#"{"resourceType":"Organization","name":"Riverside Methadone Clinic"}"#, &["OPIOIDUD", "R"]);
        check(r#"{"resourceType":"Encounter","type":[{"text":"Substance use counselling"}]}"#, &["SUD", "R"]);
        check(r#"{"resourceType":"Encounter","type":[{"text":"Visit"}],"reasonCode":[{"text":"Heroin"}]}"#, &[]);
        check(
            r#"{"resourceType":"Encounter","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"SDV"}]}}"#,
            &["SDV", "R"],
        );
        check(r#"{"resourceType":"Substance","code":{"text":"Methadone hydrochloride"}}"#, &["OPIOIDUD", "R"]);
        check(r#"{"resourceType":"PractitionerRole","specialty":[{"text":"Opioid use disorder"}]}"#, &["OPIOIDUD", "R"]);
        check(r#"{"resourceType":"Observation","code":{"text":"Heroin"}}"#, &[]);
    }
}
