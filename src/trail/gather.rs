//! What the leaves under a subject's tags stand for.

use super::Trail;
use super::is_event;
use super::reading::Reading;
use super::severing::severed;
use super::subject::{Opens, Place};
use crate::anchor::{Erased, Leaf, LeafKind, Opening, Severed, accounting_key, audit_key, provenance_key, receipt_text, shared_key};
use crate::config::Interaction as Permission;
use crate::consent::{self, Permitted, PermittedRecord};
use crate::fhir::json;
use crate::identity::Caller;
use crate::ledger::merkle::leaf_hash;
use crate::ledger::{LedgerError, TreeHashes};
use crate::outcome::{Fault, FaultKind};
use crate::query::{Candidate, Scope, StoredTiles};
use crate::search;
use crate::store::{PatientKey, Reader, StoredVersion};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The most Provenances of one record that are read.
const MAX_PROVENANCES: usize = 10_000;

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
    /// Why that, or the Provenance of a version, is not what it was, where something was taken out of it.
    pub shortened: Option<Erased>,
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
    /// Whether a record had more than are read.
    is_cut: bool,
}

/// A leaf as the store has it.
struct Found {
    position: u64,
    /// Which of the subject's patients it is about; the number behind them where it is nobody's.
    patient: usize,
    entry: Vec<u8>,
    leaf: Leaf,
    /// What opens the leaf, where it is sealed.
    leaf_key: Option<[u8; 32]>,
    version: Option<StoredVersion>,
    provenances: Vec<StoredVersion>,
    path: Vec<crate::ledger::Hash>,
    /// What it erased.
    severed: Option<Severed>,
    /// Why something lacks of the record of what was done, or of the Provenance.
    shortened: Option<Erased>,
}

impl Trail {
    /// What stands at these places.
    pub(super) async fn items(&self, reading: &Arc<Reading>, places: Vec<Place>) -> Result<Vec<Item>, Fault> {
        let pipeline = &self.query.pipeline;
        let (definitions, shared) = (pipeline.definitions, Arc::clone(reading));
        let found = pipeline.store.read(move |reader| found(reader, definitions, &shared, &places)).await?;
        let mut contents = self.contents(reading, &found).await?;
        let keys = self.keys_of(&reading.subject)?;
        let wanted =
            |found: &Found| found.version.as_ref().filter(|_| reading.subject.opens == Opens::Records).and_then(|version| version.key);
        let secrets = pipeline.anchor.keyring.open_records(found.iter().map(wanted))?;
        if found.iter().zip(&secrets).any(|(found, secret)| wanted(found).is_some() && secret.is_none()) {
            // The version was there when it was read, and its key no longer is.
            reading.overtake();
        }
        let opened = found.into_iter().zip(secrets);
        opened.map(|(found, secret)| item(found, secret, reading, &keys, &mut contents)).collect()
    }

