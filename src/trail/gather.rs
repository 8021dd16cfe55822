//! What the leaves under a subject's tags stand for.

use super::Trail;
use crate::anchor::{Epoch, Leaf, LeafKind, Opening, PatientTags, audit_key, provenance_key, receipt_text, shared_key};
use crate::config::Interaction as Permission;
use crate::consent::{self, Permitted, PermittedRecord};
use crate::fhir::json;
use crate::identity::Caller;
use crate::ledger::index::Tag;
use crate::ledger::merkle::{leaf_hash, verify_inclusion};
use crate::ledger::{LogProof, Malformed, Note, TreeHashes};
use crate::outcome::{Fault, FaultKind, IssueType, Reason, Refusal};
use crate::pipeline::{Pipeline, patient_ids};
use crate::query::{Candidate, Ruling, StoredTiles};
use crate::search;
use crate::store::{HistoryScope, LedgerHead, PatientKey, Reader, StoredVersion};
use std::collections::{HashMap, HashSet};

/// The most leaves one trail has; a longer one is refused, to be asked for by record.
pub(super) const MAX_LEAVES: usize = 100_000;
/// The most versions of a record that are looked at to learn whose it is.
const MAX_VERSIONS: usize = 1000;
/// The most Provenances of one record that are read.
const MAX_PROVENANCES: usize = 10_000;

/// Whose trail is asked for.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    /// `Patient/…`, or the record.
    pub reference: String,
    /// The id of the patient it is, or is about.
    pub patient: String,
    /// Whether receipts carry the keys that open them.
    pub opens: bool,
}

/// The subject, if there is or was such a resource and it is about a patient.
pub(super) async fn subject(pipeline: &Pipeline, type_name: &str, id: &str) -> Result<Option<Subject>, Fault> {
    let (type_name, id) = (type_name.to_owned(), id.to_owned());
    pipeline
        .store
        .read(move |reader| {
            let reference = format!("{type_name}/{id}");
            let scope = HistoryScope::Instance { type_name: type_name.clone(), id: id.clone() };
            for version in reader.history(&scope, None, None, MAX_VERSIONS)? {
                let patient = if type_name == "Patient" { Some(id.clone()) } else { patients(&version)?.into_iter().next() };
                if let Some(patient) = patient {
                    return Ok(Some(Subject { reference, patient, opens: true }));
                }
            }
            Ok(None)
        })
        .await
}

fn patients(version: &StoredVersion) -> Result<Vec<String>, Fault> {
    if version.deleted() { Ok(Vec::new()) } else { Ok(patient_ids(&version.parse()?)) }
}

/// The subject's tag of one epoch.
#[derive(Debug, Clone)]
pub(super) struct EpochTag {
    pub epoch: Epoch,
    pub tag: Tag,
    pub secret: PatientTags,
}

/// One leaf and what it stands for.
pub(super) struct Item {
    pub position: u64,
    pub leaf: Leaf,
    /// The version or event it anchors; absent once that was erased.
    pub target: Option<String>,
    /// The receipt: proof and opening.
    pub receipt: String,
    /// The AuditEvent it anchors.
    pub event: Option<PermittedRecord>,
    /// The Provenance of the version it anchors: the one the leaf commits to.
    pub provenance: Option<PermittedRecord>,
    /// What else the gateway stated of the version, such as a late result that was not applied to it.
    pub statements: Vec<PermittedRecord>,
    /// The version itself, where consent permits.
    pub content: Option<Permitted>,
}

/// What the gateway stated of versions, read record by record.
#[derive(Default)]
struct Statements {
    /// The gateway's Provenances by the version they are about, oldest first, until it comes.
    provenances: HashMap<String, Vec<StoredVersion>>,
    records: HashSet<String>,
}

/// A leaf as the store has it.
struct Found {
    position: u64,
    entry: Vec<u8>,
    version: Option<StoredVersion>,
    provenances: Vec<StoredVersion>,
    path: Vec<crate::ledger::Hash>,
}

impl Trail {
    /// The subject's tags from the log's first epoch, or a later one, to now.
    pub(super) async fn tags(&self, subject: &Subject, since: Option<Epoch>) -> Result<Vec<EpochTag>, Fault> {
        let pipeline = &self.query.pipeline;
        let first = pipeline.store.read(|reader| reader.leaves(0, 1)).await?;
        let now = Epoch::of(pipeline.anchor.time.of(pipeline.clock.now()));
        let first = match first.first().map(|entry| Leaf::decode(entry)) {
            None => now,
            Some(Some(leaf)) => Epoch::of_hour(leaf.hour),
            Some(None) => {
                return Err(Fault::new(FaultKind::Ledger, "the log's first entry is not the gateway's: nothing says when it began"));
            }
        };
        let first = first.max(since.unwrap_or(Epoch(i64::MIN)));
        let key = self.key(subject)?;
        Ok(first
            .to(now)
            .map(|epoch| {
                let secret = PatientTags::of(&key, epoch);
                EpochTag { epoch, tag: secret.tag(&subject.reference), secret }
            })
            .collect())
    }

