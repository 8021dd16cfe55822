//! Packages that are sound, and packages made to deceive or to harm.

use super::archive::{ArchiveError, pack, unpack};
use super::erasers::Erasers;
use super::package::{Manifest, described};
use super::*;
use crate::anchor::{
    Epoch, Erased, Leaf, LeafKind, Opening, PROVENANCE_DOMAIN, PatientTags, Severed, Tags, commitment, hour, provenance_key, receipt_text,
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
            log.append(leaf.encode());
        }
        let changed: Vec<Branch> = log.lists.iter().map(|(tag, positions)| list_branch(*tag, &List::of(positions))).collect();
        log.top = update(None, &changed, &mut log.nodes).unwrap();
        log.append(Leaf::index(at(), root(log.top.as_ref()).0, 10).encode());
        log
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

/// What somebody who makes the package themselves might try: every file is then as the manifest says.
#[test]
fn packages_that_deceive_are_found_out() {
    let log = Log::new();
    type Change = fn(&Log, &mut Package);
    let deceits: [(&str, Change); 27] = [
        ("an entry left out", |_, package| drop(package.entries.remove(2))),
        ("an entry and its position left out", |_, package| {
            package.entries.pop();
            package.completeness.claims[0].positions.pop();
        }),
        ("all left out, as if there were none", |_, package| {
            package.entries.clear();
            package.completeness.claims[0].positions.clear();
        }),
        ("another's leaf as the patient's", |log, package| {
            package.entries[0].position = 1;
            package.entries[0].proof = log.proof(1, "AuditEvent/e0", Some(&KEY));
        }),
        ("a document changed", |_, package| package.entries[1].document = Some(document(77))),
        ("a document under another key", |log, package| package.entries[1].proof = log.proof(2, "AuditEvent/e2", Some(&[1; 32]))),
        ("a key kept back where there is a document", |log, package| package.entries[1].proof = log.proof(2, "AuditEvent/e2", None)),
        ("a proof of another leaf", |log, package| package.entries[1].proof = log.proof(4, "AuditEvent/e2", Some(&KEY))),
        ("a kind that is not the leaf's", |_, package| package.entries[1].kind = LeafKind::Audit),
        ("a tag that is not the subject's", |log, package| {
            let list = |tag| Ok(log.lists.get(&tag).map(|positions| List::of(positions)));
            let absent = Tag([0x55; 16]);
            let proof = prove(log.top, absent, &log.nodes, list).unwrap();
            package.entries.clear();
            let epoch = package.completeness.claims[0].epoch;
            package.completeness.claims = vec![Claim::new(SUBJECT.to_owned(), epoch, absent, Some(&SECRET.0), Vec::new(), &proof)];
        }),
        ("no claim at all", |_, package| package.completeness.claims.clear()),
        ("an epoch that is not the leaves'", |_, package| package.completeness.claims[0].epoch += 1),
        ("an index that nobody anchored", |_, package| package.completeness.root = Hash([1; 32]).to_string()),
        ("an index that is said to cover more", |_, package| package.completeness.covers = 11),
        ("a history that never was", |_, package| {
            package.consistency.as_mut().unwrap().old_root = Hash([1; 32]).to_string();
        }),
        ("a Provenance changed", |_, package| package.entries[4].provenance = Some(provenance("invented"))),
        ("a Provenance kept back", |_, package| package.entries[4].provenance = None),
        ("a Provenance of what has none", |_, package| package.entries[0].provenance = Some(provenance("sent"))),
        ("a Provenance of another version", |_, package| package.entries[4].target = Some("AuditEvent/e6".to_owned())),
        ("a consent changed", |_, package| package.consents[0].document = consent().replace("Consent", "Consent \u{fe0f}")),
        ("a consent under another name", |_, package| package.consents[0].name = "c-2".to_owned()),
        ("a record that is no consent, as one", |log, package| {
            package.consents[0] =
                Consent { name: "e8-1".to_owned(), document: document(8), proof: log.proof(8, "Consent/e8/_history/1", Some(&KEY)) };
        }),
        ("a checkpoint of another size", |_, package| package.size += 1),
        ("a version called erased that nothing erased", |log, package| {
            let entry = &mut package.entries[4];
            (entry.target, entry.document, entry.provenance, entry.proof) = (None, None, None, log.proof(8, "", None));
        }),
        ("a document under another's name", |log, package| {
            let entry = &mut package.entries[1];
            (entry.target, entry.proof) = (Some("AuditEvent/e4".to_owned()), log.proof(2, "AuditEvent/e4", Some(&KEY)));
        }),
        ("entries turned round", |_, package| package.entries.reverse()),
        ("a tag of a patient with nothing to show for it", |_, package| package.completeness.claims[0].secret = None),
    ];
    for (what, change) in deceits {
        let mut package = log.package();
        change(&log, &mut package);
        assert!(!log.problems(package).is_empty(), "{what} passes");
    }
}

