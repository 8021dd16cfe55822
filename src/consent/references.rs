//! What a record refers to. Looking for one reference among very many costs as much as among few, and what is handed on to the parts of a record is
//! not copied for each.

use super::code::Reference;
use compact_str::CompactString;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

/// So few are looked through one by one.
const FEW: usize = 8;

/// References in the order in which they were found.
#[derive(Debug, Clone, Default)]
pub(super) struct References(Arc<Listed>);

#[derive(Debug, Default)]
struct Listed {
    list: Vec<Reference>,
    /// Made when something is first looked for among many.
    index: OnceLock<Index>,
}

impl Clone for Listed {
    fn clone(&self) -> Listed {
        Listed { list: self.list.clone(), index: OnceLock::new() }
    }
}

#[derive(Debug, Default)]
struct Index {
    whole: HashSet<CompactString>,
    /// By `Type/id`, whether one is given without a base.
    relative: HashMap<CompactString, bool>,
}

impl Index {
    fn of(list: &[Reference]) -> Index {
        let mut index = Index::default();
        for reference in list {
            index.whole.insert(reference.as_str().into());
            if let Some(relative) = reference.relative() {
                *index.relative.entry(relative.into()).or_default() |= reference.has_no_base();
            }
        }
        index
    }
}

impl References {
    pub(super) fn as_slice(&self) -> &[Reference] {
        &self.0.list
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.list.is_empty()
    }

    pub(super) fn extend(&mut self, references: impl IntoIterator<Item = Reference>) {
        let mut references = references.into_iter().peekable();
        if references.peek().is_some() {
            let listed = Arc::make_mut(&mut self.0);
            listed.index = OnceLock::new();
            listed.list.extend(references);
        }
    }

    /// Adds those that are not among them.
    pub(super) fn extend_new(&mut self, references: impl IntoIterator<Item = Reference>) {
        let mut references = references.into_iter().peekable();
        if references.peek().is_some() {
            let mut known: HashSet<Reference> = self.as_slice().iter().cloned().collect();
            self.extend(references.filter(|reference| known.insert(reference.clone())));
        }
    }

    /// All of them, in order.
    pub(super) fn into_list(self) -> Vec<Reference> {
        Arc::try_unwrap(self.0).unwrap_or_else(|shared| Listed::clone(&shared)).list
    }

    /// Whether this very reference is among them.
    pub(super) fn has(&self, meant: &Reference) -> bool {
        match self.index() {
            Some(index) => index.whole.contains(meant.as_str()),
            None => self.as_slice().contains(meant),
        }
    }

    /// Whether one of them may mean the same.
    pub(super) fn may_have(&self, meant: &Reference) -> bool {
        let Some(index) = self.index() else { return self.as_slice().iter().any(|reference| meant.may_be(reference)) };
        let alike = meant.relative().and_then(|relative| index.relative.get(relative));
        index.whole.contains(meant.as_str()) || alike.is_some_and(|is_bare| *is_bare || meant.has_no_base())
    }

    fn index(&self) -> Option<&Index> {
        (self.0.list.len() > FEW).then(|| self.0.index.get_or_init(|| Index::of(&self.0.list)))
    }
}

impl FromIterator<Reference> for References {
    fn from_iter<I: IntoIterator<Item = Reference>>(references: I) -> References {
        let mut found = References::default();
        found.extend(references);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Among many as among few.
    #[test]
    fn what_is_looked_for_is_found_however_many_there_are() {
        let read = |text: &str| Reference::new(text).unwrap();
        for fillers in [0, 20] {
            let named = ["Observation/1", "https://a.example/fhir/Observation/2", "urn:uuid:3"].map(read);
            let filler = (0..fillers).map(|one| read(&format!("Condition/c{one}")));
            let references: References = named.into_iter().chain(filler).collect();
            for (meant, has, may_have) in [
                ("Observation/1", true, true),
                ("https://b.example/fhir/Observation/1", false, true),
                ("Observation/2", false, true),
                ("https://a.example/fhir/Observation/2", true, true),
                ("https://b.example/fhir/Observation/2", false, false),
                ("urn:uuid:3", true, true),
                ("urn:uuid:4", false, false),
                ("Observation/5", false, false),
            ] {
                let meant = read(meant);
                assert_eq!((references.has(&meant), references.may_have(&meant)), (has, may_have), "{fillers} {}", meant.as_str());
            }
        }
    }

    #[test]
    fn what_is_added_is_found() {
        let read = |one: usize| Reference::new(&format!("Condition/c{one}")).unwrap();
        let mut references: References = (0..20).map(read).collect();
        assert!(!references.has(&read(20)));
        references.extend_new([read(20), read(3), read(20)]);
        assert!(references.has(&read(20)) && references.as_slice().len() == 21);
        assert_eq!(references.into_list().len(), 21);
    }
}
