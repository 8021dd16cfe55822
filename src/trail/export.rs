//! A trail as an evidence package.

use super::Trail;
use super::gather::Item;
use super::indexer::AnchoredIndex;
use super::reading::Reading;
use super::subject::{EpochTag, Opens, Place, Subject, places};
use crate::anchor::{Erased, Leaf, LeafKind, Opening, receipt_text};
use crate::audit;
use crate::consent::{self, PermittedRecord};
use crate::evidence::{Claim, Completeness, Consent, Consistency, Entry, Lacking, Package, Why, exported};
use crate::fhir::{Node, json};
use crate::identity::Caller;
use crate::ledger::TreeHashes;
use crate::outcome::{Failure, Fault, FaultKind, IssueType, Reason, Refusal};
use crate::pipeline::patient_ids;
use crate::query::StoredTiles;
use crate::store::{LedgerHead, MAX_BATCH, Reader};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long a package waits for the witnesses' word.
const WITNESSES_WITHIN: Duration = Duration::from_secs(5);

impl Trail {
    /// Puts an export on record under the tags of every owner of the subject, and in each how many these are. Gives that number.
    pub(super) async fn record_export(&self, opened: &audit::Opened, subject: &Subject) -> Result<usize, Failure> {
        if subject.is_patient() {
            self.record(opened, subject, &exported(None)).await?;
            return Ok(1);
        }
        let nobodys = self.tags(subject, None).await?.into_iter().filter(|tag| subject.is_nobodys(tag.patient)).collect::<Vec<_>>();
        let is_nobodys = subject.patients.is_empty() || !self.places(&nobodys).await?.is_empty();
        let owners = subject.patients.len() + usize::from(is_nobodys);
        let what = exported(Some(owners));
        self.record(opened, subject, &what).await?;
        if is_nobodys && !subject.patients.is_empty() {
            let of_nobody = Subject { patients: Vec::new(), ..subject.clone() };
            self.record(opened, &of_nobody, &what).await?;
        }
        Ok(owners)
    }

    /// The package; none where it would not be of one state, since something of it was erased while it was read, or it has other owners than are on record.
    pub(super) async fn export(
        &self,
        caller: &Caller,
        subject: Subject,
        owners: usize,
        seen: Option<u64>,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let pipeline = &self.query.pipeline;
        let tags = self.tags(&subject, None).await?;
        let (completeness, claims) = self.completeness(&subject, tags.clone()).await?;
        let places = places(&tags, claims.iter().map(|claim| claim.positions.clone()))?;
        let places = self.with_beside(&subject, places).await?;
        let claims = of_owners(&subject, claims);
        if !self.is_owned_so(&subject, &claims, owners).await? {
            return Ok(None);
        }
        // The checkpoint is taken after the index was anchored, so that it covers the anchor.
        let head = self.vouched_head(completeness.anchored_at).await;
        let reading = Reading::new(caller, subject.clone(), head.clone()).over(&tags, &places, completeness.covers);
        let reading = Arc::new(reading);
        let mut items = self.items(&reading, places).await?;
        if reading.is_overtaken() {
            return Ok(None);
        }
        let count = items.len();
        items.retain(is_provable);
        let left_out = count - items.len();
        let (consents, mut lacking) = self.consents(caller, &head, &items).await?;
        lacking.extend(items.iter().filter(|item| item.shortened.is_some()).map(lost));
        let erasure_proof = self.erasure_proof(&head, &items, &lacking).await?;
        // A consent was erased after the log was looked at, which does not say so yet.
        let is_borne_out = || items.iter().any(|item| item.leaf.kind == LeafKind::Erase);
        if erasure_proof.is_none() && lacking.iter().any(|lacking| lacking.why == Why::Erased) && !is_borne_out() {
            return Ok(None);
        }
        let package = Package {
            subject: subject.reference,
            origin: pipeline.anchor.origin.clone(),
            size: head.size(),
            created: pipeline.clock.now().to_fhir_instant(),
            asked_by: caller.organisation.name.clone().unwrap_or_else(|| caller.client_id.clone()),
            checkpoint: head.note.to_string(),
            policy: self.policy.to_string(),
            keys: self.keys.to_string(),
            entries: items.into_iter().map(written).collect(),
            index_proof: self.bare_proof(&head, completeness.anchored_at).await?,
            // It is opened, for it shows when the log began.
            first_proof: self.proof(&head, 0, true).await?,
            erasure_proof,
            completeness: Completeness { claims, ..completeness },
            consistency: self.consistency(&head, seen).await?,
            consents,
            lacking,
            left_out,
        };
        // Packing is work for a processor, not for the thread that serves others.
        let packed = tokio::task::spawn_blocking(move || package.into_zip()).await;
        let packed = packed.map_err(|error| Fault::new(FaultKind::Internal, format!("packing panicked: {error}")))?;
        Ok(Some(packed.map_err(|error| Fault::new(FaultKind::Internal, error.to_string()))?))
    }

