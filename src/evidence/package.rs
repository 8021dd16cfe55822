//! What is in a package, and making one.

use super::archive::{self, ArchiveError};
use super::page::{self, Page, Row};
use crate::anchor::LeafKind;
use crate::ledger::index::{End, IndexProof, Step, Tag};
use crate::ledger::{Checkpoint, Hash, Malformed};
use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// What `manifest.json` says it is.
pub(super) const FORMAT: &str = "hearthgate/evidence/6";
/// What it said when its page told nothing of what was disclosed, why and under which consent. All else of it is as it is now.
pub(super) const FORMAT_OF_SHORTER_LINES: &str = "hearthgate/evidence/5";
/// What it said when its page told nothing of why something is not there. All else of it is as it is now.
pub(super) const FORMAT_OF_BRIEFER_PAGE: &str = "hearthgate/evidence/4";
/// What it said when nothing in the package told what it lacks (3), and when pages were made otherwise (2), or of more than the package holds (1), so that
/// they cannot be made again and compared.
pub(super) const FORMATS_BEFORE: [&str; 3] = ["hearthgate/evidence/1", "hearthgate/evidence/2", "hearthgate/evidence/3"];

/// The proof of an erasure that is in none of the subject's own leaves.
pub(super) const ERASURE_PROOF: &str = "erasure.tlog-proof";

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub format: String,
    /// `Patient/…` or the record.
    pub subject: String,
    pub origin: String,
    /// The size of the log at the package's checkpoint.
    pub size: u64,
    pub created: String,
    /// Who asked, as the export was audited.
    pub asked_by: String,
    pub entries: Vec<Listed>,
    /// Files that its entries would have, and why they are not there. What lacks and is not here was taken away.
    #[serde(default)]
    pub lacking: Vec<Lacking>,
    /// How many records of what was done with several records at once are not listed, since something was taken out of them and they stand under no tag.
    #[serde(skip_serializing_if = "is_first", default)]
    pub left_out: usize,
    pub files: Vec<File>,
}

/// A file that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lacking {
    pub path: String,
    pub why: Why,
}

/// Why a file is not there, as whoever made the package says. What was lost to an erasure is borne out by a leaf that says that there was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// The reader may not see the consent.
    Withheld,
    /// The consent was erased.
    Erased,
    /// What led to an erased person was taken out of the record of what was done, or of the Provenance, so that it no longer is what its leaf commits to.
    Shortened,
}

impl Lacking {
    /// The event of a leaf, out of which something was taken.
    pub fn event(position: u64) -> Lacking {
        Lacking { path: format!("documents/{position}.json"), why: Why::Shortened }
    }

    /// The Provenance of a version, out of which something was taken.
    pub fn provenance(position: u64) -> Lacking {
        Lacking { path: format!("provenance/{position}.json"), why: Why::Shortened }
    }

    /// A consent, `ID-VERSION`.
    pub fn consent(name: &str, why: Why) -> Lacking {
        Lacking { path: format!("consents/{name}.json"), why }
    }
}

impl Manifest {
    /// Whether it is of the format of now, but for the page at most.
    pub fn is_of_now(&self) -> bool {
        [FORMAT, FORMAT_OF_SHORTER_LINES, FORMAT_OF_BRIEFER_PAGE].contains(&self.format.as_str())
    }

    /// Whether it says why a file is not there.
    pub fn tells_of(&self, path: &str) -> bool {
        self.lacking.iter().any(|lacking| lacking.path == path)
    }

    /// What an accounting, which has none, would say of itself.
    pub fn of(subject: String, checkpoint: &Checkpoint) -> Manifest {
        let (format, created, asked_by) = (FORMAT.to_owned(), String::new(), String::new());
        let (origin, size) = (checkpoint.origin.clone(), checkpoint.size);
        Manifest {
            format,
            subject,
            origin,
            size,
            created,
            asked_by,
            entries: Vec::new(),
            lacking: Vec::new(),
            left_out: 0,
            files: Vec::new(),
        }
    }
}

/// One leaf of the trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    pub position: u64,
    pub kind: String,
    /// The version or event it anchors; absent once that was erased.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<String>,
}

/// A file beside the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub path: String,
    pub sha256: String,
    pub bytes: u64,
}

/// `completeness.json`: that these are all the leaves under these tags among the first `covers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Completeness {
    /// The leaf that anchors the index; its proof is `index.tlog-proof`.
    pub anchored_at: u64,
    /// How many leaves the index covers.
    pub covers: u64,
    /// The index's root, base64.
    pub root: String,
    pub claims: Vec<Claim>,
}

