//! Local codes and what they mean elsewhere, as a source's FHIR ConceptMaps say it.

use crate::fhir::Node;
use compact_str::CompactString;
use std::collections::HashMap;

/// A portable code that a ConceptMap calls the same as a local one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedCode {
    pub system: CompactString,
    pub code: CompactString,
    pub display: Option<CompactString>,
}

/// The equivalences of all ConceptMaps of one source, by local system and code.
#[derive(Debug, Clone, Default)]
pub struct ConceptMaps {
    by_system: HashMap<CompactString, HashMap<CompactString, MappedCode>>,
}

impl ConceptMaps {
    /// Adds the mappings of a FHIR ConceptMap and answers how many it had that can be used: one target, and `equal` or `equivalent`.
    /// A wider, narrower or doubtful target would change what was measured, so it is not taken.
    pub fn add(&mut self, concept_map: &Node) -> usize {
        let mut added = 0;
        for group in concept_map.items("group") {
            let (Some(from), Some(to)) = (group.text("source"), group.text("target")) else { continue };
            for element in group.items("element") {
                let Some((code, mapped)) = sole_equivalent(element, to) else { continue };
                self.by_system.entry(from.into()).or_default().insert(code.into(), mapped);
                added += 1;
            }
        }
        added
    }

    pub fn is_empty(&self) -> bool {
        self.by_system.is_empty()
    }

    /// Whether anything of a system is mapped.
    pub fn has(&self, system: &str) -> bool {
        self.by_system.contains_key(system)
    }

    pub fn get(&self, system: &str, code: &str) -> Option<&MappedCode> {
        self.by_system.get(system)?.get(code)
    }
}

fn sole_equivalent<'n>(element: &'n Node, target_system: &str) -> Option<(&'n str, MappedCode)> {
    let code = element.text("code")?;
    let [target] = element.items("target") else { return None };
    if !matches!(target.text("equivalence"), Some("equal" | "equivalent")) || target.get("dependsOn").is_some() {
        return None;
    }
    let mapped = MappedCode {
        system: target_system.into(),
        code: target.text("code")?.into(),
        display: target.text("display").map(CompactString::from),
    };
    Some((code, mapped))
}
