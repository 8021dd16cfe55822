//! Writes record keys beside the rows that need them: a thread of its own, so that the keys are synced while the rows are inserted.

use super::keys::{Keyring, SealedRecord};
use super::signing::Underway;
use crate::outcome::{Fault, FaultKind};
use std::sync::mpsc::{self, Sender, SyncSender};
use std::thread::JoinHandle;

struct Order {
    records: Vec<SealedRecord>,
    number: u64,
    done: SyncSender<Result<(), Fault>>,
}

/// The key store at work.
pub(super) struct KeyWriting {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl KeyWriting {
    pub(super) fn start(keyring: Keyring) -> Result<KeyWriting, Fault> {
        let (orders, received) = mpsc::channel::<Order>();
        let thread = std::thread::Builder::new()
            .name("store-keys".into())
            .spawn(move || {
                while let Ok(Order { records, number, done }) = received.recv() {
                    let _ = done.send(keyring.flush(&records, number));
                }
            })
            .map_err(|error| Fault::new(FaultKind::Internal, format!("start keys: {error}")))?;
        Ok(KeyWriting { orders: Some(orders), thread: Some(thread) })
    }

    /// Begins to write keys, with those of patients that were made meanwhile, as the writing of this number.
    pub(super) fn begin(&self, records: Vec<SealedRecord>, number: u64) -> Result<Underway, Fault> {
        let gone = || Fault::new(FaultKind::Internal, "the keys' thread has ended");
        let (done, waiting) = mpsc::sync_channel(1);
        self.orders.as_ref().ok_or_else(gone)?.send(Order { records, number, done }).map_err(|_| gone())?;
        Ok(Underway::until(waiting))
    }
}

impl Drop for KeyWriting {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