/// All leaves under one tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The resource the tag stands for.
    pub of: String,
    /// Which of the patients the tag is made by, where the record was about several in the course of time: 0, 1, …
    #[serde(skip_serializing_if = "is_first", default)]
    pub patient: usize,
    /// The epoch in which it does: thirty days, counted from 1970.
    pub epoch: i64,
    /// Hexadecimal.
    pub tag: String,
    /// The secret of the epoch that the tag is made of, base64, where the reader may be told all tags of the patient in it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub secret: Option<String>,
    pub positions: Vec<u64>,
    /// From the root downward: the depth of a node and the hash of its side not taken, base64.
    pub steps: Vec<(u8, String)>,
    pub end: WrittenEnd,
}

/// [`End`] as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum WrittenEnd {
    Here,
    Empty,
    Other { tag: String, length: u64, root: String },
    Parted { depth: u8, prefix: String, left: String, right: String },
}

impl Claim {
    pub fn new(of: String, epoch: i64, tag: Tag, secret: Option<&[u8; 32]>, positions: Vec<u64>, proof: &IndexProof) -> Claim {
        let end = match &proof.end {
            End::Here => WrittenEnd::Here,
            End::Empty => WrittenEnd::Empty,
            End::Other { tag, length, root } => WrittenEnd::Other { tag: hex(*tag), length: *length, root: root.to_string() },
            End::Parted { depth, prefix, left, right } => {
                WrittenEnd::Parted { depth: *depth, prefix: hex(*prefix), left: left.to_string(), right: right.to_string() }
            }
        };
        let steps = proof.steps.iter().map(|step| (step.depth, step.sibling.to_string())).collect();
        let secret = secret.map(|secret| BASE64.encode(secret));
        Claim { of, patient: 0, epoch, tag: hex(tag), secret, positions, steps, end }
    }

    /// The same by another of the subject's patients.
    pub fn by_patient(self, patient: usize) -> Claim {
        Claim { patient, ..self }
    }

    /// The tag and the proof, read back. `None` when a hash or tag is not one.
    pub(super) fn read(&self) -> Option<(Tag, IndexProof)> {
        let hash = |text: &String| -> Option<Hash> { text.parse().map_err(|_: Malformed| ()).ok() };
        let steps = self.steps.iter().map(|(depth, sibling)| Some(Step { depth: *depth, sibling: hash(sibling)? }));
        let end = match &self.end {
            WrittenEnd::Here => End::Here,
            WrittenEnd::Empty => End::Empty,
            WrittenEnd::Other { tag, length, root } => End::Other { tag: unhex(tag)?, length: *length, root: hash(root)? },
            WrittenEnd::Parted { depth, prefix, left, right } => {
                End::Parted { depth: *depth, prefix: unhex(prefix)?, left: hash(left)?, right: hash(right)? }
            }
        };
        Some((unhex(&self.tag)?, IndexProof { steps: steps.collect::<Option<_>>()?, end }))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_first(patient: &usize) -> bool {
    *patient == 0
}

fn hex(tag: Tag) -> String {
    HEXLOWER.encode(&tag.0)
}

fn unhex(text: &str) -> Option<Tag> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok().map(Tag)
}

/// `consistency.json`: that the log of the package's checkpoint extends the one the reader saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consistency {
    pub old_size: u64,
    /// The root the log had then, base64: what the reader compares with the checkpoint they kept.
    pub old_root: String,
    /// Base64.
    pub proof: Vec<String>,
}

/// One leaf of the trail with all that goes with it.
#[derive(Debug, Clone)]
pub struct Entry {
    pub position: u64,
    pub kind: LeafKind,
    pub target: Option<String>,
    /// The receipt: a proof file with its opening.
    pub proof: String,
    /// Whether its leaf commits to the content of a version.
    pub has_content: bool,
    /// What the leaf commits to, as stored.
    pub document: Option<String>,
    /// The Provenance of a version.
    pub provenance: Option<String>,
    /// The leaf's own time: hours since 1970.
    pub hour: u32,
}

/// A version of a consent that governed a disclosure.
#[derive(Debug, Clone)]
pub struct Consent {
    /// `ID-VERSION`.
    pub name: String,
    pub document: String,
    /// Its receipt, with the key that opens it.
    pub proof: String,
}