    /// The versions whose content this caller may see: as consent permits, and whole, for a part of it opens no commitment.
    async fn contents(&self, reading: &Reading, found: &[Found]) -> Result<HashMap<u64, Permitted>, Fault> {
        let caller = &reading.caller;
        let may_read = |version: &&StoredVersion| {
            !version.deleted() && !is_event(version) && caller.scopes.allows(Permission::Read, &version.type_name)
        };
        let versions = found.iter().filter_map(|found| Some((found, found.version.as_ref().filter(may_read)?)));
        let mut shown: Vec<(&Found, &StoredVersion)> = versions.collect();
        if !shown.is_empty() {
            let scopes = reading.scopes.get_or_try_init(|| self.scopes(reading)).await?;
            // No patient's scope says anything of what is nobody's.
            let is_nobodys = |found: &Found| reading.subject.is_nobodys(found.patient);
            shown.retain(|(found, version)| is_nobodys(found) || scopes.iter().any(|scope| scope.may_show(version)));
        }
        let shown: Vec<(u64, &StoredVersion)> = shown.into_iter().map(|(found, version)| (found.position, version)).collect();
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

    async fn scopes(&self, reading: &Reading) -> Result<Vec<Scope>, Fault> {
        let mut scopes = Vec::new();
        for patient in &reading.subject.patients {
            scopes.push(self.query.scope(&reading.caller, patient).await?);
        }
        Ok(scopes)
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
    keys: &[PatientKey],
    contents: &mut HashMap<u64, Permitted>,
) -> Result<Item, Fault> {
    let subject = &reading.subject;
    let leaf = found.leaf;
    let patient = subject.patient(found.patient);
    let content = contents.remove(&found.position);
    let target = found.version.as_ref().map(reference);
    let (own_key, provenance_key) = match &found.version {
        _ if subject.opens == Opens::Accounting => (None, None),
        Some(version) if is_event(version) => (keys.get(found.patient).map(|key| audit_key(key, &version.id)), None),
        Some(version) => {
            let is_first = version.leaf == Some(found.position);
            let record = secret.map(|secret| if is_first { secret } else { shared_key(&secret, patient) });
            let provenance = record.as_ref().filter(|_| leaf.provenance.is_some()).map(provenance_key);
            (record.filter(|_| content.is_some()), provenance)
        }
        None => (None, None),
    };
    let is_told = subject.opens == Opens::Accounting && leaf.commits_to_told();
    let told = found.version.as_ref().filter(|_| is_told).zip(keys.get(found.patient));
    let told_key = told.map(|(event, key)| accounting_key(&audit_key(key, &event.id)));
    // Whoever reads an accounting is told of no other patient, also where a version of that one's stands in the trail of both.
    let is_told_of = |target: &String| subject.opens == Opens::Records || !target.starts_with("Patient/") || subject.is_of(target);
    let named = target.clone().filter(is_told_of).unwrap_or_default();
    let opening = Opening::new(named, &found.entry, own_key.as_ref());
    let opening = opening.with_provenance_key(provenance_key.as_ref()).with_accounting_key(told_key.as_ref());
    let opening = opening.with_severed(found.severed).with_leaf_key(found.leaf_key.as_ref());
    let receipt = receipt_text((found.position, &found.path), &reading.head.note, &opening)
        .map_err(|error| Fault::new(FaultKind::Internal, format!("write receipt: {error}")))?;
    let mut provenances = found.provenances.into_iter();
    let event = found.version.filter(is_event);
    Ok(Item {
        position: found.position,
        leaf,
        target,
        receipt,
        event: overseen(event),
        shortened: found.shortened,
        // It was stored in one commit with its version, and everything else that is said of that later.
        provenance: overseen(provenances.next()),
        statements: provenances.filter_map(|one| overseen(Some(one))).collect(),
        content,
    })
}

/// What the store has of these leaves, on one snapshot. Each is what the log says it is: the tree confirms the tiles, and they the leaves; and what
/// it stands for is there, or was erased.
fn found(
    reader: &Reader<'_>,
    definitions: &'static crate::definitions::Definitions,
    reading: &Reading,
    places: &[Place],
) -> Result<Vec<Found>, Fault> {
    let (tiles, head) = (StoredTiles(reader), &reading.head);
    let (mut tree, mut statements) = (TreeHashes::new(&head.edge, &tiles), Statements::default());
    let mut found = Vec::with_capacity(places.len());
    for run in places.chunk_by(|one, next| one.position.checked_add(1) == Some(next.position)) {
        let first = run.first().map_or(0, |place| place.position);
        let entries = reader.leaves(first, run.len())?;
        let versions = reader.versions_of_leaves(first, run.len())?;
        if entries.len() != run.len() {
            return Err(corrupt("a leaf is missing".to_owned()));
        }
        for ((place, entry), version) in run.iter().zip(entries).zip(versions) {
            let &Place { position, patient, .. } = place;
            if tree.leaf(position).map_err(damaged)? != leaf_hash(&entry) {
                return Err(corrupt(format!("leaf {position} is not as it was written")));
            }
            let leaf = Leaf::read(reader, &entry).ok_or_else(|| corrupt(format!("leaf {position} cannot be read")))?;
            place.check(&leaf)?;
            if version.is_none() && leaf.kind != LeafKind::Erase {
                reading.explain(reader, position, &leaf)?;
            }
            let path = tree.inclusion_proof(position, head.size()).map_err(damaged)?;
            let provenances = version.as_ref().map(|version| statements.provenances(reader, definitions, version)).transpose()?;
            let provenances = provenances.unwrap_or_default();
            if version.is_some() && leaf.provenance.is_some() && provenances.is_empty() && !statements.is_cut {
                return Err(corrupt(format!("the Provenance of the version that leaf {position} stands for is not there")));
            }
            let severed = severed(reader, position, &leaf)?;
            let committed = version
                .as_ref()
                .filter(|version| is_event(version))
                .or_else(|| provenances.first().filter(|_| leaf.provenance.is_some() && reading.is_of_trail()));
            let is_shortened = committed.map(is_shortened).transpose()?.unwrap_or_default();
            let shortened = is_shortened.then(|| reading.explain_shortened(reader, position, &leaf)).transpose()?;
            let leaf_key = reader.leaf_key(&entry);
            found.push(Found { position, patient, entry, leaf_key, leaf, version, provenances, path, severed, shortened });
        }
    }
    Ok(found)
}

fn corrupt(detail: String) -> Fault {
    Fault::new(FaultKind::StorageCorrupt, detail)
}

pub(super) fn damaged(error: LedgerError) -> Fault {
    let kind = match error {
        LedgerError::Damaged { .. } | LedgerError::Missing { .. } => FaultKind::StorageCorrupt,
        _ => FaultKind::Ledger,
    };
    Fault::new(kind, error.to_string())
}

/// Whether something was taken out of a record of what was done, or of what was stated. Nearly all that say no such thing are told by their text.
fn is_shortened(version: &StoredVersion) -> Result<bool, Fault> {
    let may_be = !version.deleted() && version.document.contains("REDACTED");
    Ok(may_be && consent::is_marked_redacted(&version.parse()?))
}

/// A record of what was done, as oversight may see it.
fn overseen(version: Option<StoredVersion>) -> Option<PermittedRecord> {
    consent::oversight_record(version?.document)
}

fn reference(version: &StoredVersion) -> String {
    if is_event(version) { record(version) } else { format!("{}/_history/{}", record(version), version.version) }
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
        if is_event(version) {
            return Ok(Vec::new());
        }
        if self.records.insert(record(version)) {
            let Some(key) = search::reference_key(definitions, "Provenance", "target", &version.id) else { return Ok(Vec::new()) };
            let stated = reader.statements_under(key, MAX_PROVENANCES)?;
            self.is_cut |= stated.len() == MAX_PROVENANCES;
            for provenance in stated {
                let mut targets = targets(&provenance.document);
                let last = targets.pop();
                targets.into_iter().for_each(|target| self.provenances.entry(target).or_default().push(provenance.clone()));
                if let Some(target) = last {
                    self.provenances.entry(target).or_default().push(provenance);
                }
            }
        }
        // In a record's own trail a version about several patients comes several times.
        let name = reference(version);
        let stated = if version.leaves > 1 { self.provenances.get(&name).cloned() } else { self.provenances.remove(&name) };
        Ok(stated.unwrap_or_default())
    }
}
