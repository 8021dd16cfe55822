//! The receipt of a version: the proof that its leaf is in the log, with the leaf and the key that opens it.

use super::{Candidate, QueryPath, may, not_found};
use crate::anchor::{Leaf, Opening, PatientTags, audit_key, receipt_text};
use crate::audit;
use crate::config::Interaction as Permission;
use crate::identity::Caller;
use crate::ledger::merkle::{leaf_hash, verify_inclusion};
use crate::ledger::{LedgerError, LogProof, TileReader, TreeHashes};
use crate::outcome::{Failure, Fault, FaultKind, IssueType, Reason, Refusal};
use crate::store::{LedgerHead, Reader, StoredVersion};
use std::sync::Arc;

impl QueryPath {
    /// The receipt of a version, for whoever may see it; without a version, of the current one.
    pub async fn receipt(
        &self,
        caller: &Caller,
        type_name: &str,
        id: &str,
        version: Option<&str>,
        opened: &audit::Opened,
    ) -> Result<String, Failure> {
        self.audited_of(caller, (type_name, id), opened, self.try_receipt(caller, type_name, id, version, opened)).await
    }

    async fn try_receipt(
        &self,
        caller: &Caller,
        type_name: &str,
        id: &str,
        version: Option<&str>,
        opened: &audit::Opened,
    ) -> Result<String, Failure> {
        may(caller, Permission::Read, type_name)?;
        let id = self.pipeline.dialect(caller).id(type_name, id);
        let number = version.map(str::parse::<u32>).transpose().map_err(|_| not_found(type_name))?;
        // A receipt is over all that was acknowledged.
        self.pipeline.store.settle().await?;
        let wanted = (type_name.to_owned(), id);
        let stored = self
            .pipeline
            .store
            .read(move |reader| match number {
                Some(number) => reader.version(&wanted.0, &wanted.1, number),
                None => reader.current(&wanted.0, &wanted.1),
            })
            .await?
            .ok_or_else(|| not_found(type_name))?;
        let shown = if stored.deleted() {
            // The receipt of a deletion shows nothing of the resource; it is for whoever sent it.
            if caller.source.as_deref() != Some(stored.source.as_str()) {
                return Err(not_found(type_name).into());
            }
            Vec::new()
        } else {
            let candidate = Candidate::stored(&stored)?;
            let judge = self.judge(caller, std::slice::from_ref(&candidate)).await?;
            let permitted = judge.rule(candidate).or_refuse(type_name)?;
            if permitted.is_screened() {
                // The receipt opens a commitment to the whole, by which what was taken out could be guessed. Nor may its absence say that
                // something was.
                return Err(not_found(type_name).into());
            }
            vec![permitted]
        };
        let text = self.prove(stored).await?.ok_or_else(without_leaf)?;
        self.disclose(opened, super::disclosure(shown.iter(), Some("receipt".to_owned())), Vec::new()).await?;
        Ok(text)
    }

    async fn prove(&self, stored: StoredVersion) -> Result<Option<String>, Fault> {
        let Some(index) = stored.leaf else { return Ok(None) };
        let is_event = stored.type_name == "AuditEvent" && stored.source == audit::SOURCE;
        let key = if is_event {
            self.event_key(&stored, index).await?
        } else {
            stored.key.map(|id| self.pipeline.anchor.keyring.open_record(&id)).transpose()?.flatten()
        };
        let head = self.pipeline.store.ledger_head();
        let cosigned = self.pipeline.store.cosigned().filter(|cosigned| index < cosigned.size);
        let (size, note) = cosigned.map_or_else(|| (head.size(), Arc::clone(&head.note)), |cosigned| (cosigned.size, cosigned.note));
        let record = format!("{}/{}", stored.type_name, stored.id);
        let target = if is_event { record } else { format!("{record}/_history/{}", stored.version) };
        let read = move |reader: &Reader<'_>| {
            let (proof, entry) = prove(reader, &head, index, size, &note)?;
            // Of whom a version's leaf is, and how many there are of theirs, is not for whoever may see the version.
            let own = reader.leaf_key(&entry).filter(|_| is_event);
            Ok((proof, entry, own))
        };
        let (proof, entry, own) = self.pipeline.store.read(read).await?;
        let opening = Opening::new(target, &entry, key.as_ref()).with_leaf_key(own.as_ref());
        let text = receipt_text((proof.index, &proof.path), &proof.checkpoint.to_string(), &opening);
        let text = text.map_err(|error| Fault::new(FaultKind::Internal, format!("write receipt: {error}")))?;
        Ok(Some(text))
    }
}

