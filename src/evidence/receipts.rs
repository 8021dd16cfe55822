//! Receipts that others hold, by which the tags of a package are bound to its subject.
//!
//! A package proves that its leaves are all there are under the tags it names. That these tags are the subject's it cannot prove: whoever makes a
//! package could name tags under which there is nothing. A receipt was handed out when something was submitted about the subject, and the package must
//! list its leaf, entry for entry, under the tag of its month.

use super::verify::{Entries, Report};
use crate::anchor::{Leaf, ReceiptError, VerifiedReceipt, verify_receipt};
use crate::ledger::Policy;
use crate::ledger::index::Tag;
use data_encoding::BASE64;
use std::collections::{BTreeMap, BTreeSet};

/// A receipt as it was handed out.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// What it is called in findings.
    pub name: String,
    pub text: String,
}

/// The most patients that one version is about, as far as leaves are looked through for it.
const MAX_OWNERS: u64 = 100;

/// The leaves a receipt is looked for among.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed<'a> {
    pub leaves: &'a BTreeMap<u64, Leaf>,
    /// As they stand in the log.
    pub entries: &'a Entries,
    /// What an accounting says that they are of, which nothing in it proves; of another's Patient nothing.
    pub said: &'a BTreeMap<u64, String>,
}

impl Listed<'_> {
    /// Whether a leaf that is not listed is said to be of a version of which another leaf is listed: those of a version come one behind the other, and a
    /// receipt is of the first.
    fn says_of_another(&self, receipt: &VerifiedReceipt) -> bool {
        let (first, leaf) = (receipt.index, &receipt.leaf);
        let is_said = |of: &String| *of == receipt.target || (of.is_empty() && receipt.target.starts_with("Patient/"));
        let is_like = |other: &Leaf| other.has_content() && (leaf.is_closed || (leaf.kind, leaf.hour) == (other.kind, other.hour));
        let behind = self.leaves.range(first.saturating_add(1)..=first.saturating_add(MAX_OWNERS));
        behind.filter(|(_, other)| is_like(other)).any(|(position, _)| self.said.get(position).is_some_and(is_said))
    }
}

/// Checks that a receipt holds and that the package lists its leaf.
pub(super) fn bind(receipt: &Receipt, policy: &Policy, listed: Listed<'_>, tags: &BTreeSet<Tag>, report: &mut Report) {
    match judge(receipt, policy, listed, tags, report) {
        Ok(None) => report.beside += 1,
        Ok(Some(leaf)) => {
            report.receipts += 1;
            report.bound.extend(leaf.counted().map(|(tag, _)| tag).filter(|tag| tags.contains(tag)));
        }
        Err(why) => report.problem(format!("receipt {}: {why}", receipt.name)),
    }
}

/// The leaf of a receipt that holds, as the package opens it, if it is listed. Nothing if it is under none of the tags, as far as that shows, and the version
/// it is of is listed by a leaf of its own: a version about several patients has one for each, and its receipt is of the first. An accounting, which
/// shows no version, only says so.
fn judge<'l>(
    receipt: &Receipt,
    policy: &Policy,
    listed: Listed<'l>,
    tags: &BTreeSet<Tag>,
    report: &Report,
) -> Result<Option<&'l Leaf>, String> {
    let verified = verify_receipt(&receipt.text, policy, None).map_err(|error: ReceiptError| error.to_string())?;
    let (index, subject) = (verified.index, &report.subject);
    if index >= report.covers {
        return Err(format!("its leaf {index} is newer than what this package looked through; ask for a newer package"));
    }
    let is_anothers = !verified.leaf.counted().any(|(tag, _)| tags.contains(&tag));
    let is_same = listed.entries.get(&index).is_some_and(|entry| *entry == BASE64.encode(&verified.entry));
    match listed.leaves.get(&index) {
        None if is_anothers && (report.proven.contains(&verified.target) || listed.says_of_another(&verified)) => Ok(None),
        Some(listed) if is_same => Ok(Some(listed)),
        Some(_) => Err(format!("the log had another leaf {index} when it was handed out: there are two histories; keep both files")),
        None => Err(format!(
            "its leaf {index} is in the log, and this package does not list it: either the receipt is not about {subject}, or the tags this \
             package names are not those of {subject} and it shows nothing of what happened to them"
        )),
    }
}