/// The same files with one changed, the manifest put right where `honest`.
fn with_file(log: &Log, name: &str, bytes: Option<&[u8]>, honest: bool) -> Vec<u8> {
    let mut files = unpack(&log.package().into_zip().unwrap(), MAX_UNPACKED_BYTES).unwrap();
    match bytes {
        Some(bytes) => drop(files.insert(name.to_owned(), bytes.to_vec())),
        None => drop(files.remove(name)),
    }
    if honest {
        let mut manifest: Manifest = serde_json::from_slice(&files["manifest.json"]).unwrap();
        manifest.files = files.iter().filter(|(name, _)| *name != "manifest.json").map(|(name, bytes)| described(name, bytes)).collect();
        files.insert("manifest.json".to_owned(), serde_json::to_vec(&manifest).unwrap());
    }
    pack(files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))).unwrap()
}

#[test]
fn every_file_counts_and_none_breaks_the_reader() {
    let log = Log::new();
    let names: Vec<String> = unpack(&log.package().into_zip().unwrap(), MAX_UNPACKED_BYTES).unwrap().into_keys().collect();
    for name in &names {
        for bytes in [None, Some(&b""[..]), Some(b"{}"), Some(b"[[[[[["), Some(&[0xFF; 40])] {
            let zip = with_file(&log, name, bytes, false);
            assert!(!verify(&zip, &log.policy(), &Kept::default()).unwrap().problems.is_empty(), "{name} as {bytes:?}");
            let needed = !matches!(name.as_str(), "policy" | "keys" | "consistency.json" | "manifest.json");
            let is_document = name.starts_with("documents/");
            if needed && !(is_document && bytes.is_none()) {
                let zip = with_file(&log, name, bytes, true);
                assert!(
                    !verify(&zip, &log.policy(), &Kept::default()).unwrap().problems.is_empty(),
                    "{name} as {bytes:?}, manifest put right"
                );
            }
        }
    }
    // A file nobody named, and one that was kept back.
    assert!(!verify(&with_file(&log, "extra.json", Some(b"{}"), false), &log.policy(), &Kept::default()).unwrap().problems.is_empty());
    let mut package = log.package();
    package.entries[1].document = None;
    let at = package.entries[1].position;
    let closed = verify(&package.into_zip().unwrap(), &log.policy(), &Kept::default()).unwrap();
    assert_eq!(closed.problems, [format!("documents/{at}.json: it is missing, and the package does not say why")]);
    let mut package = log.package();
    package.entries[1].document = None;
    package.lacking = vec![Lacking::event(at)];
    assert_eq!(log.problems(package).len(), 1, "nothing was ever erased");
    let mut package = log.package();
    package.entries[1].document = None;
    let page = String::from_utf8(unpack(&package.into_zip().unwrap(), MAX_UNPACKED_BYTES).unwrap()["index.html"].clone()).unwrap();
    assert!(page.contains("its record is not in this package") && !page.contains("erased"), "nothing says that it was erased");
    // A page that is not this package's, though every file is as the manifest says.
    let page = String::from_utf8(unpack(&log.package().into_zip().unwrap(), MAX_UNPACKED_BYTES).unwrap()["index.html"].clone()).unwrap();
    let lies = with_file(&log, "index.html", Some(page.replace("Health &amp; Co", "Somebody Else").as_bytes()), true);
    let problems = verify(&lies, &log.policy(), &Kept::default()).unwrap().problems;
    assert!(matches!(&problems[..], [only] if only.starts_with("index.html: ")), "{problems:?}");
    // Packages of the format before have a page that cannot be made again.
    for format in ["hearthgate/evidence/1", "hearthgate/evidence/2", "hearthgate/evidence/3"] {
        let before = older(&lies, format);
        let problems = verify(&before, &log.policy(), &Kept::default()).unwrap().problems;
        assert!(matches!(&problems[..], [only] if only.contains("older format")), "nobody is led to believe the page: {problems:?}");
        let report = verify(&before, &log.policy(), &Kept { allows_old_formats: true, ..Kept::default() }).unwrap();
        assert_eq!((report.problems.len(), report.is_page_compared), (0, false));
    }
    let unknown = older(&lies, "hearthgate/evidence/9");
    assert_eq!(verify(&unknown, &log.policy(), &Kept { allows_old_formats: true, ..Kept::default() }).unwrap().problems.len(), 1);
    // Files that belong to no entry, though the manifest names them.
    for name in [
        "documents/77.json",
        "documents/1.json",
        "provenance/3.json",
        "proofs/5.tlog-proof",
        "documents/02.json",
        "page.html",
        "documents/2.html",
    ] {
        let problems = verify(&with_file(&log, name, Some(b"{}"), true), &log.policy(), &Kept::default()).unwrap().problems;
        assert!(matches!(&problems[..], [only] if only.contains("belong to no entry")), "{name}: {problems:?}");
    }
    // A checkpoint the reader kept wants its proof.
    let seen = Checkpoint::new(ORIGIN, 5, Hash([1; 32]));
    let zip = log.package().into_zip().unwrap();
    assert!(!verify(&zip, &log.policy(), &Kept { seen: Some(&seen), ..Kept::default() }).unwrap().problems.is_empty());
    let none = with_file(&log, "consistency.json", None, true);
    assert!(!verify(&none, &log.policy(), &Kept { seen: Some(&seen), ..Kept::default() }).unwrap().problems.is_empty());
}

