//! Each client assertion counts once: the guard remembers every `jti` until it could no longer be used.

use crate::clock::Instant;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Assertions of one client that are remembered at once. With at most seven minutes to remember, that is twenty a second, kept up.
pub const MAX_JTIS_PER_CLIENT: usize = 10_000;

/// Where used assertions are remembered: [`ReplayGuard`] for one process, a durable store for restarts and several nodes.
pub trait ReplayRecord: Send + Sync {
    /// Remembers a `jti` of a client until an instant. True when it was not known; false when it was, or cannot be remembered, so that the
    /// assertion is refused. Only proved assertions are recorded, so nobody can fill another client's memory.
    fn record(&self, client_id: &str, jti: &str, until: Instant, now: Instant) -> bool;
}

/// Remembers in memory. A restart forgets, so a durable record stands behind it where restarts matter.
#[derive(Debug, Default)]
pub struct ReplayGuard {
    clients: Mutex<HashMap<String, HashMap<String, Instant>>>,
}

impl ReplayGuard {
    pub fn new() -> ReplayGuard {
        ReplayGuard::default()
    }
}

impl ReplayRecord for ReplayGuard {
    fn record(&self, client_id: &str, jti: &str, until: Instant, now: Instant) -> bool {
        // A panic while the lock was held cannot leave the map torn, so poison is no reason to refuse everybody.
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let used = clients.entry(client_id.to_owned()).or_default();
        if used.get(jti).is_some_and(|&until| until > now) {
            return false;
        }
        if used.len() >= MAX_JTIS_PER_CLIENT {
            used.retain(|_, until| *until > now);
        }
        if used.len() >= MAX_JTIS_PER_CLIENT {
            return false;
        }
        used.insert(jti.to_owned(), until);
        true
    }
}
