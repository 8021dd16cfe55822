//! Packages that are sound, and packages made to deceive or to harm.

mod archives;
mod deceits;
mod erasures;
mod files;
mod lacking;
mod receipts;
mod seen;
mod subjects;

use super::archive::{ArchiveError, pack, unpack};
use super::erasers::Erasers;
use super::package::{Manifest, described};
use super::*;
use crate::anchor::{
    Epoch, Erased, Leaf, LeafKind, Missing, Opening, PROVENANCE_DOMAIN, PatientTags, Severed, Tags, commitment, hour, provenance_key,
    receipt_text,
};
use crate::clock::Instant;
use crate::ledger::index::{Branch, List, MemoryNodes, Tag, list_branch, prove, root, update};
use crate::ledger::key::Algorithm;
use crate::ledger::merkle::leaf_hash;
use crate::ledger::{Checkpoint, Edge, Hash, KeyHistory, LedgerError, Note, Policy, SigningKey, TileReader, TreeHashes};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Write;

const ORIGIN: &str = "evidence.test/log";
pub(super) const SUBJECT: &str = "Patient/p";
const SECRET: PatientTags = PatientTags([7; 32]);
const OTHER: Tag = Tag([0xAA; 16]);
pub(super) const KEY: [u8; 32] = [9; 32];

struct NoTiles;

impl TileReader for NoTiles {
    fn tile(&self, _level: u8, _index: u64) -> Result<Option<Vec<Hash>>, LedgerError> {
        Ok(None)
    }
}

/// The Provenance of leaf 8, which is a version's, in canonical form.
fn provenance(said: &str) -> String {
    format!("{{\"activity\":{{\"text\":\"{said}\"}},\"resourceType\":\"Provenance\",\"target\":[{{\"reference\":\"AuditEvent/e8\"}}]}}")
}

/// A consent that leaf 9, of another patient, stands for.
fn consent() -> String {
    "{\"id\":\"c\",\"meta\":{\"versionId\":\"1\"},\"resourceType\":\"Consent\"}".to_owned()
}

/// A log of ten leaves, every second one the patient's, the last two versions', with its index anchored at the end.
pub(super) struct Log {
    edge: Edge,
    entries: Vec<Vec<u8>>,
    lists: BTreeMap<Tag, Vec<u64>>,
    top: Option<Branch>,
    nodes: MemoryNodes,
    signer: SigningKey,
}

pub(super) fn at() -> Instant {
    Instant::from_seconds(1_790_000_000)
}

/// The leaf as an older gateway would have written it.
pub(super) fn of_older(leaf: Leaf) -> Leaf {
    Leaf { shortens_by_name: false, ..leaf }
}

/// What names these leaves as shortened.
pub(super) fn shortening(positions: &[u64]) -> Severed {
    let missing = Missing { shortened: positions.iter().copied().collect(), ..Missing::default() };
    Severed::naming(&missing, || [8; 32]).pop().unwrap()
}

/// In canonical form already.
fn document(number: u64) -> String {
    format!("{{\"id\":\"e{number}\",\"resourceType\":\"AuditEvent\"}}")
}

impl Log {
    fn new() -> Log {
        Log::telling(|_| [0; 32])
    }

    /// The same, whose disclosures commit to what is told of them.
    pub(super) fn telling(told: impl Fn(u64) -> [u8; 32]) -> Log {
        Log::written_by(told, |leaf| leaf)
    }

    /// The same of a gateway whose erasing leaves do not name what they shorten.
    pub(super) fn of_older(told: impl Fn(u64) -> [u8; 32]) -> Log {
        Log::written_by(told, of_older)
    }

    fn written_by(told: impl Fn(u64) -> [u8; 32], writes: impl Fn(Leaf) -> Leaf) -> Log {
        let signer = SigningKey::from_seed(ORIGIN, Algorithm::Ed25519, &[3; 32]).unwrap();
        let mut log =
            Log { edge: Edge::new(), entries: Vec::new(), lists: BTreeMap::new(), top: None, nodes: MemoryNodes::default(), signer };
        for number in 0..10u64 {
            let tag = if number % 2 == 0 { SECRET.tag(SUBJECT) } else { OTHER };
            let digest: [u8; 32] = Sha256::digest(if number == 9 { consent() } else { document(number) }).into();
            let canonical = commitment(&KEY, crate::anchor::CANONICAL_DOMAIN, &digest);
            let tags = Tags { patient: Some(tag), ..Tags::default() };
            let mut leaf = if number < 8 {
                Leaf::new(LeafKind::Disclose, at(), tags, told(number), canonical)
            } else {
                let stated = Sha256::digest(provenance("sent")).into();
                Leaf::version(at(), tags, [0; 32], canonical, commitment(&provenance_key(&KEY), PROVENANCE_DOMAIN, &stated))
            };
            let positions = log.lists.entry(tag).or_default();
            positions.push(number);
            leaf.counters[0] = positions.len() as u64;
            log.append(writes(leaf).encode());
        }
        let changed: Vec<Branch> = log.lists.iter().map(|(tag, positions)| list_branch(*tag, &List::of(positions))).collect();
        log.top = update(None, &changed, &mut log.nodes).unwrap();
        log.append(Leaf::index(at(), root(log.top.as_ref()).0, 10).encode());
        log
    }

