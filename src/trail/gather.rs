//! What the leaves under a subject's tags stand for.

use super::Trail;
use crate::anchor::{Epoch, Leaf, LeafKind, Opening, PatientTags, audit_key, provenance_key, receipt_text, shared_key};
use crate::config::Interaction as Permission;
use crate::consent::{self, Permitted, PermittedRecord};
use crate::fhir::json;
use crate::identity::Caller;
use crate::ledger::index::Tag;
use crate::ledger::merkle::leaf_hash;
use crate::ledger::{LedgerError, TreeHashes};
use crate::outcome::{Fault, FaultKind, IssueType, Reason, Refusal};
use crate::pipeline::{Pipeline, patient_ids};
use crate::query::{Candidate, Scope, StoredTiles};
use crate::search;
use crate::store::{HistoryScope, LedgerHead, PatientKey, Reader, StoredVersion};
use std::collections::{HashMap, HashSet};
use tokio::sync::OnceCell;

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

/// What every portion of one trail is read with.
pub(super) struct Reading {
    pub caller: Caller,
    pub subject: Subject,
    /// The checkpoint that all receipts are under.
    pub head: LedgerHead,
    /// How far the subject's records might be shown at all, from the first portion on that has any. What might be is decided portion by portion.
    scope: OnceCell<Scope>,
}

impl Reading {
    pub fn new(caller: &Caller, subject: Subject, head: LedgerHead) -> Reading {
        Reading { caller: caller.clone(), subject, head, scope: OnceCell::new() }
    }
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

    /// What stands at these places.
    pub(super) async fn items(&self, reading: &Reading, positions: Vec<u64>) -> Result<Vec<Item>, Fault> {
        let pipeline = &self.query.pipeline;
        let (definitions, log) = (pipeline.definitions, reading.head.clone());
        let found = pipeline.store.read(move |reader| found(reader, definitions, &log, &positions)).await?;
        let mut contents = self.contents(reading, &found).await?;
        let key = self.key(&reading.subject)?;
        let wanted = |found: &Found| found.version.as_ref().filter(|_| reading.subject.opens).and_then(|version| version.key);
        let secrets = pipeline.anchor.keyring.open_records(found.iter().map(wanted))?;
        let opened = found.into_iter().zip(secrets);
        opened.map(|(found, secret)| item(found, secret, reading, &key, &mut contents)).collect()
    }

    /// The versions whose content this caller may see: as consent permits, and whole, for a part of it opens no commitment.
    async fn contents(&self, reading: &Reading, found: &[Found]) -> Result<HashMap<u64, Permitted>, Fault> {
        let Reading { caller, subject, scope, .. } = reading;
        let versions = found.iter().filter_map(|found| Some((found.position, found.version.as_ref()?)));
        let mut shown: Vec<(u64, &StoredVersion)> = versions
            .filter(|(_, version)| {
                !version.deleted() && version.type_name != "AuditEvent" && caller.scopes.allows(Permission::Read, &version.type_name)
            })
            .collect();
        if !shown.is_empty() {
            let scope = scope.get_or_try_init(|| self.query.scope(caller, &subject.patient)).await?;
            shown.retain(|(_, version)| scope.may_show(version));
        }
        if shown.is_empty() {
            return Ok(HashMap::new());
        }
        let hidden = self.hidden(caller, &shown).await?;
        let candidates = shown.iter().map(|(_, version)| Candidate::stored(version)).collect::<Result<Vec<_>, Fault>>()?;
        let judge = self.query.judge(caller, &candidates).await?;
        let ruled = shown.into_iter().zip(candidates).filter(|((_, version), _)| !hidden.contains(&record(version)));
        let ruled = ruled.filter_map(|((position, _), candidate)| Some((position, judge.rule(candidate).permitted()?)));
        Ok(ruled.filter(|(_, permitted)| !permitted.is_redacted()).collect())
    }

    /// The records among these whose current version this caller may not see whole: a label that was added later hides older versions too.
    async fn hidden(&self, caller: &Caller, shown: &[(u64, &StoredVersion)]) -> Result<HashSet<String>, Fault> {
        let mut known = HashSet::new();
        let mut hidden = HashSet::new();
        for (_, version) in shown.iter().filter(|(_, version)| !version.is_current) {
            let is_new = known.insert(record(version));
            if is_new && !self.query.current_is_open(caller, &version.type_name, &version.id, None).await? {
                hidden.insert(record(version));
            }
        }
        Ok(hidden)
    }
}

