//! The Linkage that says which Patient records are one person's (R4 §8.9).

use crate::fhir::{Node, Object};

/// A Linkage over Patient ids. An inactive one says which records it once linked.
pub fn linkage(records: &[String], is_active: bool) -> Node {
    let item = |(index, id): (usize, &String)| -> Node {
        let kind = match (is_active, index) {
            (false, _) => "historical",
            (true, 0) => "source",
            (true, _) => "alternate",
        };
        let reference = Object::new().with("reference", format!("Patient/{id}"));
        Object::new().with("type", kind).with("resource", reference).into()
    };
    let items: Vec<Node> = records.iter().enumerate().map(item).collect();
    Object::resource("Linkage").with("active", is_active).with("item", items).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linkage_is_valid() {
        let definitions = crate::definitions::Definitions::embedded();
        for active in [true, false] {
            let node = linkage(&["a".to_owned(), "b".to_owned()], active);
            let findings = crate::validate::check(definitions, &node, &crate::validate::Options::default());
            assert!(!findings.iter().any(|finding| finding.is_error()), "{findings:?}");
        }
    }
}
