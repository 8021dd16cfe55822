//! Moves the register on beside the commit: a thread of its own, so that the register's sync and the data's are waited for together.

use super::register::{Register, Tree};
use crate::killpoint;
use crate::outcome::{Fault, FaultKind};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

/// After so long without another tree, that the last one was told is synced. Nobody should wait for that: it counts only where the machine
/// itself goes down.
const KEEP_AFTER: Duration = Duration::from_millis(50);

type Done = Result<(), Fault>;

struct Order {
    what: Step,
    done: SyncSender<Done>,
}

enum Step {
    /// From one tree to the next.
    Swap(Option<Tree>, Tree),
    /// The tree before takes the place of one that came to nothing.
    Withdraw(Tree),
    /// The newest tree is about to be told.
    Settle,
}

/// The register at work.
pub(super) struct Signing {
    orders: Option<Sender<Order>>,
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
        let thread = std::thread::Builder::new()
            .name("store-register".into())
            .spawn(move || run(register, &received))
            .map_err(|error| Fault::new(FaultKind::Internal, format!("start register: {error}")))?;
        Ok(Signing { orders: Some(orders), thread: Some(thread) })
    }

    /// Begins to swap one tree for the next.
    pub(super) fn swap(&self, from: Option<Tree>, to: Tree) -> Result<Moving, Fault> {
        self.order(Step::Swap(from, to))
    }

    /// Begins to put the tree before in the place of one whose data never became durable.
    pub(super) fn withdraw(&self, to: Tree) -> Result<Moving, Fault> {
        self.order(Step::Withdraw(to))
    }

    /// Makes the newest tree certain, before anybody is told of it.
    pub(super) fn settle(&self) -> Done {
        self.order(Step::Settle)?.wait()
    }

    fn order(&self, what: Step) -> Result<Moving, Fault> {
        let (done, waiting) = mpsc::sync_channel(1);
        let orders = self.orders.as_ref().ok_or_else(gone)?;
        orders.send(Order { what, done }).map_err(|_| gone())?;
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

fn run(mut register: Register, orders: &Receiver<Order>) {
    loop {
        let order = if register.is_kept() { orders.recv().map_err(RecvTimeoutError::from) } else { orders.recv_timeout(KEEP_AFTER) };
        let order = match order {
            Ok(order) => order,
            Err(RecvTimeoutError::Timeout) => {
                keep(&mut register);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return keep(&mut register),
        };
        killpoint::reached("register-before");
        let done = match order.what {
            Step::Swap(from, to) => register.swap(from, to),
            Step::Withdraw(to) => register.withdraw(to),
            Step::Settle => register.settle(),
        };
        killpoint::reached("register-after");
        let _ = order.done.send(done);
    }
}

/// A register that cannot be synced now is tried again; the next swap would say so anyway.
fn keep(register: &mut Register) {
    static SAID: OnceLock<()> = OnceLock::new();
    if let Err(failure) = register.keep() {
        SAID.get_or_init(|| tracing::warn!(detail = %failure.detail, "that the last tree was told could not be synced"));
    }
}
