//! A version as it is stored, and reading it: nothing is handed on whose seal does not hold, or that is said to be the newest and is not.

use super::fault;
use super::keys::RecordKeyId;
use super::seal::{self, Sealed, Sealer};
use super::unit::Method;
use crate::clock::Instant;
use crate::fhir::{Node, json};
use crate::outcome::{Fault, FaultKind};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row, params, params_from_iter};

/// One stored version.
#[derive(Debug, Clone)]
pub struct StoredVersion {
    /// Grows with every version stored; newest is largest.
    pub seq: i64,
    pub type_name: String,
    pub id: String,
    pub version: u32,
    pub at: Instant,
    pub method: Method,
    pub source: String,
    pub leaf: Option<u64>,
    /// How many leaves are its own, from that one on.
    pub leaves: u64,
    /// Whether it is the newest.
    pub is_current: bool,
    pub key: Option<RecordKeyId>,
    pub raw: Option<i64>,
    /// Compact JSON; empty for a deletion.
    pub document: String,
    /// Where it stood in what was received; `None` for what the gateway wrote itself, and for what older gateways stored.
    pub place: Option<String>,
    /// Over all of this: a row that says anything else has another.
    pub seal: Vec<u8>,
}

impl StoredVersion {
    pub fn deleted(&self) -> bool {
        self.method == Method::Delete
    }

    /// What its seal is over.
    pub(super) fn sealed(&self) -> Sealed<'_> {
        Sealed {
            seq: self.seq,
            type_name: &self.type_name,
            id: &self.id,
            version: self.version,
            at: self.at.micros(),
            method: self.method.code(),
            source: &self.source,
            leaf: self.leaf,
            leaves: self.leaves,
            key: self.key.as_ref().map(<[u8; 16]>::as_slice),
            raw: self.raw,
            place: self.place.as_deref(),
            document: &self.document,
        }
    }

    /// The document as a tree. What is stored was written by the gateway, so failing to read it is damage.
    pub fn parse(&self) -> Result<Node, Fault> {
        json::parse(self.document.as_bytes(), usize::MAX)
            .map_err(|error| Fault::new(FaultKind::StorageCorrupt, format!("a stored document does not parse at byte {}", error.offset)))
    }
}

/// The text of a statement that reads versions: [`SELECT`], or [`SELECT_CURRENT`] where they are the newest of what they are, and the rest. It is put
/// together when it is compiled, for many are asked for one row.
macro_rules! versions {
    ($more:literal) => {
        concat!(versions!(columns), ", 0 ", versions!(from), " ", $more)
    };
    (current $more:literal) => {
        concat!(versions!(columns), ", ", versions!(overtaken), " ", versions!(from), " ", $more)
    };
    (columns) => {
        "SELECT v.seq, r.type, r.id, v.version, v.at, v.method, v.source, v.leaf, v.key, v.raw, v.document, v.place, v.leaves, \
         v.seq = r.current, v.seal, r.version, r.deleted"
    };
    // Whether there is a version after the one that is said to be the newest: one look into an index.
    (overtaken) => {
        "EXISTS (SELECT 1 FROM version n WHERE n.rid = v.rid AND n.version > v.version)"
    };
    (from) => {
        "FROM version v JOIN resource r ON r.rid = v.rid"
    };
}
pub(super) use versions;

/// The beginning of a statement that reads versions, whichever they are.
pub(super) const SELECT: &str = versions!("");
/// The same, where they are the newest of what they are.
pub(super) const SELECT_CURRENT: &str = versions!(current "");

/// The newest version of a resource, deleted or not.
pub(super) fn current(connection: &Connection, sealer: &Sealer, type_name: &str, id: &str) -> Result<Option<StoredVersion>, Fault> {
    one(connection, sealer, versions!(current "WHERE r.type = ? AND r.id = ? AND v.seq = r.current"), params![type_name, id])
}