/// All that goes into a package.
#[derive(Debug)]
pub struct Package {
    pub subject: String,
    pub origin: String,
    pub size: u64,
    pub created: String,
    pub asked_by: String,
    pub checkpoint: String,
    pub policy: String,
    /// Verifier keys, one a line, oldest first.
    pub keys: String,
    pub entries: Vec<Entry>,
    pub completeness: Completeness,
    /// The proof of the leaf that anchors the index.
    pub index_proof: String,
    /// The proof of the log's first leaf, from whose epoch on there are claims.
    pub first_proof: String,
    /// The proof of an erasure, where something lacks because of one and none is among the entries.
    pub erasure_proof: Option<String>,
    pub consistency: Option<Consistency>,
    /// Consents that governed disclosures.
    pub consents: Vec<Consent>,
    /// What of that, and of the records of what was done, is not there.
    pub lacking: Vec<Lacking>,
    /// How many records of what was done stand under no tag and are not among the entries, since something was taken out of them.
    pub left_out: usize,
}

/// Why a package could not be made.
#[derive(Debug)]
pub enum PackageError {
    Archive(ArchiveError),
    Json(serde_json::Error),
}

impl fmt::Display for PackageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PackageError::Archive(error) => error.fmt(f),
            PackageError::Json(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PackageError {}

impl From<serde_json::Error> for PackageError {
    fn from(error: serde_json::Error) -> PackageError {
        PackageError::Json(error)
    }
}

impl Package {
    fn page(&self) -> Page<'_> {
        let rows = self.entries.iter().map(|entry| Row {
            position: entry.position,
            kind: entry.kind.label(),
            hour: entry.hour,
            target: entry.target.as_deref(),
            has_content: entry.has_content,
            document: entry.document.as_deref().map(str::as_bytes),
            provenance: entry.provenance.as_deref().map(str::as_bytes),
        });
        Page {
            lacking: Some(page::by_path(&self.lacking)),
            tells_what: true,
            left_out: self.left_out,
            subject: &self.subject,
            origin: &self.origin,
            size: self.size,
            created: &self.created,
            asked_by: &self.asked_by,
            covers: self.completeness.covers,
            rows: rows.collect(),
            consents: self.consents.iter().map(|consent| consent.name.as_str()).collect(),
        }
    }

    /// Writes the zip file.
    pub fn into_zip(self) -> Result<Vec<u8>, PackageError> {
        let page = page::render(&self.page());
        let mut files = vec![
            ("index.html".to_owned(), page.into_bytes()),
            ("checkpoint".to_owned(), self.checkpoint.into_bytes()),
            ("policy".to_owned(), self.policy.into_bytes()),
            ("keys".to_owned(), self.keys.into_bytes()),
            ("completeness.json".to_owned(), serde_json::to_vec(&self.completeness)?),
            ("index.tlog-proof".to_owned(), self.index_proof.into_bytes()),
            ("first.tlog-proof".to_owned(), self.first_proof.into_bytes()),
        ];
        files.extend(self.erasure_proof.map(|proof| (ERASURE_PROOF.to_owned(), proof.into_bytes())));
        if let Some(consistency) = &self.consistency {
            files.push(("consistency.json".to_owned(), serde_json::to_vec(consistency)?));
        }
        let mut listed = Vec::with_capacity(self.entries.len());
        for entry in self.entries {
            let position = entry.position;
            files.push((format!("proofs/{position}.tlog-proof"), entry.proof.into_bytes()));
            files.extend(entry.document.map(|document| (format!("documents/{position}.json"), document.into_bytes())));
            files.extend(entry.provenance.map(|document| (format!("provenance/{position}.json"), document.into_bytes())));
            listed.push(Listed { position, kind: entry.kind.label().to_owned(), target: entry.target });
        }
        for Consent { name, document, proof } in self.consents {
            files.push((format!("consents/{name}.json"), document.into_bytes()));
            files.push((format!("consents/{name}.tlog-proof"), proof.into_bytes()));
        }
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            subject: self.subject,
            origin: self.origin,
            size: self.size,
            created: self.created,
            asked_by: self.asked_by,
            entries: listed,
            lacking: self.lacking,
            left_out: self.left_out,
            files: files.iter().map(|(path, bytes)| described(path, bytes)).collect(),
        };
        files.insert(0, ("manifest.json".to_owned(), serde_json::to_vec_pretty(&manifest)?));
        archive::pack(files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))).map_err(PackageError::Archive)
    }
}

pub(super) fn described(path: &str, bytes: &[u8]) -> File {
    File { path: path.to_owned(), sha256: HEXLOWER.encode(&Sha256::digest(bytes)), bytes: bytes.len() as u64 }
}