    /// Whether a subject still has the owners that the export on record was of, and the claims are by these.
    async fn is_owned_so(&self, subject: &Subject, claims: &[Claim], owners: usize) -> Result<bool, Failure> {
        let (type_name, id) = subject.reference.split_once('/').unwrap_or_default();
        let now = super::subject::subject(&self.query.pipeline, type_name, id).await?;
        let claimed = claims.iter().map(|claim| claim.patient).collect::<BTreeSet<_>>().len();
        Ok(claimed == owners && now.is_some_and(|now| now.patients == subject.patients))
    }

    /// The log as it stands over a leaf, with its witnesses' word where they are asked and answer in time. Without it the package still proves
    /// everything to whoever believes the log alone.
    async fn vouched_head(&self, position: u64) -> LedgerHead {
        let store = &self.query.pipeline.store;
        let mut shown = store.shown();
        let vouched = async {
            loop {
                let cosigned = shown.borrow_and_update().clone().filter(|cosigned| cosigned.size > position);
                if let Some(cosigned) = cosigned
                    && let Some(edge) = cosigned.edge
                {
                    return Some(LedgerHead { edge, note: cosigned.note });
                }
                shown.changed().await.ok()?;
            }
        };
        let vouched = if self.is_witnessed { tokio::time::timeout(WITNESSES_WITHIN, vouched).await.ok().flatten() } else { None };
        vouched.unwrap_or_else(|| {
            if self.is_witnessed {
                tracing::warn!(position, "an evidence package goes out without the witnesses' word");
            }
            store.ledger_head()
        })
    }

    /// Anchors the index and proves what it says of the tags.
    pub(super) async fn completeness(&self, subject: &Subject, tags: Vec<EpochTag>) -> Result<(Completeness, Vec<Claim>), Fault> {
        let of = subject.reference.clone();
        // The secret of an epoch leads to all records of the patient: it goes only with the patient's own trail.
        let is_patient = subject.is_patient();
        self.indexer
            .anchored(move |index, AnchoredIndex { position, covers, root }| {
                let claim = |tag: &EpochTag| {
                    let secret = is_patient.then_some(&tag.secret.0);
                    let claim = Claim::new(of.clone(), tag.epoch.0, tag.tag, secret, index.positions(tag.tag)?, &index.prove(tag.tag)?);
                    Ok(claim.by_patient(tag.patient))
                };
                let claims = tags.iter().map(claim).collect::<Result<Vec<_>, Fault>>()?;
                Ok((Completeness { anchored_at: position, covers, root: root.to_string(), claims: Vec::new() }, claims))
            })
            .await
    }

    /// The proof of an erasure that came after all that was lost to one and that no entry names, where none of the entries bears it out itself: whoever
    /// verifies believes nothing of that without it. What older gateways took out of records of what was done is borne out by what these wrote alone.
    pub(super) async fn erasure_proof(&self, head: &LedgerHead, items: &[Item], lacking: &[Lacking]) -> Result<Option<String>, Fault> {
        let is_erased = lacking.iter().any(|lacking| lacking.why == Why::Erased);
        let unnamed = items.iter().filter(|item| item.shortened == Some(Erased::Unnamed)).map(|item| item.position).max();
        let Some(after) = unnamed.or(is_erased.then_some(0)) else { return Ok(None) };
        let bears_out = move |leaf: &Leaf| leaf.kind == LeafKind::Erase && !(unnamed.is_some() && leaf.shortens_by_name);
        if items.iter().any(|item| bears_out(&item.leaf) && item.position > after) {
            return Ok(None);
        }
        let size = head.size();
        match self.query.pipeline.store.read(move |reader| erasure_between(reader, after, size, bears_out)).await? {
            Some(position) => self.proof(head, position, true).await.map(Some),
            None => Ok(None),
        }
    }

