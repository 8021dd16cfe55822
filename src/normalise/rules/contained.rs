//! Part of rule 18. What is contained is named by its id inside the resource alone; a name that leads nowhere or to two is flagged.
//!
//! Two contained resources of one id that say the same are a repetition; two that say different things leave open which one a reference means, so the
//! resource is refused rather than read one way or the other.

use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::REFERENCES;
use crate::fhir::{Node, Object};
use crate::outcome::{Finding, IssueType, Severity};
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
    for (place, name) in std::mem::take(&mut work.inside) {
        if !known.contains_key(name.as_str()) {
            let text = "the reference names a contained resource that is not there; it was kept as written";
            work.flag_at(Finding::new(Severity::Warning, IssueType::NotFound, "reference-contained-missing", text).at(place));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{run, source};

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