/// The same package that says to be of another format.
fn older(zip: &[u8], format: &str) -> Vec<u8> {
    let mut files = unpack(zip, MAX_UNPACKED_BYTES).unwrap();
    let mut manifest: Manifest = serde_json::from_slice(&files["manifest.json"]).unwrap();
    manifest.format = format.to_owned();
    files.insert("manifest.json".to_owned(), serde_json::to_vec(&manifest).unwrap());
    pack(files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))).unwrap()
}

/// Whoever holds a receipt finds out that a package names tags under which there is nothing, drawn for that.
#[test]
fn receipts_bind_the_tags_to_the_subject() {
    let log = Log::new();
    let receipt = |number: u64| Receipt { name: format!("{number}.tlog-proof"), text: log.proof(number, "AuditEvent/e", Some(&KEY)) };
    let check = |package: Package, receipts: &[Receipt]| {
        verify(&package.into_zip().unwrap(), &log.policy(), &Kept { receipts, ..Kept::default() }).unwrap()
    };
    let sound = check(log.package(), &[receipt(2), receipt(8)]);
    assert_eq!((sound.problems.as_slice(), sound.receipts, sound.bound.len(), sound.tags), (&[][..], 2, 1, 1));
    let unbound = check(log.package(), &[]);
    assert_eq!((unbound.problems.len(), unbound.receipts, unbound.bound.len(), unbound.tags), (0, 0, 0, 1));

    // "There are none", under a secret that somebody drew: sound in itself, and refused by whoever has a receipt.
    let drawn = PatientTags([0x55; 32]);
    let list = |tag| Ok(log.lists.get(&tag).map(|positions| List::of(positions)));
    let proof = prove(log.top, drawn.tag(SUBJECT), &log.nodes, list).unwrap();
    let none = || {
        let mut package = log.package();
        package.entries.clear();
        let claim = Claim::new(SUBJECT.to_owned(), Epoch::of(at()).0, drawn.tag(SUBJECT), Some(&drawn.0), Vec::new(), &proof);
        package.completeness.claims = vec![claim];
        package
    };
    assert_eq!(check(none(), &[]).problems, Vec::<String>::new());
    type Wrong<'a> = (&'a str, Package, Receipt);
    let forked = SigningKey::from_seed(ORIGIN, Algorithm::Ed25519, &[4; 32]).unwrap();
    let foreign = Log { signer: forked, ..Log::new() }.proof(2, "AuditEvent/e", Some(&KEY));
    let wrong: [Wrong<'_>; 5] = [
        ("does not list it", none(), receipt(2)),
        ("does not list it", log.package(), receipt(9)),
        ("newer than what this package looked through", log.package(), receipt(10)),
        ("the proof does not hold", log.package(), Receipt { name: "other".to_owned(), text: foreign }),
        ("the proof does not hold", log.package(), Receipt { name: "none".to_owned(), text: "nothing".to_owned() }),
    ];
    for (expected, package, receipt) in wrong {
        let report = check(package, std::slice::from_ref(&receipt));
        assert!(matches!(&report.problems[..], [only] if only.contains(expected)), "{expected}: {:?}", report.problems);
    }
    // Two histories of one log.
    let mut other = Log::new();
    other.edge = Edge::new();
    let entries = std::mem::take(&mut other.entries);
    for (number, mut entry) in entries.into_iter().enumerate() {
        if number == 2 {
            *entry.last_mut().unwrap() ^= 1;
        }
        other.append(entry);
    }
    let split = Receipt { name: "split".to_owned(), text: other.proof(2, "AuditEvent/e", Some(&KEY)) };
    assert!(check(log.package(), &[split]).problems[0].contains("there are two histories"));
}

