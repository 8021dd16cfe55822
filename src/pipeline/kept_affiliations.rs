//! Which records of organisations somebody who asks goes by, and what these are part of: kept until any organisation's record changes.

use crate::outcome::Fault;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// For how many it is kept before all is let go.
const MAX_KEPT: usize = 1_000;
/// The most letters of the names by which it is kept: whoever a question is about may be called anything.
const MAX_LETTERS: usize = 2_048;

/// The records of organisations that somebody goes by, as type and id, and of what these are part of.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Affiliated {
    pub own: Vec<(String, String)>,
    /// What these are part of, or were.
    pub wholes: Vec<(String, String)>,
    /// Whether there are more than can be looked at, or one that is named is not here: they may be part of anything.
    pub is_unknown: bool,
}

impl Affiliated {
    pub fn all(&self) -> impl Iterator<Item = &(String, String)> {
        self.own.iter().chain(&self.wholes)
    }
}

pub(crate) type Affiliations = Arc<Affiliated>;

/// What was found out last, by the names of whoever asks, with how often organisations' records had changed before.
#[derive(Default)]
pub struct KeptAffiliations(Mutex<HashMap<Vec<String>, (u64, Affiliations)>>);

impl KeptAffiliations {
    /// What is kept of these names, or what is found out now. `changes` is how often organisations' records had changed when the reading began.
    pub(crate) fn of(
        &self,
        asking: Vec<String>,
        changes: u64,
        find: impl FnOnce(&[String]) -> Result<Affiliations, Fault>,
    ) -> Result<Affiliations, Fault> {
        if let Some((_, known)) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&asking).filter(|(then, _)| *then == changes) {
            return Ok(known.clone());
        }
        let found = find(&asking)?;
        if asking.iter().map(String::len).sum::<usize>() > MAX_LETTERS {
            return Ok(found);
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(asking, (changes, found.clone()));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_holds_until_something_changes() {
        let kept = KeptAffiliations::default();
        let names = |id: &str| Arc::new(Affiliated { own: vec![("Organization".to_owned(), id.to_owned())], ..Affiliated::default() });
        let asking = || vec!["Organization/a".to_owned()];
        assert_eq!(kept.of(asking(), 1, |_| Ok(names("a"))).unwrap(), names("a"));
        assert_eq!(kept.of(asking(), 1, |_| panic!("it is known")).unwrap(), names("a"));
        assert_eq!(kept.of(asking(), 2, |_| Ok(names("b"))).unwrap(), names("b"));
        for other in 0..2 * MAX_KEPT {
            kept.of(vec![other.to_string()], 2, |_| Ok(Affiliations::default())).unwrap();
        }
        assert!(kept.0.lock().unwrap().len() <= MAX_KEPT);
        let long = || vec!["x".repeat(MAX_LETTERS), "x".to_owned()];
        assert_eq!(kept.of(long(), 2, |_| Ok(names("x"))).unwrap(), names("x"));
        assert!(!kept.0.lock().unwrap().contains_key(&long()));
    }
}
