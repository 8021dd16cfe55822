//! Received → Normalised: every write of a submission through the rules of its source.

use super::duplicates::link;
use super::{Change, Context, Preamble, Unmapped, normalise, preamble};
use crate::fhir::Node;
use crate::intake::{Evidence, Write};
use crate::outcome::{Finding, IssueType, Reason, Refusal, Severity};
use crate::store::Target;

/// A submission whose resources are in the gateway's form. Only [`Normalised::apply`] makes one.
#[derive(Debug)]
pub struct Normalised {
    evidence: Evidence,
    entries: Vec<NormalisedEntry>,
}

/// One write, normalised.
#[derive(Debug)]
pub struct NormalisedEntry {
    pub target: Target,
    /// `None` for a deletion.
    pub resource: Option<Node>,
    pub changes: Vec<Change>,
    pub findings: Vec<Finding>,
    /// Local codes without a portable equivalent.
    pub unmapped: Vec<Unmapped>,
    /// Where the resource stood in what was received.
    pub path: String,
}

impl Normalised {
    /// Applies the source's rules to every write that has a target. One refusing finding refuses the whole submission.
    pub fn apply(evidence: Evidence, writes: Vec<(Write, Target)>, context: &Context<'_>) -> Result<Normalised, Refusal> {
        let preamble = preamble(&evidence.bytes, context.source.switches);
        let entries: Vec<NormalisedEntry> = writes.into_iter().map(|(write, target)| entry(write, target, &preamble, context)).collect();
        let refusing: Vec<Finding> =
            entries.iter().flat_map(|entry| entry.findings.iter().filter(|finding| finding.is_error())).cloned().collect();
        if refusing.is_empty() {
            return Ok(Normalised { evidence, entries });
        }
        Err(Refusal { reason: Reason::Invalid, findings: refusing })
    }

    pub fn entries(&self) -> &[NormalisedEntry] {
        &self.entries
    }

    /// The submission without the entries that need not be stored.
    pub fn keep(mut self, is_kept: impl FnMut(&NormalisedEntry) -> bool) -> Normalised {
        self.entries.retain(is_kept);
        self
    }

    /// Links each result to the earlier one it repeats, as `earlier` knows it (`Observation/id`).
    pub fn linked(mut self, earlier: impl Fn(&NormalisedEntry) -> Option<String>) -> Normalised {
        for entry in &mut self.entries {
            let Some(earlier) = earlier(entry) else { continue };
            let Some(change) = entry.resource.as_mut().and_then(Node::as_object_mut).and_then(|object| link(object, &earlier)) else {
                continue;
            };
            entry.changes.push(change);
            let text = "the result repeats one that was sent under another id; the two were linked and both kept";
            let finding = Finding::new(Severity::Information, IssueType::Duplicate, "duplicate-result", text).at("Observation");
            entry.findings.push(finding.under(&entry.path));
        }
        self
    }

    pub fn into_parts(self) -> (Evidence, Vec<NormalisedEntry>) {
        (self.evidence, self.entries)
    }
}

fn entry(write: Write, target: Target, preamble: &Preamble, context: &Context<'_>) -> NormalisedEntry {
    let Some(resource) = write.resource else {
        return NormalisedEntry {
            target,
            resource: None,
            changes: Vec::new(),
            findings: Vec::new(),
            unmapped: Vec::new(),
            path: write.path,
        };
    };
    let mut outcome = normalise(resource, context);
    preamble.before(outcome.resource.as_object(), &mut outcome.changes, &mut outcome.findings);
    let findings = outcome.findings.into_iter().map(|finding| finding.under(&write.path)).collect();
    NormalisedEntry {
        target,
        resource: Some(outcome.resource),
        changes: outcome.changes,
        findings,
        unmapped: outcome.unmapped,
        path: write.path,
    }
}