    /// Appends a leaf of the patient's trail that erases and commits to what it names, if to anything; gives its position.
    pub(super) fn erase(&mut self, severed: Option<&Severed>, writes: impl Fn(Leaf) -> Leaf) -> u64 {
        let tags = Tags { patient: Some(SECRET.tag(SUBJECT)), ..Tags::default() };
        let named = severed.and_then(Severed::commitment).unwrap_or([4; 32]);
        self.append(writes(Leaf::new(LeafKind::Erase, at(), tags, [1; 32], named)).encode());
        self.edge.size() - 1
    }

    pub(super) fn append(&mut self, entry: Vec<u8>) {
        let _tiles = self.edge.append(leaf_hash(&entry));
        self.entries.push(entry);
    }

    fn note(&self) -> Note {
        Checkpoint::new(ORIGIN, self.edge.size(), self.edge.root()).sign(&[&self.signer]).unwrap()
    }

    fn proof(&self, index: u64, target: &str, key: Option<&[u8; 32]>) -> String {
        let opening =
            Opening::new(target.to_owned(), &self.entries[index as usize], key).with_provenance_key(key.map(provenance_key).as_ref());
        self.proof_with(index, &opening)
    }

    /// A proof that opens what an accounting tells, if it has the key.
    pub(super) fn told_proof(&self, index: u64, key: Option<&[u8; 32]>) -> String {
        self.proof_with(index, &Opening::new(String::new(), &self.entries[index as usize], None).with_accounting_key(key))
    }

    /// A proof of a leaf that erases, with what opens it.
    pub(super) fn erasing_proof(&self, index: u64, severed: Option<&Severed>) -> String {
        self.proof_with(index, &Opening::new(String::new(), &self.entries[index as usize], None).with_severed(severed.cloned()))
    }

    fn proof_with(&self, index: u64, opening: &Opening) -> String {
        let path = TreeHashes::new(&self.edge, &NoTiles).inclusion_proof(index, self.edge.size()).unwrap();
        receipt_text((index, &path), &self.note().to_string(), opening).unwrap()
    }

    fn claim(&self) -> Claim {
        let tag = SECRET.tag(SUBJECT);
        let list = |tag| Ok(self.lists.get(&tag).map(|positions| List::of(positions)));
        let proof = prove(self.top, tag, &self.nodes, list).unwrap();
        Claim::new(SUBJECT.to_owned(), Epoch::of(at()).0, tag, Some(&SECRET.0), self.lists[&tag].clone(), &proof)
    }

    fn entry(&self, position: u64) -> Entry {
        Entry {
            position,
            kind: if position < 8 { LeafKind::Disclose } else { LeafKind::Accept },
            target: Some(format!("AuditEvent/e{position}")),
            proof: self.proof(position, &format!("AuditEvent/e{position}"), Some(&KEY)),
            has_content: position >= 8,
            document: Some(document(position)),
            provenance: (position == 8).then(|| provenance("sent")),
            hour: hour(at()),
        }
    }

    fn package(&self) -> Package {
        let mut tree = TreeHashes::new(&self.edge, &NoTiles);
        let consistency = Consistency {
            old_size: 5,
            old_root: tree.root(5).unwrap().to_string(),
            proof: tree.consistency_proof(5, self.edge.size()).unwrap().iter().map(ToString::to_string).collect(),
        };
        Package {
            subject: SUBJECT.to_owned(),
            origin: ORIGIN.to_owned(),
            size: self.edge.size(),
            created: "2026-11-20T00:00:00Z".to_owned(),
            asked_by: "Health & Co".to_owned(),
            checkpoint: self.note().to_string(),
            policy: "quorum none\n".to_owned(),
            keys: KeyHistory::of(self.signer.verifier().clone()).to_string(),
            entries: [0, 2, 4, 6, 8].into_iter().map(|position| self.entry(position)).collect(),
            completeness: Completeness {
                anchored_at: 10,
                covers: 10,
                root: root(self.top.as_ref()).to_string(),
                claims: vec![self.claim()],
            },
            index_proof: self.proof(10, "", None),
            first_proof: self.proof(0, "", None),
            erasure_proof: None,
            consistency: Some(consistency),
            consents: vec![Consent {
                name: "c-1".to_owned(),
                document: consent(),
                proof: self.proof(9, "Consent/c/_history/1", Some(&KEY)),
            }],
            lacking: Vec::new(),
            left_out: 0,
        }
    }

    /// That the patient's leaves are all there are.
    pub(super) fn completeness(&self) -> Completeness {
        self.package().completeness
    }