pub(super) fn one(
    connection: &Connection,
    sealer: &Sealer,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> Result<Option<StoredVersion>, Fault> {
    let mut statement = connection.prepare_cached(sql).map_err(fault)?;
    let mut rows = statement.query(parameters).map_err(fault)?;
    rows.next().map_err(fault)?.map(|row| read(row, sealer)).transpose()
}

/// A row, where it is as it was stored.
fn read(row: &Row<'_>, sealer: &Sealer) -> Result<StoredVersion, Fault> {
    let found = unproved(row).map_err(|error| unreadable(row, &error))?;
    proved(found, sealer)
}

/// A row as it stands, with what it is held against.
struct Unproved {
    version: StoredVersion,
    /// What the resource's own row says: which version is the newest, and whether that is a deletion.
    newest: u32,
    is_deleted: bool,
    is_overtaken: bool,
}

fn unproved(row: &Row<'_>) -> rusqlite::Result<Unproved> {
    let version = StoredVersion {
        seq: row.get(0)?,
        type_name: row.get(1)?,
        id: row.get(2)?,
        version: row.get(3)?,
        at: Instant::from_micros(row.get(4)?),
        method: Method::from_code(row.get(5)?),
        source: row.get(6)?,
        leaf: row.get(7)?,
        key: row.get(8)?,
        raw: row.get(9)?,
        document: row.get(10)?,
        place: row.get(11)?,
        leaves: row.get(12)?,
        is_current: row.get(13)?,
        seal: row.get(14)?,
    };
    Ok(Unproved { version, newest: row.get(15)?, is_deleted: row.get(16)?, is_overtaken: row.get(17)? })
}

/// A row whose seal holds, and which is the newest if it is said to be. One that was damaged or changed behind the gateway is named and not served.
fn proved(row: Unproved, sealer: &Sealer) -> Result<StoredVersion, Fault> {
    let Unproved { version, newest, is_deleted, is_overtaken } = row;
    let damaged = |what: &str| {
        let StoredVersion { type_name, id, version, seq, .. } = &version;
        Err(Fault::new(FaultKind::StorageCorrupt, format!("row {seq}: {type_name}/{id} version {version} {what}")))
    };
    if !sealer.holds(&version.seal, &version.sealed())? {
        return damaged("is not as it was stored");
    }
    // Its own seal says so too, where the one that took its place is not there any more.
    let is_overtaken = is_overtaken || seal::is_overtaken(&version.seal);
    let is_newest = version.version == newest && is_deleted == version.document.is_empty() && !is_overtaken;
    match version.is_current {
        true if !is_newest => damaged("is said to be the newest, and is not"),
        false if version.version >= newest => damaged("is the newest, and another is said to be"),
        _ => Ok(version),
    }
}

pub(super) fn list(connection: &Connection, sealer: &Sealer, sql: &str, parameters: Vec<Sql>) -> Result<Vec<StoredVersion>, Fault> {
    apart(connection, sealer, sql, parameters)?.whole()
}

/// What was found, and what of it cannot be believed.
#[derive(Debug, Default)]
pub struct Rows {
    pub sound: Vec<StoredVersion>,
    pub damaged: Vec<Damaged>,
}

/// A row that was damaged or changed. What it says is not to be shown; whose it may be is found out by it, so that it does not outlive them.
#[derive(Debug)]
pub struct Damaged {
    /// Which it is, and how it differs.
    pub fault: Fault,
    pub seq: i64,
    pub type_name: String,
    pub id: String,
    /// The newest version there is said to be.
    pub newest: u32,
    /// The leaf it says is its own.
    pub leaf: Option<u64>,
    pub document: Vec<u8>,
}

impl Rows {
    /// All of it, where none is damaged.
    pub fn whole(self) -> Result<Vec<StoredVersion>, Fault> {
        self.damaged.into_iter().next().map_or(Ok(self.sound), |damaged| Err(damaged.fault))
    }

    /// The number of the newest row.
    pub fn last(&self) -> Option<i64> {
        self.numbers().max()
    }

    /// The number of the oldest.
    pub fn first(&self) -> Option<i64> {
        self.numbers().min()
    }

    fn numbers(&self) -> impl Iterator<Item = i64> {
        self.sound.iter().map(|version| version.seq).chain(self.damaged.iter().map(|damaged| damaged.seq))
    }

    pub fn len(&self) -> usize {
        self.sound.len() + self.damaged.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Reads rows, and sets those apart that are not as they were stored.
pub(super) fn apart(connection: &Connection, sealer: &Sealer, sql: &str, parameters: Vec<Sql>) -> Result<Rows, Fault> {
    let mut statement = connection.prepare_cached(sql).map_err(fault)?;
    let mut rows = statement.query(params_from_iter(parameters)).map_err(fault)?;
    let mut found = Rows::default();
    while let Some(row) = rows.next().map_err(fault)? {
        match read(row, sealer) {
            Ok(version) => found.sound.push(version),
            Err(fault) if fault.kind == FaultKind::StorageCorrupt => found.damaged.push(damaged(row, fault)),
            Err(fault) => return Err(fault),
        }
    }
    Ok(found)
}

/// Reads rows one after the other; what cannot be believed is told by how it differs.
///
/// # Errors
/// When the rows cannot be read at all.
pub(super) fn each(
    connection: &Connection,
    sealer: &Sealer,
    sql: &str,
    mut tell: impl FnMut(Result<StoredVersion, Fault>),
) -> Result<(), Fault> {
    let mut statement = connection.prepare(sql).map_err(fault)?;
    let mut rows = statement.query([]).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        tell(read(row, sealer));
    }
    Ok(())
}

/// A row of which a column is of another kind than was stored.
fn unreadable(row: &Row<'_>, error: &rusqlite::Error) -> Fault {
    let seq: i64 = row.get(0).unwrap_or_default();
    let (type_name, id) = (text(row, 1), text(row, 2));
    let column = match error {
        rusqlite::Error::InvalidColumnType(column, ..)
        | rusqlite::Error::FromSqlConversionFailure(column, ..)
        | rusqlite::Error::IntegralValueOutOfRange(column, _)
        | rusqlite::Error::Utf8Error(column, _) => format!(" (column {column})"),
        _ => String::new(),
    };
    Fault::new(FaultKind::StorageCorrupt, format!("row {seq}: {type_name}/{id} is not as it was stored{column}"))
}

fn damaged(row: &Row<'_>, fault: Fault) -> Damaged {
    Damaged {
        fault,
        seq: row.get(0).unwrap_or_default(),
        type_name: text(row, 1),
        id: text(row, 2),
        newest: row.get(15).unwrap_or_default(),
        leaf: row.get(7).unwrap_or_default(),
        document: row.get_ref(10).ok().and_then(|value| value.as_bytes().ok()).unwrap_or_default().to_vec(),
    }
}

/// What a column says, as far as that is text.
pub(super) fn text(row: &Row<'_>, column: usize) -> String {
    let bytes = row.get_ref(column).ok().and_then(|value| value.as_bytes().ok());
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}
