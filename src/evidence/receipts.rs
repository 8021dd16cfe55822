//! Receipts that others hold, by which the tags of a package are bound to its subject.
//!
//! A package proves that its leaves are all there are under the tags it names. That these tags are the subject's it cannot prove: whoever makes a
//! package could name tags under which there is nothing. A receipt was handed out when something was submitted about the subject, and shows the
//! tag of its month.

use super::verify::Report;
use crate::anchor::{Leaf, ReceiptError, verify_receipt};
use crate::ledger::Policy;
use crate::ledger::index::Tag;
use std::collections::{BTreeMap, BTreeSet};

/// A receipt as it was handed out.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// What it is called in findings.
    pub name: String,
    pub text: String,
}

/// Checks that a receipt holds and that the package lists its leaf.
pub(super) fn bind(receipt: &Receipt, policy: &Policy, leaves: &BTreeMap<u64, Leaf>, tags: &BTreeSet<Tag>, report: &mut Report) {
    match judge(receipt, policy, leaves, tags, report) {
        Ok(leaf) if !leaves.values().any(|listed| *listed == leaf) => report.beside += 1,
        Ok(leaf) => {
            report.receipts += 1;
            report.bound.extend(leaf.counted().map(|(tag, _)| tag).filter(|tag| tags.contains(tag)));
        }
        Err(why) => report.problem(format!("receipt {}: {why}", receipt.name)),
    }
}

/// The leaf of a receipt that holds, if it is listed; or if it is under none of the tags, and the version it is of is listed by a leaf of its
/// own: a version about several patients has one for each, and its receipt is of the first.
fn judge(receipt: &Receipt, policy: &Policy, leaves: &BTreeMap<u64, Leaf>, tags: &BTreeSet<Tag>, report: &Report) -> Result<Leaf, String> {
    let verified = verify_receipt(&receipt.text, policy, None).map_err(|error: ReceiptError| error.to_string())?;
    let (index, subject) = (verified.index, &report.subject);
    if index >= report.covers {
        return Err(format!("its leaf {index} is newer than what this package looked through; ask for a newer package"));
    }
    let is_anothers = !verified.leaf.counted().any(|(tag, _)| tags.contains(&tag));
    match leaves.get(&index) {
        None if is_anothers && report.proven.contains(&verified.target) => Ok(verified.leaf),
        Some(listed) if *listed == verified.leaf => Ok(verified.leaf),
        Some(_) => Err(format!("the log had another leaf {index} when it was handed out: there are two histories; keep both files")),
        None => Err(format!(
            "its leaf {index} is in the log, and this package does not list it: either the receipt is not about {subject}, or the tags this \
             package names are not those of {subject} and it shows nothing of what happened to them"
        )),
    }
}
