//! Which of very many records a text names, told in one pass over the text.

use super::whose::names;
use crate::normalise::{gateway_ids_in, is_gateway_id};
use std::collections::{HashMap, HashSet};

/// Records, by how a text names them: one by the gateway's id wherever that stands, any other by its type and id.
pub(super) struct Among<'a> {
    gateways: HashSet<&'a str>,
    /// Types by id.
    others: HashMap<&'a str, Vec<&'a str>>,
}

impl<'a> Among<'a> {
    pub fn of(records: impl Iterator<Item = &'a (String, String)>) -> Among<'a> {
        let mut among = Among { gateways: HashSet::new(), others: HashMap::new() };
        for (type_name, id) in records {
            if is_gateway_id(id) {
                among.gateways.insert(id);
            } else {
                among.others.entry(id).or_default().push(type_name);
            }
        }
        among
    }

    /// Whether the text names one of them, as [`names`] tells it of each.
    pub fn is_named(&self, text: &str) -> bool {
        let is_by_gateway = !self.gateways.is_empty() && gateway_ids_in(text).any(|id| self.gateways.contains(id));
        is_by_gateway || (!self.others.is_empty() && references_in(text).any(|(before, id)| self.is_other(before, id)))
    }

    fn is_other(&self, before: &str, id: &str) -> bool {
        let types = self.others.get(id).map(Vec::as_slice).unwrap_or_default();
        types.iter().any(|type_name| before.ends_with(type_name) && names(&format!("{type_name}/{id}"), type_name, id))
    }
}

/// What stands before and behind each slash: as many letters as an id may have behind it.
fn references_in(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices('/').filter_map(|(at, _)| {
        let (before, rest) = (text.get(..at)?, text.get(at + 1..)?);
        let end = rest.find(|next: char| !next.is_ascii_alphanumeric() && !matches!(next, '-' | '.')).unwrap_or(rest.len());
        Some((before, rest.get(..end)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_named_as_each_is() {
        let gateway = |letter: &str| format!("hg-{}", letter.repeat(26));
        let records: Vec<(String, String)> =
            [("Patient", gateway("a")), ("Observation", "7".to_owned()), ("Observation", "7-a.b".to_owned()), ("Patient", "7".to_owned())]
                .map(|(type_name, id)| (type_name.to_owned(), id))
                .into();
        let among = Among::of(records.iter());
        let mut named = 0;
        for begin in ["", "x", "Patient/", "Observation/", "XObservation/", "Observation", "/", "hg-", "Device/", "\u{e9}/"] {
            for word in ["7", "7-a.b", "7-a", "hg-", &gateway("a"), &gateway("b"), &gateway("w"), &gateway("a")[..20], "\u{e9}"] {
                for end in ["", "x", "-", ".", "/", " ", "\"", "/_history/2", "\u{e9}", "Patient/7"] {
                    let text = format!("{begin}{word}{end}");
                    let expected = records.iter().any(|(type_name, id)| names(&text, type_name, id));
                    named += usize::from(expected);
                    assert_eq!(among.is_named(&text), expected, "{text}");
                }
            }
        }
        assert!(named > 50);
        assert!(!Among::of(std::iter::empty()).is_named("Patient/7"));
    }
}
