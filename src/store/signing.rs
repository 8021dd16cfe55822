//! Moves the register on beside the commit: a thread of its own, so that the register's sync and the data's are waited for together.

use super::register::{Register, Tree};
use crate::killpoint;
use crate::outcome::{Fault, FaultKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

/// After so long without another tree, the last one that was told is made certain. It costs a sync, which nobody should wait for.
const SETTLE_AFTER: Duration = Duration::from_millis(50);
/// Until somebody is told of a tree.
const NOBODY: u64 = u64::MAX;

type Done = Result<(), Fault>;

struct Order {
    from: Option<Tree>,
    to: Tree,
    /// Whether `to` takes the place of a tree that came to nothing.
    withdraws: bool,
    done: SyncSender<Done>,
}

/// The register at work.
pub(super) struct Signing {
    orders: Option<Sender<Order>>,
    /// The size that was told last.
    told: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

/// A tree on its way into the register.
pub(super) struct Moving(Option<Receiver<Done>>);

impl Moving {
    /// Nothing moves.
    pub(super) fn nowhere() -> Moving {
        Moving(None)
    }

    /// Whether it is there, on the disk.
    pub(super) fn wait(self) -> Done {
        self.0.map_or(Ok(()), |done| done.recv().unwrap_or_else(|_| Err(gone())))
    }
}

impl Signing {
    pub(super) fn start(register: Register) -> Result<Signing, Fault> {
        let (orders, received) = mpsc::channel();
        let told = Arc::new(AtomicU64::new(NOBODY));
        let last_told = Arc::clone(&told);
        let thread = std::thread::Builder::new()
            .name("store-register".into())
            .spawn(move || run(register, &received, &last_told))
            .map_err(|error| Fault::new(FaultKind::Internal, format!("start register: {error}")))?;
        Ok(Signing { orders: Some(orders), told, thread: Some(thread) })
    }

    /// Begins to swap one tree for the next.
    pub(super) fn swap(&self, from: Option<Tree>, to: Tree) -> Result<Moving, Fault> {
        self.order(from, to, false)
    }

    /// Begins to put the tree before in the place of one whose data never became durable.
    pub(super) fn withdraw(&self, to: Tree) -> Result<Moving, Fault> {
        self.order(None, to, true)
    }

    /// Everybody may be told of the tree of this size.
    pub(super) fn told(&self, size: u64) {
        self.told.store(size, Ordering::Release);
    }

    fn order(&self, from: Option<Tree>, to: Tree, withdraws: bool) -> Result<Moving, Fault> {
        let (done, waiting) = mpsc::sync_channel(1);
        let orders = self.orders.as_ref().ok_or_else(gone)?;
        orders.send(Order { from, to, withdraws, done }).map_err(|_| gone())?;
        Ok(Moving(Some(waiting)))
    }
}

impl Drop for Signing {
    /// Leaves a settled register behind and lets go of it.
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn gone() -> Fault {
    Fault::new(FaultKind::Internal, "the register's thread has ended")
}

fn run(mut register: Register, orders: &Receiver<Order>, told: &AtomicU64) {
    loop {
        let order = if register.unsettled_from().is_some() {
            match orders.recv_timeout(SETTLE_AFTER) {
                Ok(order) => order,
                Err(RecvTimeoutError::Timeout) => {
                    settle(&mut register, told);
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return settle(&mut register, told),
            }
        } else {
            match orders.recv() {
                Ok(order) => order,
                Err(_) => return,
            }
        };
        killpoint::reached("register-before");
        let done = if order.withdraws { register.withdraw(order.to) } else { register.swap(order.from, order.to) };
        killpoint::reached("register-after");
        let _ = order.done.send(done);
    }
}

/// What nobody was told of stays unsettled. A register that cannot be written now is tried again; the next swap would say so anyway.
fn settle(register: &mut Register, told: &AtomicU64) {
    static SAID: OnceLock<()> = OnceLock::new();
    if register.last().is_some_and(|last| last.size == told.load(Ordering::Acquire))
        && let Err(failure) = register.settle()
    {
        SAID.get_or_init(|| tracing::warn!(detail = %failure.detail, "the register could not be settled"));
    }
}