/// A record that was about several patients has the leaves under the tags of each, and none of them may be left out.
#[test]
fn a_record_of_several_patients_is_complete_for_each() {
    let log = Log::new();
    let package = || {
        let mut package = log.package();
        package.subject = "Observation/o".to_owned();
        let list = |tag| Ok(log.lists.get(&tag).map(|positions| List::of(positions)));
        let claim = |tag: Tag, patient| {
            let proof = prove(log.top, tag, &log.nodes, list).unwrap();
            let positions = log.lists[&tag].clone();
            Claim::new("Observation/o".to_owned(), Epoch::of(at()).0, tag, None, positions, &proof).by_patient(patient)
        };
        package.completeness.claims = vec![claim(SECRET.tag(SUBJECT), 0), claim(OTHER, 1)];
        package.entries.extend([1, 3, 5, 7].map(|position| log.entry(position)));
        let mut last = log.entry(9);
        last.document = Some(consent());
        last.proof = log.proof(9, "Consent/c/_history/1", Some(&KEY));
        last.target = Some("Consent/c/_history/1".to_owned());
        package.entries.push(last);
        package.entries.sort_by_key(|entry| entry.position);
        package
    };
    let problems = log.problems(package());
    assert_eq!(problems, ["provenance/9.json: it is missing"], "all but what this log has none of");
    for (what, change) in [
        ("an epoch of the second left out", (|package| drop(package.completeness.claims.pop())) as fn(&mut Package)),
        ("two that say they are the first", |package| package.completeness.claims[1].patient = 0),
        ("one that says it is the third", |package| package.completeness.claims[1].patient = 2),
        ("one twice", |package| {
            let mut again = package.completeness.claims[0].clone();
            again.patient = 2;
            package.completeness.claims.push(again);
        }),
        ("a version left out", |package| package.entries[1].target = Some("Observation/o/_history/2".to_owned())),
    ] {
        let mut package = package();
        change(&mut package);
        assert!(log.problems(package).len() > 1, "{what} passes");
    }
}