    pub(super) fn policy(&self) -> Policy {
        Policy::of_log(self.signer.verifier().clone())
    }

    fn problems(&self, package: Package) -> Vec<String> {
        verify(&package.into_zip().unwrap(), &self.policy(), &Kept::default()).unwrap().problems
    }
}

/// A manifest of these entries, each with its document, and claims by so many patients.
fn listing(entries: &[(&str, &str, &str)], claims: usize) -> (Manifest, BTreeMap<String, Vec<u8>>) {
    let log = Log::new();
    let mut manifest = Manifest::of("Observation/o".to_owned(), &Checkpoint::new(ORIGIN, 5, Hash([1; 32])));
    let mut files = BTreeMap::new();
    for (position, (kind, target, document)) in (0..).zip(entries) {
        let listed = package::Listed { position, kind: (*kind).to_owned(), target: Some((*target).to_owned()) };
        manifest.entries.push(listed);
        if !document.is_empty() {
            files.insert(format!("documents/{position}.json"), document.as_bytes().to_vec());
        }
    }
    let completeness =
        Completeness { claims: (0..claims).map(|patient| log.claim().by_patient(patient)).collect(), ..log.package().completeness };
    files.insert("completeness.json".to_owned(), serde_json::to_vec(&completeness).unwrap());
    (manifest, files)
}

#[test]
fn a_sound_package_verifies() {
    let log = Log::new();
    let zip = log.package().into_zip().unwrap();
    let report = verify(&zip, &log.policy(), &Kept::default()).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!((report.leaves, report.opened, report.closed, report.covers, report.extends), (5, 5, 0, 10, Some(5)));
    assert_eq!((report.provenances, report.unproved, report.consents), (1, 0, 1));
    let files = unpack(&zip, MAX_UNPACKED_BYTES).unwrap();
    let page = String::from_utf8(files["index.html"].clone()).unwrap();
    assert!(page.contains("Health &amp; Co") && page.contains("AuditEvent/e4"));
    let other = SigningKey::from_seed(ORIGIN, Algorithm::Ed25519, &[4; 32]).unwrap();
    assert!(!verify(&zip, &Policy::of_log(other.verifier().clone()), &Kept::default()).unwrap().problems.is_empty());
}

/// A reader who was given the log's first key believes what its second one signs, once the package shows that the first handed over to it.
#[test]
fn a_package_verifies_with_a_key_that_was_succeeded_since() {
    let mut log = Log::new();
    let first = SigningKey::from_seed(ORIGIN, Algorithm::Ed25519, &[21; 32]).unwrap();
    let mut history = KeyHistory::of(first.verifier().clone());
    let handed_over = Checkpoint::new(ORIGIN, 5, TreeHashes::new(&log.edge, &NoTiles).root(5).unwrap());
    history.succeed(&first, &log.signer, &handed_over).unwrap();
    let reader = Policy::of_log(first.verifier().clone());
    let package = Package { keys: history.to_string(), ..log.package() };
    let zip = package.into_zip().unwrap();
    assert_eq!(verify(&zip, &reader, &Kept::default()).unwrap().problems, Vec::<String>::new());
    assert!(!verify(&log.package().into_zip().unwrap(), &reader, &Kept::default()).unwrap().problems.is_empty(), "without the succession");

    // The old key signs no larger tree any more, and nobody can write a succession without it.
    log.signer = first;
    let late = Package { keys: history.to_string(), ..log.package() };
    assert!(!verify(&late.into_zip().unwrap(), &reader, &Kept::default()).unwrap().problems.is_empty(), "signed by a key after its time");
    let forged = Package { keys: history.to_string().replace("next ", "next A"), ..log.package() };
    assert!(!verify(&forged.into_zip().unwrap(), &reader, &Kept::default()).unwrap().problems.is_empty());
}

/// A strict reader asks for a witness; its word in the package's checkpoint is enough, without it the package proves nothing to them.
#[test]
fn a_package_carries_the_witnesses_word() {
    let log = Log::new();
    let witness = SigningKey::from_seed("w.test", Algorithm::CosignatureV1, &[22; 32]).unwrap();
    let strict = format!("log {}\nwitness w {}\nquorum w\n", log.signer.verifier(), witness.verifier());
    let strict = Policy::parse(strict.as_bytes()).unwrap();
    let mut cosigned = log.note();
    let text = cosigned.unverified_text().to_owned();
    cosigned.add(witness.cosign(&text, 1_790_000_000).unwrap()).unwrap();
    let zip = Package { checkpoint: cosigned.to_string(), ..log.package() }.into_zip().unwrap();
    assert_eq!(verify(&zip, &strict, &Kept::default()).unwrap().problems, Vec::<String>::new());
    assert!(!verify(&log.package().into_zip().unwrap(), &strict, &Kept::default()).unwrap().problems.is_empty());
}