/// A leaf with its receipt, and what of it may be told.
fn item(
    found: Found,
    secret: Option<[u8; 32]>,
    reading: &Reading,
    key: &PatientKey,
    contents: &mut HashMap<u64, Permitted>,
) -> Result<Item, Fault> {
    let subject = &reading.subject;
    let leaf = Leaf::decode(&found.entry).ok_or_else(|| Fault::new(FaultKind::StorageCorrupt, "a leaf cannot be read"))?;
    let content = contents.remove(&found.position);
    let target = found.version.as_ref().map(reference);
    let (own_key, provenance_key) = match &found.version {
        _ if !subject.opens => (None, None),
        Some(version) if version.type_name == "AuditEvent" => (Some(audit_key(key, &version.id)), None),
        Some(version) => {
            let is_first = version.leaf == Some(found.position);
            let record = secret.map(|secret| if is_first { secret } else { shared_key(&secret, &subject.patient) });
            let provenance = record.as_ref().filter(|_| leaf.provenance.is_some()).map(provenance_key);
            (record.filter(|_| content.is_some()), provenance)
        }
        None => (None, None),
    };
    let opening = Opening::new(target.clone().unwrap_or_default(), &found.entry, own_key.as_ref());
    let opening = opening.with_provenance_key(provenance_key.as_ref());
    let receipt = receipt_text((found.position, &found.path), &reading.head.note, &opening)
        .map_err(|error| Fault::new(FaultKind::Internal, format!("write receipt: {error}")))?;
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

/// What the store has of these leaves, on one snapshot. Each is what the log says it is: the tree confirms the tiles, and they the leaves.
fn found(
    reader: &Reader<'_>,
    definitions: &'static crate::definitions::Definitions,
    head: &LedgerHead,
    positions: &[u64],
) -> Result<Vec<Found>, Fault> {
    let tiles = StoredTiles(reader);
    let (mut tree, mut statements) = (TreeHashes::new(&head.edge, &tiles), Statements::default());
    let mut found = Vec::with_capacity(positions.len());
    for run in positions.chunk_by(|one, next| one.checked_add(1) == Some(*next)) {
        let first = run.first().copied().unwrap_or_default();
        let entries = reader.leaves(first, run.len())?;
        let versions = reader.versions_of_leaves(first, run.len())?;
        if entries.len() != run.len() {
            return Err(Fault::new(FaultKind::StorageCorrupt, "a leaf is missing"));
        }
        for ((&position, entry), version) in run.iter().zip(entries).zip(versions) {
            if tree.leaf(position).map_err(damaged)? != leaf_hash(&entry) {
                return Err(Fault::new(FaultKind::StorageCorrupt, format!("leaf {position} is not as it was written")));
            }
            let path = tree.inclusion_proof(position, head.size()).map_err(damaged)?;
            let provenances = version.as_ref().map(|version| statements.provenances(reader, definitions, version)).transpose()?;
            found.push(Found { position, entry, version, provenances: provenances.unwrap_or_default(), path });
        }
    }
    Ok(found)
}

fn damaged(error: LedgerError) -> Fault {
    let kind = match error {
        LedgerError::Damaged { .. } | LedgerError::Missing { .. } => FaultKind::StorageCorrupt,
        _ => FaultKind::Ledger,
    };
    Fault::new(kind, error.to_string())
}

/// A record of what was done, as oversight may see it.
fn overseen(version: Option<StoredVersion>) -> Option<PermittedRecord> {
    consent::oversight_record(version?.document)
}

fn reference(version: &StoredVersion) -> String {
    if version.type_name == "AuditEvent" { record(version) } else { format!("{}/_history/{}", record(version), version.version) }
}

fn record(version: &StoredVersion) -> String {
    format!("{}/{}", version.type_name, version.id)
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
        if self.records.insert(record(version)) {
            let Some(key) = search::reference_key(definitions, "Provenance", "target", &version.id) else { return Ok(Vec::new()) };
            for provenance in reader.statements_under(key, MAX_PROVENANCES)? {
                let mut targets = targets(&provenance.document);
                let last = targets.pop();
                targets.into_iter().for_each(|target| self.provenances.entry(target).or_default().push(provenance.clone()));
                if let Some(target) = last {
                    self.provenances.entry(target).or_default().push(provenance);
                }
            }
        }
        Ok(self.provenances.remove(&reference(version)).unwrap_or_default())
    }
}
