//! What one commit carries, as plain data: everything is computed before it reaches the writer, which only checks and inserts.

use super::keys::SealedRecord;
use super::outbox::{OutboxDraft, OutboxUpdate};
use super::pending::Pending;
use crate::clock::Instant;
use crate::ledger::index::Tag;
use crate::search::{Query, Term};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// All that one request writes. It commits as a whole or not at all.
#[derive(Debug, Default)]
pub struct Unit {
    /// Whether it takes in what somebody submits, which is refused while the log cannot be published.
    pub submits: bool,
    pub assumptions: Vec<Assumption>,
    pub raw: Option<RawDraft>,
    pub versions: Vec<VersionDraft>,
    pub leaves: Vec<LeafDraft>,
    pub idempotency: Option<IdempotencyDraft>,
    pub outbox: Vec<OutboxDraft>,
    pub outbox_updates: Vec<OutboxUpdate>,
    pub elsewhere: Vec<Elsewhere>,
    /// A submission that waits for signatures, in its next revision.
    pub pending: Option<Pending>,
    /// The stored bytes the versions were made from, when they are not new.
    pub raw_row: Option<i64>,
    pub work: Vec<WorkDraft>,
    pub people: Vec<PersonChange>,
    /// ConceptMaps that operators gave: the source, and the id of the map.
    pub source_maps: Vec<(String, String)>,
    /// Keys under which a resource is found by others that look like it, with the resource's id.
    pub alike: Vec<([u8; 32], String)>,
    pub erasure: Option<Erasure>,
}

impl Unit {
    /// Whether one of its leaves is the gateway's own.
    pub(super) fn has_own_leaves(&self) -> bool {
        self.leaves.iter().any(|leaf| leaf.patient.is_some())
    }

    /// Whether one of its versions stands in the log beside what was asked for, and so behind it: the record of an act, which has no key of its own, or what
    /// the gateway noted by itself of what somebody sent.
    pub(super) fn is_beside(&self, version: &VersionDraft) -> bool {
        let Some(leaf) = version.leaf.and_then(|leaf| self.leaves.get(leaf)) else { return false };
        leaf.key.is_none() || (version.place.is_none() && self.versions.iter().any(|other| other.place.is_some()))
    }

    /// Whether it was decided on that there is such a version, or none.
    pub(super) fn relies_on(&self, version: &VersionDraft) -> bool {
        self.assumptions.iter().any(|assumption| match assumption {
            Assumption::Absent { type_name, id } | Assumption::Version { type_name, id, .. } => {
                (type_name, id) == (&version.type_name, &version.id)
            }
            Assumption::Matches { query, .. } => query.type_name() == version.type_name,
            Assumption::Alike { .. } | Assumption::Pending { .. } | Assumption::Unused { .. } => false,
        })
    }

    /// Which leaves are its versions'.
    pub(super) fn places(&self) -> Places {
        let starts: BTreeSet<usize> = self.versions.iter().filter_map(|version| version.leaf).collect();
        let mut places = Places { starts, beside: BTreeSet::new(), leaves: self.leaves.len() };
        let beside = self.versions.iter().filter(|version| self.is_beside(version)).filter_map(|version| version.leaf);
        places.beside = beside.flat_map(|start| start..start + places.count(start)).collect();
        places
    }

    /// Whether it writes, or may erase, records of one of these types.
    pub(super) fn changes(&self, types: &[&str]) -> bool {
        self.erasure.is_some() || self.versions.iter().any(|version| types.contains(&version.type_name.as_str()))
    }

