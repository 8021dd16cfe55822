//! The outbox: what is to be delivered, in the order it was accepted, until it is delivered, held or dead.

use super::fault;
use crate::clock::Instant;
use crate::outcome::Fault;
use rusqlite::{Connection, Row, params};

/// One delivery to be made, written in the same commit as the version it carries.
#[derive(Debug, Clone)]
pub struct OutboxDraft {
    pub destination: String,
    pub type_name: String,
    pub id: String,
    pub version: u32,
    /// Deliveries for one patient to one destination keep their order; empty when it is about nobody.
    pub patient: String,
    pub at: Instant,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    Waiting,
    Delivered,
    /// Given up; an operator may replay it.
    Dead,
    /// Consent does not permit it now; looked at again when consent changes.
    Held,
}

impl DeliveryState {
    pub(super) fn code(self) -> i64 {
        match self {
            DeliveryState::Waiting => 0,
            DeliveryState::Delivered => 1,
            DeliveryState::Dead => 2,
            DeliveryState::Held => 3,
        }
    }

    /// The label of metrics and the admin interface.
    pub fn label(self) -> &'static str {
        match self {
            DeliveryState::Waiting => "waiting",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Dead => "dead",
            DeliveryState::Held => "held",
        }
    }

    fn from_code(code: i64) -> DeliveryState {
        match code {
            0 => DeliveryState::Waiting,
            1 => DeliveryState::Delivered,
            3 => DeliveryState::Held,
            _ => DeliveryState::Dead,
        }
    }
}

/// A row of the outbox.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub row: i64,
    pub destination: String,
    pub type_name: String,
    pub id: String,
    pub version: u32,
    pub patient: String,
    pub state: DeliveryState,
    pub attempts: u32,
    pub next_at: Instant,
    /// Why it waits, is held or died; a code, never patient data.
    pub reason: String,
}

/// What an attempt made of a delivery.
#[derive(Debug, Clone)]
pub struct OutboxUpdate {
    pub row: i64,
    pub state: DeliveryState,
    pub attempts: u32,
    pub next_at: Instant,
    pub reason: String,
}

pub(super) fn insert(connection: &Connection, draft: &OutboxDraft) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT INTO outbox (destination, type, resource, version, patient, state, attempts, next_at, reason) VALUES (?, ?, ?, ?, ?, 0, 0, ?, '')",
        )
        .and_then(|mut statement| {
            statement.execute(params![draft.destination, draft.type_name, draft.id, draft.version, draft.patient, draft.at.micros()])
        })
        .map(drop)
        .map_err(fault)
}

pub(super) fn update(connection: &Connection, update: &OutboxUpdate) -> Result<(), Fault> {
    connection
        .prepare_cached("UPDATE outbox SET state = ?, attempts = ?, next_at = ?, reason = ? WHERE id = ?")
        .and_then(|mut statement| {
            statement.execute(params![update.state.code(), update.attempts, update.next_at.micros(), update.reason, update.row])
        })
        .map(drop)
        .map_err(fault)
}

/// Deliveries that are due, those that wait before those that are held; of each destination and patient only the oldest that waits, so that order
/// is kept. What is held for want of consent stands in nobody's way: that others arrive must not tell that something is withheld, nor stop.
pub(super) fn due(connection: &Connection, now: Instant, limit: u32) -> Result<Vec<Delivery>, Fault> {
    const SQL: &str = "SELECT id, destination, type, resource, version, patient, state, attempts, next_at, reason FROM outbox AS o
        WHERE state IN (0, 3) AND next_at <= ? AND (state = 3 OR NOT EXISTS (
          SELECT 1 FROM outbox AS earlier WHERE earlier.destination = o.destination AND earlier.patient = o.patient
            AND earlier.state = 0 AND earlier.id < o.id))
        ORDER BY state, next_at, id LIMIT ?";
    list(connection, SQL, params![now.micros(), limit])
}

/// Why a delivery ended without anything being sent.
pub const SUPERSEDED: &str = "superseded by a later version";

/// The versions of a resource that were sent to a destination, or may have arrived there, when it was about this patient (or, empty, nobody).
pub(super) fn sent(connection: &Connection, destination: &str, patient: &str, type_name: &str, id: &str) -> Result<Vec<u32>, Fault> {
    const SQL: &str =
        "SELECT version FROM outbox WHERE destination = ? AND patient = ? AND type = ? AND resource = ? AND state <> 3 AND attempts > 0
        AND NOT (state = 1 AND reason = ?)";
    let mut statement = connection.prepare_cached(SQL).map_err(fault)?;
    let versions = statement.query_map([destination, patient, type_name, id, SUPERSEDED], |row| row.get(0)).map_err(fault)?;
    versions.collect::<Result<_, _>>().map_err(fault)
}

/// All deliveries in a state, oldest first.
pub(super) fn in_state(connection: &Connection, state: DeliveryState, limit: u32) -> Result<Vec<Delivery>, Fault> {
    const SQL: &str = "SELECT id, destination, type, resource, version, patient, state, attempts, next_at, reason FROM outbox
        WHERE state = ? ORDER BY id LIMIT ?";
    list(connection, SQL, params![state.code(), limit])
}

fn list(connection: &Connection, sql: &str, parameters: impl rusqlite::Params) -> Result<Vec<Delivery>, Fault> {
    let mut statement = connection.prepare_cached(sql).map_err(fault)?;
    let rows = statement.query_map(parameters, delivery).map_err(fault)?;
    rows.collect::<Result<Vec<_>, _>>().map_err(fault)
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        row: row.get(0)?,
        destination: row.get(1)?,
        type_name: row.get(2)?,
        id: row.get(3)?,
        version: row.get(4)?,
        patient: row.get(5)?,
        state: DeliveryState::from_code(row.get(6)?),
        attempts: row.get(7)?,
        next_at: Instant::from_micros(row.get(8)?),
        reason: row.get(9)?,
    })
}