    /// The proof of a leaf that opens to nothing but what is not sealed of it.
    pub(super) async fn bare_proof(&self, head: &LedgerHead, index: u64) -> Result<String, Fault> {
        self.proof(head, index, false).await
    }

    /// The proof of a leaf whose record stays closed; where it is opened, it shows what it is.
    async fn proof(&self, head: &LedgerHead, index: u64, is_opened: bool) -> Result<String, Fault> {
        let failed = |error: String| Fault::new(FaultKind::Ledger, error);
        let edge = head.clone();
        let (path, opening) = self
            .query
            .pipeline
            .store
            .read(move |reader| {
                let tiles = StoredTiles(reader);
                let path = TreeHashes::new(&edge.edge, &tiles).inclusion_proof(index, edge.size());
                let entry = reader.leaves(index, 1)?.pop().ok_or_else(|| failed("a leaf is missing".to_owned()))?;
                let key = reader.leaf_key(&entry).filter(|_| is_opened);
                Ok((
                    path.map_err(|error| failed(error.to_string()))?,
                    Opening::new(String::new(), &entry, None).with_leaf_key(key.as_ref()),
                ))
            })
            .await?;
        receipt_text((index, &path), &head.note, &opening)
            .map_err(|error| Fault::new(FaultKind::Internal, format!("write receipt: {error}")))
    }

    /// That the log extends what the reader saw.
    async fn consistency(&self, head: &LedgerHead, seen: Option<u64>) -> Result<Option<Consistency>, Failure> {
        // A tree without leaves is extended by every other.
        let Some(old_size) = seen.filter(|size| *size > 0) else { return Ok(None) };
        if old_size > head.size() {
            let text = "The log has no checkpoint of the size given in 'seen'. If a signed checkpoint of this size exists, the log was set back: keep it.";
            return Err(Refusal::new(Reason::Malformed, IssueType::Value, text).at("seen").into());
        }
        let edge = head.clone();
        let made = self
            .query
            .pipeline
            .store
            .read(move |reader| {
                let failed = |error: crate::ledger::LedgerError| Fault::new(FaultKind::Ledger, error.to_string());
                let tiles = StoredTiles(reader);
                let mut tree = TreeHashes::new(&edge.edge, &tiles);
                let proof = tree.consistency_proof(old_size, edge.size()).map_err(failed)?;
                let old_root = tree.root(old_size).map_err(failed)?;
                Ok(Consistency { old_size, old_root: old_root.to_string(), proof: proof.iter().map(ToString::to_string).collect() })
            })
            .await?;
        Ok(Some(made))
    }

    /// The versions of consents that governed what was disclosed, each with its receipt, where the reader may see them whole; and why the others are
    /// not among them.
    async fn consents(&self, caller: &Caller, head: &LedgerHead, items: &[Item]) -> Result<(Vec<Consent>, Vec<Lacking>), Failure> {
        let mut named = BTreeSet::new();
        for event in items.iter().filter_map(|item| item.event.as_ref().filter(|event| is_whole(event))?.read()) {
            named.extend(event.items("entity").iter().filter_map(consent_version));
        }
        let named_file = |id: &str, version: u32| format!("{id}-{version}");
        let mut lacking: BTreeMap<String, Why> = named.iter().map(|(id, version)| (named_file(id, *version), Why::Erased)).collect();
        let stored = self
            .query
            .pipeline
            .store
            .read(move |reader| {
                let found = named.into_iter().map(|(id, version)| reader.version("Consent", &id, version));
                found.filter_map(Result::transpose).collect::<Result<Vec<_>, Fault>>()
            })
            .await?;
        let mut consents = Vec::new();
        let may_read = caller.scopes.allows(crate::config::Interaction::Read, "Consent");
        for version in stored {
            lacking.insert(named_file(&version.id, version.version), Why::Withheld);
            if !may_read || version.deleted() {
                continue;
            }
            // Its first leaf, which is the one shown, is its first patient's.
            let patients = patient_ids(&version.parse()?).into_iter().take(1).collect();
            let name = named_file(&version.id, version.version);
            let subject = Subject { reference: format!("Consent/{}", version.id), patients, leaves: Vec::new(), opens: Opens::Records };
            let leaf = version.leaf.into_iter().filter(|leaf| *leaf < head.size());
            let places = leaf.map(|position| Place { position, patient: 0, under: None }).collect();
            let found = self.items(&Arc::new(Reading::new(caller, subject, head.clone())), places).await?;
            let shown = found.into_iter().filter_map(|item| Some((json::write(item.content?.resource()), item.receipt)));
            consents.extend(shown.map(|(document, proof)| Consent { name: name.clone(), document, proof }));
        }
        lacking.retain(|name, _| !consents.iter().any(|consent| consent.name == *name));
        Ok((consents, lacking.into_iter().map(|(name, why)| Lacking::consent(&name, why)).collect()))
    }
}