    fn key(&self, subject: &Subject) -> Result<PatientKey, Fault> {
        self.query.pipeline.anchor.keyring.patient(Some(&subject.patient))
    }

    /// Where the subject's leaves are, in the log's order.
    pub(super) async fn positions(&self, tags: &[EpochTag]) -> Result<Vec<u64>, crate::outcome::Failure> {
        let lists = self.indexer.positions(tags.iter().map(|tag| tag.tag).collect()).await?;
        let mut positions: Vec<u64> = lists.into_iter().flatten().collect();
        positions.sort_unstable();
        if positions.len() > MAX_LEAVES {
            let text = format!("This trail has more than {MAX_LEAVES} entries. Ask for the trails of single records.");
            return Err(Refusal::new(Reason::TooLarge, IssueType::TooCostly, text).into());
        }
        Ok(positions)
    }

    /// What stands at these places, with receipts under one checkpoint.
    pub(super) async fn items(
        &self,
        caller: &Caller,
        subject: &Subject,
        head: &LedgerHead,
        positions: Vec<u64>,
    ) -> Result<Vec<Item>, Fault> {
        let pipeline = &self.query.pipeline;
        let (definitions, edge, root) = (pipeline.definitions, head.clone(), head.edge.root());
        let found = pipeline
            .store
            .read(move |reader| {
                let tiles = StoredTiles(reader);
                let mut tree = TreeHashes::new(&edge.edge, &tiles);
                let (mut found, mut statements) = (Vec::with_capacity(positions.len()), Statements::default());
                for position in positions {
                    let path =
                        tree.inclusion_proof(position, edge.size()).map_err(|error| Fault::new(FaultKind::Ledger, error.to_string()))?;
                    let entry = reader.leaves(position, 1)?.pop();
                    let entry = entry.ok_or_else(|| Fault::new(FaultKind::StorageCorrupt, "a leaf is missing"))?;
                    verify_inclusion(&leaf_hash(&entry), position, edge.size(), &path, &root).map_err(|_| {
                        Fault::new(FaultKind::StorageCorrupt, format!("leaf {position} or a tile above it is not as it was written"))
                    })?;
                    let version = reader.version_of_leaf(position)?;
                    let provenances = version.as_ref().map(|version| statements.provenances(reader, definitions, version)).transpose()?;
                    found.push(Found { position, entry, version, provenances: provenances.unwrap_or_default(), path });
                }
                Ok(found)
            })
            .await?;
        let mut contents = self.contents(caller, &found).await?;
        let checkpoint: Note = head.note.parse().map_err(|error: Malformed| Fault::new(FaultKind::Ledger, error.to_string()))?;
        let key = self.key(subject)?;
        let items = found.into_iter().map(|found| self.item(found, subject, &key, &checkpoint, &mut contents));
        items.collect()
    }

    fn item(
        &self,
        found: Found,
        subject: &Subject,
        key: &PatientKey,
        checkpoint: &Note,
        contents: &mut HashMap<u64, Permitted>,
    ) -> Result<Item, Fault> {
        let leaf = Leaf::decode(&found.entry).ok_or_else(|| Fault::new(FaultKind::StorageCorrupt, "a leaf cannot be read"))?;
        let content = contents.remove(&found.position);
        let target = found.version.as_ref().map(reference);
        let (own_key, provenance_key) = match &found.version {
            _ if !subject.opens => (None, None),
            Some(version) if version.type_name == "AuditEvent" => (Some(audit_key(key, &version.id)), None),
            Some(version) => {
                let record = self.record_key(version, found.position, subject)?;
                let provenance = record.as_ref().filter(|_| leaf.provenance.is_some()).map(provenance_key);
                (record.filter(|_| content.is_some()), provenance)
            }
            None => (None, None),
        };
        let opening = Opening::new(target.clone().unwrap_or_default(), &found.entry, own_key.as_ref());
        let opening = opening.with_provenance_key(provenance_key.as_ref());
        let proof = LogProof { extra: None, index: found.position, path: found.path, checkpoint: checkpoint.clone() };
        let receipt = receipt_text(proof, &opening).map_err(|error| Fault::new(FaultKind::Internal, format!("write receipt: {error}")))?;
        let mut provenances = found.provenances.into_iter();
        let event = found.version.filter(|version| version.type_name == "AuditEvent" && leaf.kind != LeafKind::Accept);
        Ok(Item {
            position: found.position,
            leaf,
            target,
            receipt,
            event: overseen(event),
            // It was stored in one commit with its version, and everything else that is said of that later.
            provenance: overseen(provenances.next()),
            statements: provenances.filter_map(|one| overseen(Some(one))).collect(),
            content,
        })
    }

