//! Moves the register on beside the commit: a thread of its own, so that the register's sync and the data's are waited for together.

use super::register::{Register, Tree};
use crate::killpoint;
use crate::outcome::{Fault, FaultKind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// After so long without another tree, that the last one was told is synced. Nobody should wait for that: it counts only where the machine
/// itself goes down.
const KEEP_AFTER: Duration = Duration::from_millis(50);

type Done = Result<(), Fault>;

enum Order {
    /// From one tree to the next; who ordered it is told when it is on the disk.
    Swap { from: Option<Tree>, to: Tree, done: SyncSender<Done> },
    /// Something was settled and is to be synced in a while.
    Keep,
}

/// The register at work.
pub(super) struct Signing {
    register: Arc<Mutex<Register>>,
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

/// A step on its way to the disk.
pub(super) struct Underway(Option<Receiver<Done>>);

impl Underway {
    /// Nothing is to be done.
    pub(super) fn nowhere() -> Underway {
        Underway(None)
    }

    /// Ends when this is told.
    pub(super) fn until(done: Receiver<Done>) -> Underway {
        Underway(Some(done))
    }

    /// Whether it is there, on the disk.
    pub(super) fn wait(self) -> Done {
        self.0.map_or(Ok(()), |done| done.recv().unwrap_or_else(|_| Err(gone())))
    }
}

impl Signing {
    pub(super) fn start(register: Register) -> Result<Signing, Fault> {
        let (orders, received) = mpsc::channel();
        let register = Arc::new(Mutex::new(register));
        let served = Arc::clone(&register);
        let thread = std::thread::Builder::new()
            .name("store-register".into())
            .spawn(move || run(&served, &received))
            .map_err(|error| Fault::new(FaultKind::Internal, format!("start register: {error}")))?;
        Ok(Signing { register, orders: Some(orders), thread: Some(thread) })
    }

    /// Begins to swap one tree for the next.
    pub(super) fn swap(&self, from: Option<Tree>, to: Tree) -> Result<Underway, Fault> {
        let (done, waiting) = mpsc::sync_channel(1);
        self.order(Order::Swap { from, to, done })?;
        Ok(Underway::until(waiting))
    }

    /// Puts the tree before in the place of one whose data never became durable.
    pub(super) fn withdraw(&self, to: Tree) -> Done {
        locked(&self.register).withdraw(to)
    }

    /// Makes the newest tree certain, before anybody is told of it.
    pub(super) fn settle(&self) -> Done {
        killpoint::reached("register-before");
        locked(&self.register).settle()?;
        killpoint::reached("register-after");
        self.order(Order::Keep)
    }

    fn order(&self, what: Order) -> Done {
        self.orders.as_ref().ok_or_else(gone)?.send(what).map_err(|_| gone())
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
    Fault::new(FaultKind::Internal, "a thread of the store has ended")
}

/// A swap that panicked left nothing half-done in memory: what is on the disk is read again before each step.
fn locked(register: &Mutex<Register>) -> MutexGuard<'_, Register> {
    register.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(register: &Mutex<Register>, orders: &Receiver<Order>) {
    loop {
        let is_kept = locked(register).is_kept();
        match if is_kept { orders.recv().map_err(RecvTimeoutError::from) } else { orders.recv_timeout(KEEP_AFTER) } {
            Ok(Order::Swap { from, to, done }) => {
                killpoint::reached("register-before");
                let moved = locked(register).swap(from, to);
                killpoint::reached("register-after");
                let _ = done.send(moved);
            }
            Ok(Order::Keep) => {}
            Err(RecvTimeoutError::Timeout) => keep(&mut locked(register)),
            Err(RecvTimeoutError::Disconnected) => return keep(&mut locked(register)),
        }
    }
}

/// A register that cannot be synced now is tried again; the next swap would say so anyway.
fn keep(register: &mut Register) {
    static SAID: OnceLock<()> = OnceLock::new();
    if let Err(failure) = register.keep() {
        SAID.get_or_init(|| tracing::warn!(detail = %failure.detail, "that the last tree was told could not be synced"));
    }
}
