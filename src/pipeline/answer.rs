//! What a submission is answered with: small enough to be remembered for a resend, enough to render every preference.

use super::plan::Step;
use crate::anchor::AnchoredVersion;
use crate::clock::Instant;
use crate::outcome::Finding;
use crate::store::Method;
use serde::{Deserialize, Serialize};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Done {
    Created,
    Updated,
    Deleted,
    /// The resource is already there: found by a conditional create, sent again unchanged, or newer than what came late.
    Existing,
    /// A deletion found nothing to delete.
    Nothing,
    /// Held behind a Task until enough parties have signed.
    Held,
}

/// The answer to one write.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WriteAnswer {
    pub done: Done,
    pub type_name: String,
    pub id: String,
    pub version: u32,
    pub at: Instant,
    /// The resource as stored, compact JSON. Not remembered: a resend reads it again.
    #[serde(skip)]
    pub document: Option<String>,
    #[serde(skip)]
    pub findings: Vec<Finding>,
}

impl WriteAnswer {
    /// `Patient/hg-…/_history/1`; `None` when there is no version.
    pub fn version_reference(&self) -> Option<String> {
        (!matches!(self.done, Done::Nothing | Done::Held)).then(|| format!("{}/{}/_history/{}", self.type_name, self.id, self.version))
    }
}

pub(super) fn answers(steps: &[Step], versions: &[AnchoredVersion]) -> Vec<WriteAnswer> {
    steps.iter().filter_map(|step| answer(step, versions)).collect()
}

fn answer(step: &Step, versions: &[AnchoredVersion]) -> Option<WriteAnswer> {
    Some(match step {
        Step::Write(index) => {
            let version = versions.get(*index)?;
            let target = &version.target;
            let done = match (target.method, &target.previous) {
                (Method::Delete, _) => Done::Deleted,
                (_, Some(_)) => Done::Updated,
                (_, None) => Done::Created,
            };
            WriteAnswer {
                done,
                type_name: target.type_name.clone(),
                id: target.id.clone(),
                version: target.version,
                at: version.at,
                document: (!version.document.is_empty()).then(|| version.document.clone()),
                findings: version.findings.clone(),
            }
        }
        Step::Stays { version, finding } => WriteAnswer {
            done: Done::Existing,
            type_name: version.type_name.clone(),
            id: version.id.clone(),
            version: version.version,
            at: version.at,
            document: (!version.document.is_empty()).then(|| version.document.clone()),
            findings: finding.iter().cloned().collect(),
        },
        Step::Existing(version) => WriteAnswer {
            done: Done::Existing,
            type_name: version.type_name.clone(),
            id: version.id.clone(),
            version: version.version,
            at: version.at,
            document: Some(version.document.clone()),
            findings: Vec::new(),
        },
        Step::Nothing { type_name } => WriteAnswer {
            done: Done::Nothing,
            type_name: type_name.clone(),
            id: String::new(),
            version: 0,
            at: Instant::EPOCH,
            document: None,
            findings: Vec::new(),
        },
    })
}

pub(super) fn encode(answers: &[WriteAnswer]) -> Vec<u8> {
    postcard::to_stdvec(answers).unwrap_or_default()
}

pub(super) fn decode(bytes: &[u8]) -> Option<Vec<WriteAnswer>> {
    postcard::from_bytes(bytes).ok()
}
