//! What names of before lead to: records that bore an identifier once. They are hidden like what a name means today, and tell like it of what took place
//! in them: what was renumbered or deleted is what it was. Nobody is known by them, and nothing is granted.

use super::{Beside, Candidate};
use crate::consent::patients_of;
use crate::outcome::Fault;
use crate::store::StoredVersion;

impl Beside {
    /// Keeps what a reference may have meant once.
    pub(super) fn keep_once(&mut self, reference: &str, versions: &[StoredVersion]) -> Result<Vec<String>, Fault> {
        let mut settings = Vec::new();
        for version in versions {
            let literal = format!("{}/{}", version.type_name, version.id);
            if version.deleted() {
                self.gone.insert(literal.clone());
            } else if !self.records.contains_key(&literal) {
                settings.extend(self.keep_record(version)?);
            }
            self.once.entry(reference.to_owned()).or_default().push(literal);
        }
        Ok(settings)
    }

    /// What a name means, and what it may have meant once.
    pub(super) fn may_be_meant_by(&self, reference: &str) -> impl Iterator<Item = &String> {
        self.meant_by(reference).iter().chain(self.once.get(reference).into_iter().flatten())
    }

    /// Whether what a reference means, or may have meant once, is hidden. Where an identifier is that of a record of the patients concerned, others' are
    /// not meant. What is nobody's anybody may have sent, under any identifier: it does not say who else is meant, nor does what whoever asks sent themselves,
    /// of whomever that is.
    pub(super) fn is_gone(
        &self,
        reference: &str,
        is_of_theirs: &dyn Fn(&Candidate) -> bool,
        is_askers: &dyn Fn(&Candidate) -> bool,
    ) -> bool {
        let meant = || self.may_be_meant_by(reference);
        let is_theirs = |literal: &String| self.records.get(literal).is_some_and(is_of_theirs);
        let is_tellings = |known: &Candidate| !patients_of(&known.resource).is_empty() && !is_askers(known);
        let is_told = meant().any(|literal| is_theirs(literal) && self.records.get(literal).is_some_and(is_tellings));
        self.gone.contains(reference) || meant().any(|literal| self.gone.contains(literal) && (!is_told || is_theirs(literal)))
    }
}
