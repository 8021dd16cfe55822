//! Asks witnesses to cosign the log, and shows a checkpoint once enough of them have.

use super::publish::StoredLog;
use crate::killpoint;
use crate::ledger::policy::Role;
use crate::ledger::witness::{AddCheckpoint, Answer, MAX_ANSWER_BYTES, read_answer};
use crate::ledger::{LedgerError, LogFiles, LogKeys, Malformed, Note, Policy, TreeHashes, VerifierKey};
use crate::outcome::{Fault, FaultKind};
use crate::store::{Cosigned, LedgerHead, Store};
use futures_util::future::join_all;
use reqwest::Client;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often one witness is asked within a round: once to learn where it is, once from there, once more if it moved meanwhile.
const ASKED_PER_ROUND: u32 = 3;
/// How often a round is begun anew with a newer checkpoint, because a witness was shown that one by somebody else meanwhile.
const OUTPACED_MAX: u32 = 5;
/// The longest wait between two rounds that do not reach the quorum.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The witnesses of the log.
pub(super) struct Witnesses {
    store: Store,
    http: Client,
    policy: Policy,
    witnesses: Vec<Witness>,
    interval: Duration,
}

/// One witness, and how we stand with it.
struct Witness {
    name: String,
    key: VerifierKey,
    url: String,
    /// The size it cosigned last, as far as we know.
    last_size: u64,
    /// Set for good once it saw another history: only a person can say which of the two is right.
    alarmed: bool,
}

impl Witness {
    fn alarm(&mut self, size: u64) {
        self.alarmed = true;
        metrics::counter!("hearthgate_ledger_split_view_total").increment(1);
        tracing::error!(
            witness = self.name,
            size,
            "SPLIT VIEW: this witness saw another history of the log; it is asked no more until a restart. Was the data set back, or does another \
             instance sign?"
        );
    }
}

impl Witnesses {
    /// The witnesses a policy names with a URL. What was cosigned and published before is shown until there is something newer.
    pub(super) fn new(store: Store, http: Client, policy: Policy, keys: &LogKeys, interval: Duration) -> Witnesses {
        let policy = policy.without_logs().with_log(keys.verifier().clone()).with_history(keys.history());
        let witnesses = policy.parties().iter().filter_map(|party| match &party.role {
            Role::Witness { key, url: Some(url) } => Some(Witness {
                name: String::from_utf8_lossy(&party.name).into_owned(),
                key: (**key).clone(),
                url: url.trim_end_matches('/').to_owned(),
                last_size: 0,
                alarmed: false,
            }),
            _ => None,
        });
        Witnesses { store, http, witnesses: witnesses.collect(), interval, policy }
    }

    /// Shows what was cosigned before the last start, when it was published.
    pub(super) fn resume(&self, published: &impl LogFiles) {
        let Ok(note) = crate::ledger::reader::read_checkpoint(published) else { return };
        if let Ok(accepted) = self.policy.accept(&note) {
            let size = accepted.checkpoint().size;
            if size <= self.store.ledger_head().size() {
                self.store.show_cosigned(Cosigned { size, note: note.to_string().into(), edge: None });
            }
        }
    }