    /// Whether it is nothing but new records of a type, made by the gateway itself and relying on nothing.
    pub(super) fn is_record_of(&self, type_name: &str) -> bool {
        let Unit {
            submits,
            assumptions,
            raw,
            versions,
            leaves,
            idempotency,
            outbox,
            outbox_updates,
            elsewhere,
            pending,
            raw_row,
            work,
            people,
            source_maps,
            alike,
            erasure,
        } = self;
        let is_new = |version: &VersionDraft| version.type_name == type_name && version.version == 1 && version.method == Method::Create;
        !submits
            && assumptions.is_empty()
            && raw.is_none()
            && raw_row.is_none()
            && !versions.is_empty()
            && versions.iter().all(is_new)
            && leaves.iter().all(|leaf| leaf.key.is_none())
            && idempotency.is_none()
            && outbox.is_empty()
            && outbox_updates.is_empty()
            && elsewhere.is_empty()
            && pending.is_none()
            && work.is_empty()
            && people.is_empty()
            && source_maps.is_empty()
            && alike.is_empty()
            && erasure.is_none()
    }
}

/// Which of a unit's leaves are its versions': each has those from its own up to the next one's.
pub(super) struct Places {
    starts: BTreeSet<usize>,
    /// Those of what stands beside it.
    pub beside: BTreeSet<usize>,
    leaves: usize,
}

impl Places {
    /// How many leaves the version has whose first this is.
    pub(super) fn count(&self, start: usize) -> usize {
        self.starts.range(start + 1..).next().unwrap_or(&self.leaves) - start
    }
}

/// Something for a person to look at. The first of its key makes the Task; every one is counted.
#[derive(Debug)]
pub struct WorkDraft {
    pub key: [u8; 32],
    pub kind: &'static str,
    pub source: String,
    pub at: Instant,
    pub task: VersionDraft,
}

/// What changes about who is who. Kept beside the Linkage resources that say it in FHIR, in the same commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PersonChange {
    /// The patient belongs to a person.
    Joins { patient: String, person: String },
    /// The patient stands alone.
    Leaves { patient: String },
    /// Somebody decided that two patients are not one person.
    Apart { one: String, other: String },
    /// Somebody decided otherwise.
    NotApart { one: String, other: String },
    /// Two patients are one person by their identifiers, and cannot be linked by these alone.
    Doubted { one: String, other: String },
}

/// What is to be destroyed for good: every version of these resources with its index terms, keys, raw bytes, deliveries and remembered answers.
#[derive(Debug, Clone, Default)]
pub struct Erasure {
    /// Type and id of each resource.
    pub resources: Vec<(String, String)>,
    /// Versions that go while their resource stays: type, id, and numbers, the newest never among them.
    pub versions: Vec<(String, String, Vec<u32>)>,
    /// A patient whose own key is destroyed too.
    pub patient: Option<String>,
    /// The blinded name of that patient's key.
    pub patient_key: Option<[u8; 32]>,
    /// Submissions that wait, or waited, for signatures and lead to what goes.
    pub pending: Vec<String>,
    /// Records of other people that are kept without what leads to the person: type, id, and the document that takes the place of its one version's.
    pub rewritten: Vec<(String, String, String)>,
    /// What opens the leaves that say so: commitment and opening of each.
    pub severed: Vec<([u8; 32], Vec<u8>)>,
    /// Commitments of leaves that nothing opens from now on: those that name nothing, and those that said so before in a trail that goes.
    pub unopened: Vec<[u8; 32]>,
}

/// What the unit was decided on. If one no longer holds, nothing of the unit is written and the caller decides anew.
#[derive(Debug, Clone)]
pub enum Assumption {
    /// No version of this resource exists, not even a deleted one.
    Absent { type_name: String, id: String },
    /// This is the newest version.
    Version { type_name: String, id: String, version: u32 },
    /// Among what this partner sent (or among everything, without one) the criteria match exactly these resources.
    Matches { query: Arc<Query>, source: Option<String>, ids: Vec<String> },
    /// Under this key of likeness exactly these results are known, of at most as many as were looked at.
    Alike { key: [u8; 32], ids: Vec<String>, limit: usize },
    /// A waiting submission is still at this revision.
    Pending { id: String, revision: u32 },
    /// This token has not been used; using it is recorded until it expires.
    Unused { token: [u8; 32], now: Instant, expires: Instant },
}