/// A manifest of these entries, each with its document, and claims by so many patients.
fn listing(entries: &[(&str, &str, &str)], claims: usize) -> (Manifest, BTreeMap<String, Vec<u8>>) {
    let log = Log::new();
    let mut manifest = Manifest::of("Observation/o".to_owned(), &Checkpoint::new(ORIGIN, 5, Hash([1; 32])));
    let mut files = BTreeMap::new();
    for (position, (kind, target, document)) in (0..).zip(entries) {
        let listed = super::package::Listed { position, kind: (*kind).to_owned(), target: Some((*target).to_owned()) };
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

/// Who drops what was claimed by one of a record's patients is found out by the versions that name them.
#[test]
fn a_record_is_claimed_by_everybody_its_versions_name() {
    let of = |patient: &str| format!(r#"{{"resourceType":"Observation","subject":{{"reference":"Patient/{patient}"}}}}"#);
    let (a, b) = (of("a"), of("b"));
    let versions = [
        ("accept", "Observation/o/_history/1", a.as_str()),
        ("accept", "Observation/o/_history/2", b.as_str()),
        ("accept", "Observation/o/_history/2", b.as_str()),
        ("disclose", "AuditEvent/e", r#"{"resourceType":"AuditEvent","entity":[{"what":{"reference":"Patient/c"}}]}"#),
    ];
    for (shown, claims, is_sound) in [(4, 2, true), (4, 3, true), (4, 1, false), (1, 1, true), (4, 0, false)] {
        let (manifest, files) = listing(&versions[..shown], claims);
        let mut report = Report::default();
        super::belongs::patients(&manifest, &files, &BTreeMap::new(), &mut report);
        assert_eq!(report.problems.is_empty(), is_sound, "{shown} entries, {claims} claims: {:?}", report.problems);
    }
    // What is claimed as nobody's is not another patient's, and nobody's are claimed once.
    let leaf =
        |patient: Option<Tag>| Leaf::new(LeafKind::Accept, at(), Tags { patient, record: Some(OTHER), partner: None }, [0; 32], [0; 32]);
    for (places, is_sound) in
        [([&[0][..], &[1, 2]], true), ([&[0], &[3]], false), ([&[3], &[]], false), ([&[0], &[1, 3]], false), ([&[3], &[3]], false)]
    {
        let (manifest, mut files) = listing(&versions, 2);
        let mut completeness: Completeness = serde_json::from_slice(&files["completeness.json"]).unwrap();
        completeness.claims.iter_mut().zip(places).for_each(|(claim, places)| claim.positions = places.to_vec());
        files.insert("completeness.json".to_owned(), serde_json::to_vec(&completeness).unwrap());
        let leaves = (0..4).map(|position| (position, leaf((position < 3).then_some(OTHER)))).collect();
        let mut report = Report::default();
        super::belongs::patients(&manifest, &files, &leaves, &mut report);
        assert_eq!(report.problems.is_empty(), is_sound, "{places:?}: {:?}", report.problems);
    }
}

/// A leaf under none of the tags belongs to a trail where what it commits to says so, and a version that does comes before all that is nobody's.
#[test]
fn what_bears_no_tag_must_show_that_it_belongs() {
    let log = Log::new();
    let leaf = |record: Option<Tag>| Leaf::new(LeafKind::Accept, at(), Tags { record, ..Tags::default() }, [0; 32], [0; 32]);
    for (tagged_at, is_shown, problems) in [(5, true, 0), (5, false, 1), (2, true, 1)] {
        let (mut manifest, mut files) = listing(&[], 0);
        manifest.subject = "Practitioner/p".to_owned();
        let package = log.package();
        let mut claim = log.claim();
        (claim.of, claim.secret) = (manifest.subject.clone(), None);
        files.insert(
            "completeness.json".to_owned(),
            serde_json::to_vec(&Completeness { claims: vec![claim], ..package.completeness }).unwrap(),
        );
        files.insert("index.tlog-proof".to_owned(), package.index_proof.into_bytes());
        files.insert("first.tlog-proof".to_owned(), package.first_proof.into_bytes());
        let checkpoint: Checkpoint = log.note().unverified_text().parse().unwrap();
        let mut report = Report::default();
        report.untagged.extend(is_shown.then_some(3));
        let leaves = BTreeMap::from([(3, leaf(None)), (tagged_at, leaf(Some(OTHER)))]);
        let _tags = super::whole::complete(&manifest, &files, &checkpoint, &leaves, None, &mut report);
        // That the claim's own leaves and the tagged one are not where they should be is beside the point.
        let about =
            |problem: &&String| problem.contains("under none of the tags") && !problem.contains(": 1 ") || problem.contains("bears no tag");
        assert_eq!(report.problems.iter().filter(about).count(), problems, "{:?}", report.problems);
        assert_eq!(report.tagged_from, is_shown.then_some(tagged_at));
    }
}

/// What is named and not there was taken away, unless the package says why it is not; what it says must be so.
#[test]
fn what_is_named_and_not_there_must_be_told() {
    let event = r#"{"resourceType":"AuditEvent","entity":[{"what":{"reference":"Consent/c/_history/1"}},{"what":{"reference":"Consent/c/_history/2"}},{"what":{"reference":"Observation/o/_history/1"}}]}"#;
    let listed = [
        ("accept", "Observation/o/_history/1", ""),
        ("disclose", "AuditEvent/e", event),
        ("deliver", "AuditEvent/f", event),
        ("refuse", "AuditEvent/g", ""),
        ("erase", "AuditEvent/h", ""),
    ];
    let (gone, consent_gone) = (|| Lacking::event(3), |why| Lacking::consent("c-2", why));
    let event_gone = |why| Lacking { why, ..gone() };
    for (lacking, erased_at, problems, counted) in [
        (vec![], Some(4), 2, vec![]),
        (vec![gone()], Some(4), 1, vec![(Why::Shortened, 1)]),
        (vec![gone(), consent_gone(Why::Withheld)], Some(4), 0, vec![(Why::Withheld, 1), (Why::Shortened, 1)]),
        (vec![gone(), consent_gone(Why::Erased)], Some(4), 0, vec![(Why::Erased, 1), (Why::Shortened, 1)]),
        // Records of what was done are neither withheld nor erased, consents are not shortened.
        (vec![event_gone(Why::Withheld), consent_gone(Why::Withheld)], Some(4), 1, vec![(Why::Withheld, 1)]),
        (vec![event_gone(Why::Erased), consent_gone(Why::Withheld)], Some(4), 1, vec![(Why::Withheld, 1)]),
        (vec![gone(), consent_gone(Why::Shortened)], Some(4), 1, vec![(Why::Shortened, 1)]),
        // No erasure, or only one before it.
        (vec![gone(), consent_gone(Why::Withheld)], None, 1, vec![(Why::Withheld, 1)]),
        (vec![gone(), consent_gone(Why::Erased)], None, 2, vec![]),
        (vec![gone(), consent_gone(Why::Erased)], Some(3), 1, vec![(Why::Erased, 1)]),
        // What is there, and what nothing names.
        (
            vec![gone(), consent_gone(Why::Erased), Lacking::consent("c-1", Why::Erased)],
            Some(4),
            1,
            vec![(Why::Erased, 1), (Why::Shortened, 1)],
        ),
        (vec![gone(), consent_gone(Why::Erased), Lacking::event(0)], Some(4), 1, vec![(Why::Erased, 1), (Why::Shortened, 1)]),
    ] {
        let (mut manifest, mut files) = listing(&listed, 1);
        files.insert("consents/c-1.json".to_owned(), consent().into_bytes());
        manifest.lacking.clone_from(&lacking);
        let mut report = Report::default();
        super::belongs::missing(&manifest, &files, erased_at, &mut report);
        assert_eq!((report.problems.len(), report.lacking), (problems, counted.into_iter().collect()), "{lacking:?} {erased_at:?}");
    }
    let (mut manifest, files) = listing(&listed, 1);
    manifest.format = "hearthgate/evidence/3".to_owned();
    let mut report = Report::default();
    super::belongs::missing(&manifest, &files, None, &mut report);
    assert_eq!((report.problems.len(), report.untold), (0, 3), "older ones do not say");
}

/// A disclosure cut out of a package is not called something else: only the log's own word of an erasure after it lets it lack.
#[test]
fn a_record_that_was_cut_out_is_missed() {
    let mut log = Log::new();
    log.append(Leaf::new(LeafKind::Erase, at(), Tags::default(), [0; 32], [0; 32]).encode());
    let cut = |why, erasure: Option<u64>| {
        let mut package = log.package();
        package.entries[1].document = None;
        package.lacking = vec![Lacking { why, ..Lacking::event(package.entries[1].position) }];
        package.erasure_proof = erasure.map(|position| log.proof(position, "", None));
        verify(&package.into_zip().unwrap(), &log.policy(), &Kept::default()).unwrap()
    };
    for (why, erasure, problems) in [
        (Why::Withheld, None, 1),
        (Why::Withheld, Some(11), 1),
        (Why::Erased, Some(11), 1),
        (Why::Shortened, None, 1),
        (Why::Shortened, Some(6), 2),
        (Why::Shortened, Some(11), 0),
    ] {
        let report = cut(why, erasure);
        assert_eq!(report.problems.len(), problems, "{why:?} {erasure:?}: {:?}", report.problems);
        assert_eq!(report.lacking.values().sum::<usize>(), usize::from(problems == 0), "{why:?} {erasure:?}");
    }
}

fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    pack(files.iter().copied()).unwrap()
}

#[test]
fn archives_made_to_harm_are_refused() {
    for name in ["/etc/passwd", "../up", "a/../b", "a/b/c", "C:\\x", "a b", "", ".hidden", "a/.b", "café", "a/", &"n".repeat(200)] {
        let Ok(zip) = std::panic::catch_unwind(|| pack([(name, &b"x"[..])].into_iter())) else { continue };
        let Ok(zip) = zip else { continue };
        let refused = unpack(&zip, MAX_UNPACKED_BYTES);
        // The writer itself may have made a harmless name of it.
        assert!(
            refused.is_err() || refused.as_ref().is_ok_and(|files| files.keys().all(|name| !name.contains(".."))),
            "{name:?}: {refused:?}"
        );
    }
    // A bomb: a megabyte of zeros packs to a kilobyte.
    let zeros = vec![0; 1 << 20];
    let bomb = zipped(&[("a", &zeros), ("b", &zeros), ("c", &zeros)]);
    assert!(bomb.len() < 20_000);
    assert_eq!(unpack(&bomb, 2 << 20), Err(ArchiveError::Bomb));
    assert_eq!(unpack(&bomb, (3 << 20) - 1), Err(ArchiveError::Bomb));
    assert_eq!(unpack(&bomb, 3 << 20).unwrap().len(), 3);
    assert_eq!(unpack(&zipped(&[("a", b"1"), ("a", b"2")]), 100), Err(ArchiveError::Twice));
    // Bytes cut, flipped, prepended: refused or read, never a panic.
    let sound = zipped(&[("manifest.json", b"{}"), ("proofs/1.tlog-proof", &[7; 500])]);
    for length in 0..sound.len() {
        let _ = unpack(&sound[..length], 10_000);
    }
    for at in 0..sound.len() {
        for bit in [1, 0x80, 0xFF] {
            let mut damaged = sound.clone();
            damaged[at] ^= bit;
            let _ = unpack(&damaged, 10_000);
        }
    }
    let mut content = sound.clone();
    let at = content.windows(8).position(|window| window == b"1.tlog-p").unwrap() + 20;
    content[at] ^= 0x40;
    assert!(matches!(unpack(&content, 10_000), Err(ArchiveError::Malformed(_))), "a changed byte is found by its checksum");
}

#[test]
fn an_error_names_no_file_of_the_archive() {
    let mut packed = Vec::new();
    packed.write_all(b"PK\x05\x06").unwrap();
    for error in [ArchiveError::TooLarge, ArchiveError::TooManyFiles, ArchiveError::Bomb, ArchiveError::Name, ArchiveError::Twice] {
        assert!(error.to_string().starts_with("the package"));
    }
    assert!(matches!(unpack(&packed, 10), Err(ArchiveError::Malformed(_))));
}

/// A number may lack below the newest version that a later leaf found when it erased.
#[test]
fn a_version_lacks_only_where_a_later_leaf_says_that_it_was_erased() {
    let leaf = |kind| Leaf::new(kind, at(), Tags::default(), [0; 32], [0; 32]);
    for (numbers, erased_at, lacking) in [
        (&[1, 2, 3][..], None, Some(0)),
        (&[2, 3], None, None),
        (&[2, 3], Some(1), Some(1)),
        (&[2, 4], Some(2), Some(2)),
        (&[2, 4], Some(1), None),
        (&[2, 3], Some(0), None),
        (&[1, 3], None, None),
    ] {
        let targets: Vec<String> = numbers.iter().map(|number| format!("Observation/o/_history/{number}")).collect();
        let entries: Vec<_> = targets.iter().map(|target| ("accept", target.as_str(), "")).collect();
        let (manifest, _) = listing(&entries, 1);
        // Leaves at odd places stand between the listed ones at even places.
        let mut manifest = manifest;
        manifest.entries.iter_mut().for_each(|listed| listed.position *= 2);
        let mut report = Report::default();
        let (leaf, opening) = (leaf(LeafKind::Erase), Opening::new(String::new(), &[], None));
        let erasers = erased_at.map(|after: u64| ((after * 2).saturating_sub(1), &leaf, &opening));
        let erasers = Erasers::of(erasers.into_iter(), &mut report);
        super::whole::versions(&manifest, &erasers, &mut report);
        assert_eq!(report.problems.is_empty().then_some(report.erased_versions), lacking, "{numbers:?} {erased_at:?}");
    }
}

/// A leaf that names what it erased explains that alone; what names nothing is of an older gateway, and comes after nothing of a newer one.
#[test]
fn what_is_named_as_erased_lacks_and_nothing_else() {
    let severed = |positions: &[u64], versions: &[u32]| {
        Severed::naming(&positions.iter().copied().collect(), &versions.iter().copied().collect(), || [8; 32]).pop().unwrap()
    };
    let (named, others) = (severed(&[2], &[1]), severed(&[4], &[2]));
    let accepted = Leaf::new(LeafKind::Accept, at(), Tags::default(), [0; 32], [0; 32]);
    let eraser = |canonical| Leaf::new(LeafKind::Erase, at(), Tags::default(), [1; 32], canonical);
    let (new, old) = (eraser(named.commitment().unwrap()), eraser([0; 32]));
    let opening = |severed: Option<&Severed>| Opening::new(String::new(), &[], None).with_severed(severed.cloned());
    let nothing = opening(None);
    // The erasing leaves with what opens them; how the leaf at 2 is explained, whether version 1 is named, and how many problems there are.
    for (erasers, explained, is_version_named, problems) in [
        (vec![(7, &new, opening(Some(&named)))], Some(Erased::Named), true, 0),
        (vec![(7, &new, opening(None))], None, false, 0),
        (vec![(7, &new, opening(Some(&others)))], None, false, 1),
        (vec![(1, &new, opening(Some(&named)))], None, true, 0),
        (vec![(7, &old, opening(None))], Some(Erased::Unnamed), false, 0),
        (vec![(7, &old, opening(Some(&named)))], Some(Erased::Unnamed), false, 1),
        (vec![(7, &old, opening(None)), (8, &new, opening(Some(&named)))], Some(Erased::Named), true, 0),
        (vec![(7, &new, opening(Some(&named))), (8, &old, opening(None))], Some(Erased::Named), true, 1),
        (vec![(7, &accepted, opening(Some(&named)))], None, false, 1),
    ] {
        let mut report = Report::default();
        let proved = erasers.iter().map(|(position, leaf, opening)| (*position, *leaf, opening));
        let found = Erasers::of(std::iter::once((2, &accepted, &nothing)).chain(proved), &mut report);
        let is_named = found.names_version(1);
        assert_eq!((found.explain(2, &accepted), is_named, report.problems.len()), (explained, is_version_named, problems), "{erasers:?}");
    }
}