    /// Asks until told to stop.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut grown = self.store.grown();
        let mut wait = self.interval;
        loop {
            grown.borrow_and_update();
            let reached = match self.round().await {
                Ok(reached) => reached,
                Err(fault) => {
                    tracing::error!(fault = fault.kind.label(), detail = %fault.detail, "witnesses could not be asked");
                    false
                }
            };
            wait = if reached { self.interval } else { (wait * 2).min(MAX_WAIT).max(self.interval) };
            tokio::select! {
                _ = stop.changed() => return,
                () = tokio::time::sleep(wait) => {}
            }
            if reached {
                tokio::select! {
                    _ = stop.changed() => return,
                    changed = grown.changed() => if changed.is_err() { return },
                }
            }
        }
    }

    /// Shows the newest checkpoint to every witness, and a newer one where somebody else was faster with that; whether enough of them cosigned.
    async fn round(&mut self) -> Result<bool, Fault> {
        let mut outpaced = 0;
        loop {
            let head = self.store.ledger_head();
            let is_cosigned = self.cosign(&head).await?;
            let is_outpaced = self.witnesses.iter().any(|witness| !witness.alarmed && witness.last_size > head.size());
            if is_cosigned || !is_outpaced || outpaced == OUTPACED_MAX {
                return Ok(is_cosigned);
            }
            outpaced += 1;
        }
    }

    async fn cosign(&mut self, head: &LedgerHead) -> Result<bool, Fault> {
        let mut note: Note = head.note.parse().map_err(|error: Malformed| Fault::new(FaultKind::Ledger, error.to_string()))?;
        let asked = self.witnesses.iter_mut().filter(|witness| !witness.alarmed);
        let answers = join_all(asked.map(|witness| ask(&self.http, &self.store, head, &note, witness))).await;
        for cosignature in answers.into_iter().flatten() {
            note.add(cosignature).map_err(|error| Fault::new(FaultKind::Ledger, error.to_string()))?;
        }
        match self.policy.accept(&note) {
            Ok(_) => {
                killpoint::reached("cosigned-before-shown");
                let edge = Some(Arc::clone(&head.edge));
                self.store.show_cosigned(Cosigned { size: head.size(), note: note.to_string().into(), edge });
                Ok(true)
            }
            Err(error) => {
                metrics::counter!("hearthgate_ledger_quorum_missed_total").increment(1);
                tracing::warn!(size = head.size(), %error, "the checkpoint is not cosigned");
                Ok(false)
            }
        }
    }
}

/// Asks one witness, from the size it says it is at.
async fn ask(http: &Client, store: &Store, head: &LedgerHead, note: &Note, witness: &mut Witness) -> Option<crate::ledger::NoteSignature> {
    for _ in 0..ASKED_PER_ROUND {
        let answer = match request(store, head, note, witness.last_size).await {
            Ok(body) => send(http, head, note, witness, body).await,
            Err(fault) => {
                tracing::error!(detail = %fault.detail, "no consistency proof for a witness");
                return None;
            }
        };
        match answer {
            Answer::Cosigned(signature) => {
                witness.last_size = head.size();
                return Some(signature);
            }
            Answer::From(size) => witness.last_size = size,
            // The log's head is read anew: the witness has answered since.
            Answer::Beyond(size) if size <= store.ledger_head().size() => {
                witness.last_size = size;
                return None;
            }
            Answer::Beyond(_) | Answer::SplitView => {
                witness.alarm(head.size());
                return None;
            }
            Answer::Unusable(why) => {
                tracing::warn!(witness = witness.name, why, "no cosignature");
                return None;
            }
        }
    }
    None
}

async fn request(store: &Store, head: &LedgerHead, note: &Note, old_size: u64) -> Result<String, Fault> {
    let (edge, size, checkpoint) = (Arc::clone(&head.edge), head.size(), note.clone());
    store
        .read(move |reader| {
            let tiles = StoredLog(reader);
            let needs_proof = old_size > 0 && old_size < size;
            let proof = if needs_proof { TreeHashes::new(&edge, &tiles).consistency_proof(old_size, size) } else { Ok(Vec::new()) };
            let proof = proof.map_err(|error: LedgerError| Fault::new(FaultKind::Ledger, error.to_string()))?;
            Ok(AddCheckpoint { old_size, proof, checkpoint }.to_string())
        })
        .await
}

async fn send(http: &Client, head: &LedgerHead, note: &Note, witness: &Witness, body: String) -> Answer {
    let Ok(mut answer) = http.post(format!("{}/add-checkpoint", witness.url)).body(body).send().await else {
        return Answer::Unusable("it cannot be reached");
    };
    let status = answer.status().as_u16();
    let media_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Answer::Unusable("its answer is too large");
        }
        body.extend_from_slice(&chunk);
    }
    read_answer(status, &media_type, &body, note, head.size(), &witness.key)
}
