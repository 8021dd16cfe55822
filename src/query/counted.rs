//! What a total tells beside what is shown: whose records were counted is put on record like whose were read.

use crate::audit::Closing;
use crate::consent::Permitted;
use std::collections::BTreeSet;

/// The most patients of whom one search records that theirs was counted and not shown. A total over more is about nobody in particular, and
/// must not cost a record for each.
const MAX_COUNTED: usize = 50;

/// Adds to a disclosure the patients of whom a total or a link onward tells that there is something, with the consents that let it be told.
pub(super) fn count_in(closing: &mut Closing, beyond: &[Permitted]) {
    let told: Vec<(Vec<String>, Option<String>)> =
        beyond.iter().map(|permitted| (super::whose(permitted), super::consents::governing(permitted))).collect();
    let patients = told.iter().flat_map(|(patients, _)| patients).filter(|patient| !closing.patients.contains(patient));
    let patients: BTreeSet<String> = patients.cloned().collect();
    if patients.len() <= MAX_COUNTED {
        closing.patients.extend(patients);
    }
    let consents: BTreeSet<(String, Vec<String>)> = told.into_iter().filter_map(|(patients, consent)| Some((consent?, patients))).collect();
    for (consent, patients) in consents {
        if patients.iter().any(|patient| closing.patients.contains(patient)) {
            closing.govern(consent, patients);
        }
    }
}