/// Where else a resource is known, and under which id: how an id the gateway has handed out finds its way back to the holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    pub type_name: String,
    pub id: String,
    pub holder: String,
    pub remote: String,
}

/// Bytes as they were received: the evidence.
#[derive(Debug)]
pub struct RawDraft {
    pub digest: [u8; 32],
    pub media: String,
    pub source: String,
    pub at: Instant,
    pub bytes: bytes::Bytes,
    /// Whether more units come of the same bytes.
    pub shared: bool,
}

/// How a version came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    Create,
    Update,
    Delete,
}

impl Method {
    pub(super) fn code(self) -> i64 {
        match self {
            Method::Create => 0,
            Method::Update => 1,
            Method::Delete => 2,
        }
    }

    pub(super) fn from_code(code: i64) -> Method {
        match code {
            0 => Method::Create,
            1 => Method::Update,
            _ => Method::Delete,
        }
    }

    /// The HTTP verb that `Bundle.entry.request.method` gives for it.
    pub fn verb(self) -> &'static str {
        match self {
            Method::Create => "POST",
            Method::Update => "PUT",
            Method::Delete => "DELETE",
        }
    }
}

/// One new version of one resource.
#[derive(Debug, Serialize, Deserialize)]
pub struct VersionDraft {
    pub type_name: String,
    pub id: String,
    pub version: u32,
    pub at: Instant,
    pub method: Method,
    /// The partner whose resource it is.
    pub source: String,
    /// Compact JSON; empty for a deletion.
    pub document: String,
    pub terms: Vec<Term>,
    /// The terms of the version this one replaces, taken out of the index.
    pub old_terms: Vec<Term>,
    /// The keys of business identifiers that the version this one replaces bore and this one does not. What is owed replaces nothing.
    #[serde(skip)]
    pub former: Vec<i64>,
    /// Index into the unit's leaves of the leaf that anchors it.
    pub leaf: Option<usize>,
    /// Where it stood in what was received (`Bundle.entry[3].resource`, empty for the whole); `None` for what the gateway wrote itself.
    pub place: Option<String>,
}

/// A leaf but for its number and its places under its tags, which the writer gives.
#[derive(Debug, Serialize, Deserialize)]
pub struct LeafDraft {
    pub entry: Vec<u8>,
    /// Its tags, each with where its big-endian 64-bit counter goes.
    pub tags: Vec<(usize, Tag)>,
    /// The record's key, when it is a stored one. It is nowhere but in the key store.
    #[serde(skip)]
    pub key: Option<SealedRecord>,
    /// The name of the patient's key that tags and commitment rest on; `None` for what rests on none.
    pub patient: Option<[u8; 32]>,
    /// Whether nobody is to know by the log's growth that there is such an act: whoever asked was told nothing of what it is about.
    pub is_unseen: bool,
}

/// Remembers the answer to a key, so that a resend gets it again.
#[derive(Debug)]
pub struct IdempotencyDraft {
    pub key: [u8; 32],
    pub body: [u8; 32],
    pub outcome: Vec<u8>,
    pub at: Instant,
}

/// The remembered answer of an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    pub body: [u8; 32],
    pub outcome: Vec<u8>,
}

/// What became of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// Synced. The positions of its leaves in the log, in the unit's order.
    Done { leaves: Vec<u64> },
    /// Synced, as a record that takes its places in the tables and in the log before anything else does.
    Kept,
    /// This assumption (by index) no longer held; nothing was written.
    Stale { assumption: usize },
    /// The idempotency key was used before; nothing was written.
    Replayed(Replay),
}

/// What the writer has done since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    pub units: u64,
    pub groups: u64,
    pub syncs: u64,
}

/// Which version of which resource a write makes, decided before it is written.
#[derive(Debug, Clone)]
pub struct Target {
    pub type_name: String,
    pub id: String,
    pub version: u32,
    pub method: Method,
    /// The version it replaces.
    pub previous: Option<Arc<super::StoredVersion>>,
}