/// The claims without those of what is nobody's, where nothing of the record is.
fn of_owners(subject: &Subject, claims: Vec<Claim>) -> Vec<Claim> {
    let is_nobodys = |claim: &Claim| subject.is_nobodys(claim.patient);
    let is_any = subject.patients.is_empty() || claims.iter().any(|claim| is_nobodys(claim) && !claim.positions.is_empty());
    claims.into_iter().filter(|claim| is_any || !is_nobodys(claim)).collect()
}

/// The first leaf after a position that bears out that something was erased.
fn erasure_between(reader: &Reader<'_>, after: u64, size: u64, bears_out: impl Fn(&Leaf) -> bool) -> Result<Option<u64>, Fault> {
    let mut next = after + 1;
    while next < size {
        let entries = reader.leaves(next, MAX_BATCH)?;
        let is_erasure = |entry: &Vec<u8>| Leaf::read(reader, entry).is_some_and(|leaf| bears_out(&leaf));
        if let Some(position) = (next..size).zip(&entries).find_map(|(position, entry)| is_erasure(entry).then_some(position)) {
            return Ok(Some(position));
        }
        next = if entries.is_empty() { size } else { next + entries.len() as u64 };
    }
    Ok(None)
}

/// `Consent/id/_history/version`, as an AuditEvent names it.
fn consent_version(entity: &Node) -> Option<(String, u32)> {
    let (id, version) = entity.text_at(&["what", "reference"])?.strip_prefix("Consent/")?.split_once("/_history/")?;
    Some((id.to_owned(), version.parse().ok()?))
}

/// An entry with what its leaf commits to. A record that says that it lost what led to an erased person no longer is that; it stays out, and
/// its leaf closed. Anything else that is not what its leaf commits to is left for whoever verifies to find.
fn written(item: Item) -> Entry {
    let event = item.event.filter(is_whole).map(|event| event.text().to_owned());
    Entry {
        position: item.position,
        kind: item.leaf.kind,
        hour: item.leaf.hour,
        target: item.target,
        has_content: item.leaf.has_content(),
        proof: item.receipt,
        document: event.or_else(|| item.content.as_ref().map(|permitted| json::write(permitted.resource()))),
        provenance: item.provenance.filter(is_whole).map(|provenance| provenance.text().to_owned()),
    }
}

/// What of a leaf is not there since something was taken out of it: the event, or the Provenance of the version.
fn lost(item: &Item) -> Lacking {
    if item.leaf.kind == LeafKind::Accept { Lacking::provenance(item.position) } else { Lacking::event(item.position) }
}

/// Whether anything shows that an entry belongs to the trail: its tag, or what its leaf commits to. Out of an event without a tag nothing may be missing.
fn is_provable(item: &Item) -> bool {
    !item.leaf.is_untagged() || item.event.as_ref().is_none_or(is_whole)
}

/// Whether a record is what it was.
fn is_whole(record: &PermittedRecord) -> bool {
    !record.read().is_some_and(|read| consent::is_marked_redacted(&read))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anchor::Tags;
    use crate::clock::Instant;

    /// Whether a record of what was done goes into a package.
    fn is_shown(record: &str) -> bool {
        let leaf = Leaf::new(LeafKind::Audit, Instant::from_seconds(0), Tags::default(), [0; 32], [0; 32]);
        let event = consent::oversight_record(record.to_owned());
        let (position, target, receipt, statements) = (0, None, String::new(), Vec::new());
        written(Item { position, leaf, target, receipt, event, shortened: None, provenance: None, statements, content: None })
            .document
            .is_some()
    }

    #[test]
    fn what_is_not_as_it_was_is_shown_to_whoever_verifies_unless_it_says_so() {
        let plain = r#"{"resourceType":"AuditEvent","id":"1","outcome":"0"}"#;
        assert!(is_shown(plain), "it opens no leaf, and is there to be found out");
        let mut shortened = json::parse(plain.as_bytes(), json::DEFAULT_DEPTH).unwrap();
        consent::mark_redacted(&mut shortened);
        assert!(!is_shown(&json::write(&shortened)));
    }
}