/// What is stored without a leaf, such as what the gateway notes of tokens it gave, proves nothing.
fn without_leaf() -> Refusal {
    let text = "This version has no leaf in the log, and so no receipt: what the gateway notes itself of tokens, tasks and versions has none of its own.";
    Refusal::new(Reason::NotFound, IssueType::NotFound, text)
}

impl QueryPath {
    /// The key of the leaf of a record of what was done: it is made of that of the patient, or of what is nobody's, under whose tags the leaf stands.
    async fn event_key(&self, event: &StoredVersion, index: u64) -> Result<Option<[u8; 32]>, Fault> {
        let read = self.pipeline.store.read(move |reader| Ok(reader.leaves(index, 1)?.pop().and_then(|entry| Leaf::read(reader, &entry))));
        let Some(leaf) = read.await? else { return Ok(None) };
        let keyring = &self.pipeline.anchor.keyring;
        if leaf.tags.patient.is_none() {
            return Ok(Some(audit_key(&keyring.patient(None)?, &event.id)));
        }
        let event_node = event.parse()?;
        let named = event_node.items("entity").iter().filter_map(|entity| entity.text_at(&["what", "reference"])?.strip_prefix("Patient/"));
        for patient in named.filter(|id| !id.contains('/')) {
            let key = keyring.patient(Some(patient))?;
            if leaf.tags.patient == Some(PatientTags::of(&key, leaf.epoch()).tag(&format!("Patient/{patient}"))) {
                return Ok(Some(audit_key(&key, &event.id)));
            }
        }
        Ok(None)
    }
}

/// The full tiles in the store, as the ledger reads them.
pub(crate) struct StoredTiles<'a>(pub &'a Reader<'a>);

impl TileReader for StoredTiles<'_> {
    fn tile(&self, level: u8, index: u64) -> Result<Option<Vec<crate::ledger::Hash>>, LedgerError> {
        self.0.tile(level, index).map_err(|fault| LedgerError::Storage { detail: fault.to_string() })
    }
}

/// The proof under the newest cosigned checkpoint that has the leaf, where there is one, else under the newest there is.
fn prove(reader: &Reader<'_>, head: &LedgerHead, index: u64, size: u64, note: &str) -> Result<(LogProof, Vec<u8>), Fault> {
    let broken = |error: String| Fault::new(FaultKind::Ledger, error);
    let tiles = StoredTiles(reader);
    let path = TreeHashes::new(&head.edge, &tiles).inclusion_proof(index, size).map_err(|error| broken(error.to_string()))?;
    let checkpoint = note.parse().map_err(|error: crate::ledger::Malformed| broken(error.to_string()))?;
    let entry = reader.leaves(index, 1)?.into_iter().next().ok_or_else(|| broken("a leaf is missing".to_owned()))?;
    let root = TreeHashes::new(&head.edge, &tiles).root(size).map_err(|error| broken(error.to_string()))?;
    // A receipt made of a damaged leaf or tile would accuse the log wherever it is shown.
    verify_inclusion(&leaf_hash(&entry), index, size, &path, &root)
        .map_err(|_| Fault::new(FaultKind::StorageCorrupt, format!("leaf {index} or a tile above it is not as it was written")))?;
    Ok((LogProof { extra: None, index, path, checkpoint }, entry))
}
