//! On which candidates it turns what a setting tells that is not known, or who did something: decided once for each, for as long as nothing more is learnt.

use super::{Candidate, Judge};
use std::collections::HashMap;

/// What was found out for a judge that learns nothing meanwhile, of candidates that stay where they are.
pub(super) struct Turning<'j> {
    judge: &'j Judge,
    on_setting: HashMap<usize, bool>,
    on_doers: HashMap<usize, bool>,
}

impl<'j> Turning<'j> {
    pub fn of(judge: &'j Judge) -> Turning<'j> {
        Turning { judge, on_setting: HashMap::new(), on_doers: HashMap::new() }
    }

    pub fn judge(&self) -> &'j Judge {
        self.judge
    }

    /// Whether a setting that is not known could change what becomes of a candidate.
    pub fn on_setting(&mut self, candidate: &'j Candidate) -> bool {
        *self.on_setting.entry(address(candidate)).or_insert_with(|| self.judge.turns_on_setting(candidate))
    }

    /// Whether what those tell whom a candidate names could change what is shown of it.
    pub fn on_doers(&mut self, candidate: &'j Candidate) -> bool {
        *self.on_doers.entry(address(candidate)).or_insert_with(|| self.judge.turns_on_doers(candidate))
    }
}

/// Where a candidate stands in memory: two may go by one name and say different things.
fn address(candidate: &Candidate) -> usize {
    std::ptr::from_ref(candidate).addr()
}
