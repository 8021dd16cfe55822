//! Whose keys are believed of others' logs: those that are configured, and those that a log's key history leads to from them.
//!
//! A history counts where it is of the log and one of its keys is configured: each succession in it is signed by the key before and the key after. A key
//! that was succeeded counts up to the size at which it was. Once a history was followed only one that goes on from it is: a log has one.

use super::error::{Format, LedgerError, Malformed};
use super::history::KeyHistory;
use super::policy::Policy;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Others' logs and the keys that are believed of them.
#[derive(Debug)]
pub struct Followed {
    configured: Policy,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    histories: BTreeMap<String, KeyHistory>,
    believed: Arc<Policy>,
}

impl Followed {
    /// Logs as an operator names them.
    pub fn new(configured: Policy) -> Followed {
        let state = State { histories: BTreeMap::new(), believed: Arc::new(configured.clone()) };
        Followed { configured, state: Mutex::new(state) }
    }

    /// What is believed now.
    pub fn believed(&self) -> Arc<Policy> {
        Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner).believed)
    }

    /// The logs that are named, each with where it is, if that is said.
    pub fn logs(&self) -> BTreeMap<&str, Option<&str>> {
        let mut logs = BTreeMap::new();
        for log in self.configured.logs() {
            let url = logs.entry(log.key.name()).or_insert(None);
            *url = url.or(log.url.as_deref());
        }
        logs
    }

    /// Takes in the key history that a log shows; whether it says something new.
    ///
    /// # Errors
    /// When none of its keys is configured for the log, or it does not go on from the one that was followed.
    pub fn follow(&self, origin: &str, history: &KeyHistory) -> Result<bool, LedgerError> {
        let refuse = |rule| Err(LedgerError::Malformed(Malformed::new(Format::KeyHistory, rule)));
        let tenures = history.tenures();
        let is_configured = |key| self.configured.logs().iter().any(|log| log.key == key && key.name() == origin);
        if !tenures.into_iter().any(|tenure| is_configured(tenure.key)) {
            return refuse("none of its keys is one that is named for this log");
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.histories.get(origin) {
            Some(known) if known == history => return Ok(false),
            Some(known) if !history.goes_on_from(known) => return refuse("it does not go on from the one that was followed before"),
            _ => {}
        }
        state.histories.insert(origin.to_owned(), history.clone());
        let all = state.histories.values().fold(self.configured.clone(), Policy::with_history);
        state.believed = Arc::new(all);
        Ok(true)
    }
}
