//! Part of rule 18. What is contained is named by its id inside the resource alone; a name that leads nowhere or to two is flagged.
//!
//! Two contained resources of one id that say the same are a repetition; two that say different things leave open which one a reference means, so the
//! resource is refused rather than read one way or the other.

use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::REFERENCES;
use crate::fhir::{Node, Object};
use crate::outcome::{Finding, IssueType, Severity};
use compact_str::CompactString;
use std::collections::HashMap;

/// Compares the ids of what is contained with each other and with the references met in the walk.
pub(in super::super) fn check(resource: &Object, path: &Path<'_>, work: &mut Work<'_>) {
    let listed = resource.get("contained").and_then(Node::as_list).unwrap_or_default();
    if !work.on(REFERENCES) || (listed.is_empty() && work.inside.is_empty()) {
        return;
    }
    let list_path = path.member("contained");
    let mut known: HashMap<&str, &Node> = HashMap::new();
    for (index, node) in listed.iter().enumerate() {
        let item_path = list_path.item(index);
        if node.get("contained").is_some() {
            let text =
                "a contained resource contains others, which FHIR does not allow, and references do not reach them; it was left as it is";
            work.flag(Severity::Warning, IssueType::Structure, "contained-nested", &item_path.member("contained"), text);
        }
        let Some(id) = node.text("id") else { continue };
        match known.insert(id, node) {
            Some(earlier) if earlier == node => {
                let text = "the same resource is contained twice; both were kept";
                work.flag(Severity::Warning, IssueType::Duplicate, "contained-repeated", &item_path.member("id"), text);
            }
            Some(_) => {
                let text = "two contained resources have the same id and different content, so a reference to one may mean the other; \
                            give each its own id";
                work.flag(Severity::Error, IssueType::Duplicate, "contained-id-duplicate", &item_path.member("id"), text);
            }
            None => {}
        }
    }
    let inside = std::mem::take(&mut work.inside);
    if let Some(index) = in_a_circle(listed, &inside) {
        let text = "contained resources refer to each other in a circle; they were kept, and nothing follows the circle";
        work.flag(Severity::Information, IssueType::Structure, "contained-cycle", &list_path.item(index), text);
    }
    for (place, name) in inside {
        if !known.contains_key(name.as_str()) {
            let text = "the reference names a contained resource that is not there; it was kept as written";
            work.flag_at(Finding::new(Severity::Warning, IssueType::NotFound, "reference-contained-missing", text).at(place));
        }
    }
}

/// The first contained resource from which references lead back to it. `inside` has the path of each reference and the id it names.
///
/// What no reference leaves is in no circle, so it is taken away with the references to it, until nothing is left or what goes round.
fn in_a_circle(listed: &[Node], inside: &[(String, CompactString)]) -> Option<usize> {
    let index_of: HashMap<&str, usize> = listed.iter().enumerate().filter_map(|(index, node)| Some((node.text("id")?, index))).collect();
    let from = |path: &str| path.split_once(".contained[")?.1.split_once(']')?.0.parse::<usize>().ok();
    let edges: Vec<(usize, usize)> = inside.iter().filter_map(|(path, name)| Some((from(path)?, *index_of.get(name.as_str())?))).collect();
    let on_the_way = |edges: &[(usize, usize)]| reaching(listed.len(), edges);
    let forward = on_the_way(&edges);
    let backward = on_the_way(&edges.iter().map(|&(from, to)| (to, from)).collect::<Vec<_>>());
    forward.into_iter().zip(backward).position(|(leads, is_led_to)| leads && is_led_to)
}

/// Which of `count` nodes lead into a circle.
fn reaching(count: usize, edges: &[(usize, usize)]) -> Vec<bool> {
    let (mut leaving, mut led_to_by) = (vec![0_usize; count], vec![Vec::new(); count]);
    for &(from, to) in edges {
        if let (Some(number), Some(sources)) = (leaving.get_mut(from), led_to_by.get_mut(to)) {
            *number += 1;
            sources.push(from);
        }
    }
    let mut ends: Vec<usize> = leaving.iter().enumerate().filter(|(_, number)| **number == 0).map(|(index, _)| index).collect();
    while let Some(end) = ends.pop() {
        for source in led_to_by.get_mut(end).map(std::mem::take).unwrap_or_default() {
            let Some(number) = leaving.get_mut(source) else { continue };
            *number -= 1;
            ends.extend((*number == 0).then_some(source));
        }
    }
    leaving.into_iter().map(|number| number > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{run, source};

    #[test]
    fn circles() {
        for (references, found) in [
            (&[("a", "b"), ("b", "a")][..], Some("X.contained[0]")),
            (&[("a", "a")], Some("X.contained[0]")),
            (&[("a", "b"), ("b", "c"), ("c", "b")], Some("X.contained[1]")),
            (&[("c", "a"), ("a", "b"), ("b", "c")], Some("X.contained[0]")),
            (&[("a", "b"), ("b", "c"), ("a", "c")], None),
            (&[("a", "")], None),
        ] {
            let inner = |id: &str| {
                let own = references.iter().filter(|(from, _)| *from == id).map(|(_, to)| format!(r##"{{"reference":"#{to}"}}"##));
                format!(r#"{{"resourceType":"Y","id":"{id}","r":[{}]}}"#, own.collect::<Vec<_>>().join(","))
            };
            let text =
                format!(r##"{{"resourceType":"X","contained":[{},{},{}],"r":{{"reference":"#a"}}}}"##, inner("a"), inner("b"), inner("c"));
            let done = run(&text, &source());
            let place =
                done.findings.iter().find(|finding| finding.message_id == "contained-cycle").map(|finding| finding.expression.as_str());
            assert_eq!(place, found, "{references:?}");
            assert!(!done.is_refused());
        }
    }

    #[test]
    fn names_inside() {
        for (inside, said) in [
            (r##""contained":[{"resourceType":"Y","id":"a"}],"r":{"reference":"#a"}"##, &[][..]),
            (r##""r":{"reference":"#"}"##, &[]),
            (r##""r":{"reference":"#zzz"}"##, &["reference-contained-missing"]),
            (r##""contained":[{"resourceType":"Y","id":"a"}],"r":{"reference":"#b"}"##, &["reference-contained-missing"]),
            (r##""contained":[{"resourceType":"Y","id":"a"},{"resourceType":"Y","id":"a"}]"##, &["contained-repeated"]),
            (r##""contained":[{"resourceType":"Y","id":"a"},{"resourceType":"Z","id":"a"}]"##, &["contained-id-duplicate"]),
            (r##""contained":[{"resourceType":"Y","id":"a"},{"resourceType":"Z","id":" a"}]"##, &["contained-id-duplicate"]),
            (r##""contained":[{"resourceType":"Y","contained":[{"resourceType":"Z"}]}]"##, &["contained-nested"]),
        ] {
            let done = run(&format!(r#"{{"resourceType":"X",{inside}}}"#), &source());
            let found: Vec<&str> = done.findings.iter().map(|finding| finding.message_id).collect();
            assert_eq!(found, said, "{inside}");
            assert_eq!(done.is_refused(), said == ["contained-id-duplicate"]);
        }
    }
}