    /// The key that opens a version's leaf for this patient.
    fn record_key(&self, version: &StoredVersion, position: u64, subject: &Subject) -> Result<Option<[u8; 32]>, Fault> {
        let key = version.key.map(|id| self.query.pipeline.anchor.keyring.open_record(&id)).transpose()?.flatten();
        let is_first = version.leaf == Some(position);
        Ok(key.map(|key| if is_first { key } else { shared_key(&key, &subject.patient) }))
    }

    /// The versions whose content this caller may see: as consent permits, and whole, for a part of it opens no commitment.
    async fn contents(&self, caller: &Caller, found: &[Found]) -> Result<HashMap<u64, Permitted>, Fault> {
        let (mut places, mut candidates) = (Vec::new(), Vec::new());
        for found in found {
            let Some(version) = &found.version else { continue };
            let shown =
                !version.deleted() && version.type_name != "AuditEvent" && caller.scopes.allows(Permission::Read, &version.type_name);
            if shown {
                places.push((found.position, version));
                candidates.push(Candidate::stored(version)?);
            }
        }
        if candidates.is_empty() {
            return Ok(HashMap::new());
        }
        let judge = self.query.judge(caller, &candidates).await?;
        let mut open = HashMap::new();
        let mut contents = HashMap::new();
        for ((position, version), candidate) in places.into_iter().zip(candidates) {
            let Ruling::Permitted(permitted) = judge.rule(candidate) else { continue };
            if permitted.is_redacted() {
                continue;
            }
            let record = (version.type_name.clone(), version.id.clone());
            let current_is_open = match open.get(&record) {
                Some(known) => *known,
                // A label that was added later hides older versions too.
                None => self.query.current_is_open(caller, &record.0, &record.1, None).await?,
            };
            open.insert(record, current_is_open);
            if current_is_open {
                contents.insert(position, *permitted);
            }
        }
        Ok(contents)
    }
}

/// A record of what was done, as oversight may see it.
fn overseen(version: Option<StoredVersion>) -> Option<PermittedRecord> {
    consent::oversight_record(version?.document)
}

fn reference(version: &StoredVersion) -> String {
    if version.type_name == "AuditEvent" {
        format!("AuditEvent/{}", version.id)
    } else {
        format!("{}/{}/_history/{}", version.type_name, version.id, version.version)
    }
}

/// What a Provenance is about. One target, as the gateway writes it, is taken from the text; what looks otherwise is read.
fn targets(document: &str) -> Vec<String> {
    const BEFORE: &str = "\"target\":[{\"reference\":\"";
    if let Some((_, after)) = document.split_once(BEFORE)
        && let Some((reference, rest)) = after.split_once('"')
        && rest.starts_with("}],")
        && !reference.contains('\\')
    {
        return vec![reference.to_owned()];
    }
    let node = json::parse(document.as_bytes(), json::DEFAULT_DEPTH).ok();
    let targets = node.iter().flat_map(|node| node.items("target")).filter_map(|target| target.text("reference"));
    targets.map(str::to_owned).collect()
}

impl Statements {
    /// What the gateway itself stated of a version, oldest first: those of its record are read together, the first time one is wanted. A
    /// Provenance that a partner filed is a record like any other, with a leaf of its own.
    fn provenances(
        &mut self,
        reader: &Reader<'_>,
        definitions: &'static crate::definitions::Definitions,
        version: &StoredVersion,
    ) -> Result<Vec<StoredVersion>, Fault> {
        if version.type_name == "AuditEvent" {
            return Ok(Vec::new());
        }
        let record = format!("{}/{}", version.type_name, version.id);
        if self.records.insert(record) {
            let Some(key) = search::reference_key(definitions, "Provenance", "target", &version.id) else { return Ok(Vec::new()) };
            for provenance in reader.indexed_between(key, key, MAX_PROVENANCES)? {
                if provenance.type_name != "Provenance" || provenance.deleted() || provenance.leaf.is_some() {
                    continue;
                }
                for target in targets(&provenance.document) {
                    self.provenances.entry(target).or_default().push(provenance.clone());
                }
            }
        }
        Ok(self.provenances.remove(&reference(version)).unwrap_or_default())
    }
}
