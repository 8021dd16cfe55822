//! What a holder says it can do: its CapabilityStatement, as far as questions turn on it.

use crate::fhir::Node;
use std::collections::{HashMap, HashSet};

/// The types a holder has, with the interactions and search parameters it knows. Without a statement nothing is ruled out.
#[derive(Debug, Default)]
pub struct Capabilities {
    types: Option<HashMap<String, Abilities>>,
}

#[derive(Debug, Default)]
struct Abilities {
    /// Empty where the statement does not list any.
    interactions: HashSet<String>,
    parameters: HashSet<String>,
}

impl Capabilities {
    /// Reads a CapabilityStatement; `None` for another resource, and for one that lists no types.
    pub fn read(statement: &Node) -> Option<Capabilities> {
        if statement.resource_type() != Some("CapabilityStatement") {
            return None;
        }
        let servers = statement.items("rest").iter().filter(|rest| rest.text("mode") != Some("client"));
        let listed = servers.flat_map(|rest| rest.items("resource")).filter_map(|resource| {
            let texts =
                |list: &str, name: &str| resource.items(list).iter().filter_map(|item| item.text(name)).map(str::to_owned).collect();
            let abilities = Abilities { interactions: texts("interaction", "code"), parameters: texts("searchParam", "name") };
            Some((resource.text("type")?.to_owned(), abilities))
        });
        let types: HashMap<String, Abilities> = listed.collect();
        (!types.is_empty()).then_some(Capabilities { types: Some(types) })
    }

    /// Whether a type can be asked for in this way: `search-type` or `read`.
    pub fn offers(&self, type_name: &str, interaction: &str) -> bool {
        let Some(types) = &self.types else { return true };
        types.get(type_name).is_some_and(|known| known.interactions.is_empty() || known.interactions.contains(interaction))
    }

    /// Whether the statement says in so many words that a type can be searched by a parameter.
    pub fn lists(&self, type_name: &str, parameter: &str) -> bool {
        let known = self.types.as_ref().and_then(|types| types.get(type_name));
        known.is_some_and(|known| known.parameters.contains(parameter)) && self.offers(type_name, "search-type")
    }

    /// Whether a filter is worth sending. What is not known is left out, and done here.
    pub fn knows(&self, type_name: &str, parameter: &str) -> bool {
        let parameters = self.types.as_ref().and_then(|types| types.get(type_name)).map(|known| &known.parameters);
        parameters.is_none_or(|parameters| parameters.is_empty() || parameters.contains(parameter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json::parse;

    fn read(text: &str) -> Option<Capabilities> {
        Capabilities::read(&parse(text.as_bytes(), 16).unwrap())
    }

    #[test]
    fn what_a_statement_lists_is_what_is_asked_for() {
        let known = read(
            r#"{"resourceType":"CapabilityStatement","rest":[{"mode":"server","resource":[
            {"type":"Observation","interaction":[{"code":"search-type"}],"searchParam":[{"name":"patient"},{"name":"code"}]},
            {"type":"Condition"}]}]}"#,
        )
        .unwrap();
        for (type_name, interaction, offers) in [
            ("Observation", "search-type", true),
            ("Observation", "read", false),
            ("Condition", "read", true),
            ("Procedure", "search-type", false),
        ] {
            assert_eq!(known.offers(type_name, interaction), offers, "{type_name} {interaction}");
        }
        for (type_name, parameter, knows) in
            [("Observation", "code", true), ("Observation", "date", false), ("Condition", "date", true), ("Procedure", "date", true)]
        {
            assert_eq!(known.knows(type_name, parameter), knows, "{type_name} {parameter}");
        }
        for (type_name, parameter, lists) in [("Observation", "code", true), ("Observation", "date", false), ("Condition", "date", false)] {
            assert_eq!(known.lists(type_name, parameter), lists, "{type_name} {parameter}");
        }
    }

    #[test]
    fn without_a_statement_nothing_is_ruled_out() {
        for text in [r#"{"resourceType":"OperationOutcome"}"#, r#"{"resourceType":"CapabilityStatement"}"#] {
            assert!(read(text).is_none(), "{text}");
        }
        let silent = Capabilities::default();
        assert!(silent.offers("Observation", "read") && silent.knows("Observation", "date"));
        assert!(!silent.lists("Observation", "date"));
    }
}
