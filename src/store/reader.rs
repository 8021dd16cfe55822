//! Readings, each on one consistent snapshot. The free functions are also what the writer checks assumptions with.

use super::candidates::{MAX_CANDIDATES, candidate_places, candidates, matching_ids, narrow, places};
use super::changes::Changes;
use super::counting::{self, Count};
use super::filed::{self, Filed};
use super::held::{self, Whose};
use super::keys::Keyring;
use super::outbox::{self, Delivery, DeliveryState};
use super::pending::{self, Pending};
use super::row::{Damaged, Rows, SELECT, SELECT_CURRENT, StoredVersion, apart, current, list, one, text, versions};
use super::seal::Sealer;
use super::unit::Replay;
use super::{LeafForm, erase, fault};
use crate::clock::Instant;
use crate::ledger::Hash;
use crate::ledger::index::Tag;
use crate::outcome::Fault;
use crate::search::{Lookup, Query};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::BTreeSet;

/// Bytes as they were received.
#[derive(Debug, Clone)]
pub struct StoredRaw {
    /// SHA-256 of the bytes.
    pub digest: [u8; 32],
    pub media: String,
    pub bytes: Vec<u8>,
}

/// What a leaf is of.
#[derive(Debug, Clone)]
pub struct RecordOfLeaf {
    pub type_name: String,
    pub id: String,
    pub source: String,
}

/// Whose history is asked for.
#[derive(Debug, Clone)]
pub enum HistoryScope {
    Instance { type_name: String, id: String },
    Type { type_name: String },
    System,
}

/// The beginning of a statement that finds where versions stand that bore an identifier.
const FORMER: &str = "SELECT v.seq FROM version v JOIN former f ON f.rid = v.rid AND f.version = v.version";

/// A snapshot for the time of one reading.
pub struct Reader<'c> {
    pub(super) connection: Transaction<'c>,
    sealer: &'c Sealer,
    keyring: &'c Keyring,
    leaf_form: &'c dyn LeafForm,
    /// How often counts of consents had been kept with the keys when this began.
    began: u64,
    /// How often institutions had changed, and how often any party.
    organisations: u64,
    parties: u64,
    changes: &'c Changes,
}

impl<'c> Reader<'c> {
    /// The consents that were filed about a patient, whatever the search index finds, and the records that are the same person's, whatever their
    /// table says.
    pub fn filed(&self, patient: &str) -> Result<Filed, Fault> {
        filed::under(&self.connection, self.sealer.of_notes(), patient, self.keyring.filings_of(patient, self.began)?)
    }

    pub(super) fn begin(
        connection: &'c Connection,
        sealer: &'c Sealer,
        (keyring, leaf_form): (&'c Keyring, &'c dyn LeafForm),
        changes: &'c Changes,
    ) -> Result<Reader<'c>, Fault> {
        // Before the snapshot, which then has whatever was kept by now.
        let (began, organisations, parties) = (keyring.filings_kept(), changes.of_organisations(), changes.of_parties());
        Ok(Reader {
            connection: connection.unchecked_transaction().map_err(fault)?,
            sealer,
            keyring,
            leaf_form,
            began,
            organisations,
            parties,
            changes,
        })
    }

    /// How often Organizations had been written or erased since the store was opened, at least: what was made of them then is still so where this is the same.
    pub fn organisations(&self) -> u64 {
        self.organisations
    }

    /// The same of records of any of the [`super::PARTIES`].
    pub fn parties(&self) -> u64 {
        self.parties
    }

    /// Which of these changed after there had been so many changes, by type and id, and maybe since this began; `None` where that is not known any more.
    pub fn parties_since(&self, count: u64) -> Option<Vec<(String, String)>> {
        self.changes.of_parties_since(count)
    }

    /// The newest version, deleted or not.
    pub fn current(&self, type_name: &str, id: &str) -> Result<Option<StoredVersion>, Fault> {
        current(&self.connection, self.sealer, type_name, id)
    }

    /// The number of the newest version, deleted or not.
    pub fn newest(&self, type_name: &str, id: &str) -> Result<Option<u32>, Fault> {
        newest_version(&self.connection, type_name, id)
    }

    /// Whose a resource is, as its own row says; whatever became of its versions.
    pub fn source_of(&self, type_name: &str, id: &str) -> Result<Option<String>, Fault> {
        self.connection
            .prepare_cached("SELECT source FROM resource WHERE type = ? AND id = ?")
            .and_then(|mut statement| statement.query_row([type_name, id], |row| Ok(text(row, 0))).optional())
            .map_err(fault)
    }

    pub fn version(&self, type_name: &str, id: &str, version: u32) -> Result<Option<StoredVersion>, Fault> {
        let sql = versions!("WHERE r.type = ? AND r.id = ? AND v.version = ?");
        one(&self.connection, self.sealer, sql, params![type_name, id, version])
    }

    /// The version a leaf anchors; `None` for a leaf of something else, or of what was erased.
    pub fn version_of_leaf(&self, leaf: u64) -> Result<Option<StoredVersion>, Fault> {
        Ok(self.versions_of_leaves(leaf, 1)?.pop().flatten())
    }

    /// The same for leaves in a row.
    pub fn versions_of_leaves(&self, first: u64, count: usize) -> Result<Vec<Option<StoredVersion>>, Fault> {
        let (found, damaged) = self.versions_of_leaves_apart(first, count)?;
        damaged.into_iter().next().map_or(Ok(found), |damaged| Err(damaged.fault))
    }

    /// The same, with those apart that are damaged.
    pub fn versions_of_leaves_apart(&self, first: u64, count: usize) -> Result<(Vec<Option<StoredVersion>>, Vec<Damaged>), Fault> {
        let sql = versions!(
            "WHERE v.leaf >= coalesce((SELECT leaf FROM version WHERE leaf <= ?1 ORDER BY leaf DESC LIMIT 1), ?1) \
             AND v.leaf < ?2 ORDER BY v.leaf"
        );
        let end = first.saturating_add(count as u64);
        let whole = |position: u64| Sql::from(i64::try_from(position).unwrap_or(i64::MAX));
        let mut found = Vec::new();
        found.resize_with(count, || None);
        let Rows { sound, mut damaged } = self.apart(sql, vec![whole(first), whole(end)])?;
        // One that is damaged before these is another's.
        damaged.retain(|damaged| damaged.leaf.is_none_or(|leaf| leaf >= first));
        for version in sound {
            let own = version.leaf.unwrap_or_default();
            // Those about several patients have several leaves; they are few.
            for leaf in (own + 1).max(first)..own.saturating_add(version.leaves).min(end) {
                put(&mut found, leaf - first, version.clone());
            }
            if own >= first {
                put(&mut found, own - first, version);
            }
        }
        Ok((found, damaged))
    }

    /// Of which records of two types there are versions that these leaves anchor, and from where they are, as their rows say, whatever can be read of them.
    pub fn records_of_leaves(&self, (first, last): (u64, u64), [one, other]: [&str; 2]) -> Result<Vec<RecordOfLeaf>, Fault> {
        // The leaves are few beside the records of a type: they lead.
        let sql = "SELECT DISTINCT r.type, r.id, v.source FROM version v CROSS JOIN resource r ON r.rid = v.rid \
                   WHERE v.leaf BETWEEN (SELECT coalesce(max(leaf), ?1) FROM version WHERE leaf <= ?1) AND ?2 \
                   AND v.leaf + v.leaves > ?1 AND r.type IN (?3, ?4)";
        let [first, last] = [first, last].map(|leaf| i64::try_from(leaf).unwrap_or(i64::MAX));
        let mut statement = self.connection.prepare_cached(sql).map_err(fault)?;
        let record = |row: &rusqlite::Row<'_>| Ok(RecordOfLeaf { type_name: text(row, 0), id: text(row, 1), source: text(row, 2) });
        let found = statement.query_map(params![first, last, one, other], record).map_err(fault)?;
        found.collect::<Result<_, _>>().map_err(fault)
    }

    /// Current Provenances, without a leaf of their own, that are indexed under a key: what the gateway itself stated. Oldest first.
    pub fn statements_under(&self, key: i64, limit: usize) -> Result<Vec<StoredVersion>, Fault> {
        let sql = versions!(
            "JOIN exact e ON e.rid = r.rid WHERE e.key = ? AND v.seq = r.current AND +r.type = 'Provenance' \
             AND r.deleted = 0 AND v.leaf IS NULL ORDER BY e.rid LIMIT ?"
        );
        self.versions(sql, vec![key.into(), rows(limit)])
    }

    /// The leaves of the records of what was done that are indexed under a key, of those whose leaf is wanted: at most `limit` and one more.
    pub fn events_under(&self, key: i64, limit: usize, is_wanted: impl Fn(&[u8]) -> bool) -> Result<Vec<u64>, Fault> {
        let sql = "SELECT l.position, l.entry FROM exact e JOIN resource r ON r.rid = e.rid JOIN version v ON v.seq = r.current \
                   JOIN leaf l ON l.position = v.leaf WHERE e.key = ? AND r.type = 'AuditEvent'";
        let mut statement = self.connection.prepare_cached(sql).map_err(fault)?;
        let mut rows = statement.query([key]).map_err(fault)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(fault)?.filter(|_| found.len() <= limit) {
            let entry = row.get_ref(1).map_err(fault)?;
            if entry.as_blob().is_ok_and(&is_wanted) {
                found.push(row.get(0).map_err(fault)?);
            }
        }
        Ok(found)
    }

    /// The newest versions of every resource, deleted or not, that is indexed under a key between these, both included.
    pub fn indexed_between(&self, low: i64, high: i64, limit: usize) -> Result<Rows, Fault> {
        let sql = format!(
            "{} WHERE v.seq = r.current AND r.rid IN (SELECT rid FROM exact WHERE key BETWEEN ? AND ?) ORDER BY v.seq LIMIT ?",
            SELECT_CURRENT
        );
        self.apart(&sql, vec![low.into(), high.into(), rows(limit)])
    }

    /// Where in the order of writing the same stand, of the first that the index has there, at most `limit`.
    pub fn indexed_under_any(&self, (low, high): (i64, i64), limit: usize) -> Result<Vec<i64>, Fault> {
        let sql = "SELECT r.current FROM resource r WHERE r.rid IN (SELECT rid FROM exact WHERE key BETWEEN ? AND ? LIMIT ?)";
        places(&self.connection, sql, vec![low.into(), high.into(), rows(limit)])
    }

    /// The version of a place in the order of writing, the newest of what it is or older.
    pub fn version_at(&self, place: i64) -> Result<Option<StoredVersion>, Fault> {
        one(&self.connection, self.sealer, versions!(current "WHERE v.seq = ?"), params![place])
    }

    /// The newest versions of the resources of a type, of those stored after `after`, oldest first. Whoever goes through all of them goes once through
    /// everything there is, and not once for each portion through all of the type.
    pub fn of_type(&self, type_name: &str, after: i64, limit: usize) -> Result<Rows, Fault> {
        let sql = format!("{} WHERE v.seq = r.current AND +r.type = ? AND v.seq > ? ORDER BY v.seq LIMIT ?", SELECT_CURRENT);
        self.apart(&sql, vec![type_name.to_owned().into(), after.into(), rows(limit)])
    }

    /// Versions, the newest of what they are or older, that hold any of these words anywhere: those stored after `after`, oldest first. Every row is
    /// looked through, but the records of what was done that this source wrote, of which there are the most.
    pub fn holding_any(&self, words: &[String], but_of: &str, after: i64, limit: usize) -> Result<Rows, Fault> {
        let any = vec!["instr(v.document, ?) > 0"; words.len()].join(" OR ");
        // The cases are told apart in this order: the documents of those records are not even read.
        let holds = format!("CASE WHEN v.source = ? AND r.type = 'AuditEvent' THEN 0 ELSE ({any}) END");
        let sql = format!("{SELECT} WHERE v.seq > ? AND {holds} ORDER BY v.seq LIMIT ?");
        let words = words.iter().map(|word| Sql::from(word.clone()));
        self.apart(&sql, [Sql::from(after), but_of.to_owned().into()].into_iter().chain(words).chain([rows(limit)]).collect())
    }

    /// Versions from newest to oldest, of those stored before `before` (when given) and at or after `since`.
    pub fn history(
        &self,
        scope: &HistoryScope,
        before: Option<i64>,
        since: Option<Instant>,
        limit: usize,
    ) -> Result<Vec<StoredVersion>, Fault> {
        self.history_apart(scope, before, since, limit)?.whole()
    }

    /// The same, with those apart that are damaged.
    pub fn history_apart(&self, scope: &HistoryScope, before: Option<i64>, since: Option<Instant>, limit: usize) -> Result<Rows, Fault> {
        let (condition, mut parameters): (&str, Vec<Sql>) = match scope {
            HistoryScope::Instance { type_name, id } => ("r.type = ? AND r.id = ?", vec![type_name.clone().into(), id.clone().into()]),
            HistoryScope::Type { type_name } => ("r.type = ?", vec![type_name.clone().into()]),
            HistoryScope::System => ("r.type NOT IN ('AuditEvent', 'Provenance')", Vec::new()),
        };
        parameters.extend([Sql::from(before.unwrap_or(i64::MAX)), since.map_or(i64::MIN, Instant::micros).into(), rows(limit)]);
        let sql = format!("{} WHERE {condition} AND v.seq < ? AND v.at >= ? ORDER BY v.seq DESC LIMIT ?", SELECT);
        apart(&self.connection, self.sealer, &sql, parameters)
    }

    /// Current resources that satisfy every lookup of the query: a superset of its matches, in the order they were first stored.
    /// More than [`MAX_CANDIDATES`] answers `None`.
    pub fn candidates(&self, query: &Query) -> Result<Option<Vec<StoredVersion>>, Fault> {
        self.candidates_apart(query)?.map(Rows::whole).transpose()
    }

    /// The same, with those apart that are damaged.
    pub fn candidates_apart(&self, query: &Query) -> Result<Option<Rows>, Fault> {
        let found = candidates(&self.connection, self.sealer, query, MAX_CANDIDATES + 1)?;
        Ok((found.len() <= MAX_CANDIDATES).then_some(found))
    }

    /// Where in the order of writing older versions stand that bore a business identifier which the newest does not, of those that satisfy the lookup of a
    /// query by identifier, at most `limit`: a superset of its matches.
    pub fn former_bearers(&self, query: &Query, limit: usize) -> Result<Vec<i64>, Fault> {
        let keys = query.lookups().into_iter().filter_map(|lookup| match lookup {
            Lookup::Exact(keys) => Some(keys),
            _ => None,
        });
        let keys: Vec<Sql> = keys.flatten().map(Sql::from).collect();
        let marks = vec!["?"; keys.len()].join(",");
        let sql = format!("{FORMER} WHERE f.key IN ({marks}) LIMIT ?");
        places(&self.connection, &sql, keys.into_iter().chain([rows(limit)]).collect())
    }

    /// The same, of any type, under a key between these, both included.
    pub fn former_bearers_between(&self, (low, high): (i64, i64), limit: usize) -> Result<Vec<i64>, Fault> {
        let sql = format!("{FORMER} WHERE f.key BETWEEN ? AND ? LIMIT ?");
        places(&self.connection, &sql, vec![low.into(), high.into(), rows(limit)])
    }

    /// The same in pieces: those behind a place in the order of writing, at most `limit`.
    pub fn candidates_behind(&self, query: &Query, behind: i64, limit: usize) -> Result<Rows, Fault> {
        let mut sql = format!("{} WHERE v.seq = r.current AND r.type = ? AND r.deleted = 0 AND v.seq > ?", SELECT_CURRENT);
        let mut parameters = vec![Sql::from(query.type_name().to_owned()), behind.into()];
        query.lookups().into_iter().for_each(|lookup| narrow(&mut sql, &mut parameters, lookup));
        sql.push_str(" ORDER BY v.seq LIMIT ?");
        parameters.push(rows(limit));
        self.apart(&sql, parameters)
    }

    /// The AuditEvents that one partner filed which satisfy every lookup of the query: as many as are looked at for a search, or `None` for more. Those of
    /// others, and of the gateway, are not looked through.
    pub fn filed_events(&self, query: &Query, source: &str) -> Result<Option<Rows>, Fault> {
        let filed =
            "SELECT rid FROM resource INDEXED BY resource_filed WHERE type = 'AuditEvent' AND source <> 'hearthgate' AND source = ?";
        let mut sql = format!("{SELECT_CURRENT} WHERE r.rid IN ({filed}) AND v.seq = r.current AND r.deleted = 0");
        let mut parameters = vec![Sql::from(source.to_owned())];
        query.lookups().into_iter().for_each(|lookup| narrow(&mut sql, &mut parameters, lookup));
        sql.push_str(" ORDER BY v.seq LIMIT ?");
        parameters.push(rows(MAX_CANDIDATES + 1));
        let found = self.apart(&sql, parameters)?;
        Ok((found.len() <= MAX_CANDIDATES).then_some(found))
    }

    /// The first current resources that satisfy every lookup of the query, at most `limit`: a superset of its matches.
    pub fn first_candidates(&self, query: &Query, limit: usize) -> Result<Vec<StoredVersion>, Fault> {
        candidates(&self.connection, self.sealer, query, limit)?.whole()
    }

    /// Where these stand in the order of writing.
    pub fn first_places(&self, query: &Query, limit: usize) -> Result<Vec<i64>, Fault> {
        candidate_places(&self.connection, query, limit)
    }

    /// The ids of current resources that match the query, of one partner when it is named, at most `limit` of them.
    pub fn matching_ids(&self, query: &Query, source: Option<&str>, limit: usize) -> Result<Vec<String>, Fault> {
        matching_ids(&self.connection, self.sealer, query, source, limit)
    }

    pub fn replay(&self, key: &[u8; 32]) -> Result<Option<Replay>, Fault> {
        replay(&self.connection, key)
    }

    /// The hashes of a full tile of the log.
    pub fn tile(&self, level: u8, position: u64) -> Result<Option<Vec<Hash>>, Fault> {
        tile(&self.connection, level, position)
    }

    /// Whether acts were kept back from the log.
    pub(super) fn is_any_held(&self) -> Result<bool, Fault> {
        held::is_any(&self.connection)
    }

    /// Whether acts of these were, all of which are as they were stored.
    pub(super) fn is_any_held_of(&self, whose: &Whose) -> Result<bool, Fault> {
        held::is_any_of(&self.connection, self.sealer.of_notes(), whose)
    }

    /// Leaf entries from a position on, at most `limit`.
    pub fn leaves(&self, from: u64, limit: usize) -> Result<Vec<Vec<u8>>, Fault> {
        let mut statement =
            self.connection.prepare_cached("SELECT entry FROM leaf WHERE position >= ? ORDER BY position LIMIT ?").map_err(fault)?;
        let entries = statement.query_map(params![from, rows(limit)], |row| row.get(0)).map_err(fault)?;
        entries.collect::<Result<_, _>>().map_err(fault)
    }

    /// What opens an entry of the log, if it is a sealed leaf.
    pub fn leaf_key(&self, entry: &[u8]) -> Option<[u8; 32]> {
        self.leaf_form.key(entry)
    }

    /// The tags of an entry with their counters; none of what is no leaf of the gateway's.
    pub fn leaf_tags(&self, entry: &[u8]) -> Vec<(Tag, u64)> {
        self.leaf_form.tags(entry)
    }

    /// How many leaves there are under a tag by its counter, and where the newest stands.
    pub fn count_of(&self, tag: Tag) -> Result<Option<Count>, Fault> {
        counting::read(&self.connection, tag)
    }

    /// The versions of a resource that were erased while it stayed.
    pub fn erased_of(&self, type_name: &str, id: &str) -> Result<BTreeSet<u32>, Fault> {
        erase::erased_of(&self.connection, self.sealer, type_name, id)
    }

    /// What opens a leaf that erases, by its commitment.
    pub fn severed(&self, commitment: &[u8; 32]) -> Result<Option<Vec<u8>>, Fault> {
        self.connection
            .prepare_cached("SELECT opening FROM severed WHERE commitment = ?")
            .and_then(|mut statement| statement.query_row([&commitment[..]], |row| row.get(0)).optional())
            .map_err(fault)
    }

    /// Something received, by its number.
    pub fn raw(&self, id: i64) -> Result<Option<StoredRaw>, Fault> {
        self.connection
            .query_row("SELECT digest, media, bytes FROM raw WHERE id = ?", [id], |row| {
                Ok(StoredRaw { digest: row.get(0)?, media: row.get(1)?, bytes: row.get(2)? })
            })
            .optional()
            .map_err(fault)
    }

    /// A submission that waits, or waited, for signatures.
    pub fn pending(&self, id: &str) -> Result<Option<Pending>, Fault> {
        pending::one(&self.connection, self.sealer.of_notes(), id)
    }

    /// Submissions that still wait though their time has passed.
    pub fn pending_due(&self, now: Instant, limit: u32) -> Result<Vec<Pending>, Fault> {
        pending::due(&self.connection, self.sealer.of_notes(), now, limit)
    }

    /// Submissions that still wait, in the order of their ids after one.
    pub fn pending_open(&self, after: &str, limit: u32) -> Result<Vec<Pending>, Fault> {
        pending::open(&self.connection, self.sealer.of_notes(), after, limit)
    }

    /// Submissions that no longer wait and in whose progress a text stands.
    pub fn pending_ended_with(&self, text: &str) -> Result<Vec<String>, Fault> {
        pending::ended_with(&self.connection, text)
    }

    pub fn deliveries_due(&self, now: Instant, limit: u32) -> Result<Vec<Delivery>, Fault> {
        outbox::due(&self.connection, now, limit)
    }

    /// The versions of a resource that were sent to a destination, or may have arrived there, when it was about this patient.
    pub fn sent(&self, destination: &str, patient: &str, type_name: &str, id: &str) -> Result<Vec<u32>, Fault> {
        outbox::sent(&self.connection, destination, patient, type_name, id)
    }

    pub fn deliveries_in(&self, state: DeliveryState, limit: u32) -> Result<Vec<Delivery>, Fault> {
        outbox::in_state(&self.connection, state, limit)
    }

    /// Under which id a holder knows a resource of ours, when that is known.
    pub fn remote_id(&self, holder: &str, type_name: &str, id: &str) -> Result<Option<String>, Fault> {
        self.connection
            .prepare_cached("SELECT remote FROM elsewhere WHERE type = ? AND id = ? AND holder = ?")
            .and_then(|mut statement| statement.query_row(params![type_name, id, holder], |row| row.get(0)).optional())
            .map_err(fault)
    }

    /// Our id of a resource that a holder knows under its own.
    pub fn ours(&self, holder: &str, type_name: &str, remote: &str) -> Result<Option<String>, Fault> {
        self.connection
            .prepare_cached("SELECT id FROM elsewhere WHERE holder = ? AND type = ? AND remote = ?")
            .and_then(|mut statement| statement.query_row(params![holder, type_name, remote], |row| row.get(0)).optional())
            .map_err(fault)
    }

    /// The holders that know a resource, with their ids for it.
    pub fn elsewhere(&self, type_name: &str, id: &str) -> Result<Vec<(String, String)>, Fault> {
        let mut statement =
            self.connection.prepare_cached("SELECT holder, remote FROM elsewhere WHERE type = ? AND id = ?").map_err(fault)?;
        let known = statement.query_map(params![type_name, id], |row| Ok((row.get(0)?, row.get(1)?))).map_err(fault)?;
        known.collect::<Result<_, _>>().map_err(fault)
    }

    /// How many current resources there are of each type.
    pub fn counts(&self) -> Result<Vec<(String, u64)>, Fault> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT type, count(*) FROM resource WHERE deleted = 0 GROUP BY type ORDER BY type")
            .map_err(fault)?;
        let counts = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(fault)?;
        counts.collect::<Result<_, _>>().map_err(fault)
    }

    /// Current versions of a source that were made from received bytes, in the order they were stored: those after `after`, stored at or after
    /// `since`, at most `limit`.
    pub fn received(&self, source: &str, since: Instant, after: i64, limit: usize) -> Result<Vec<StoredVersion>, Fault> {
        let sql = format!(
            "{} WHERE v.seq = r.current AND v.seq > ? AND v.source = ? AND v.at >= ? AND v.raw IS NOT NULL \
             AND v.leaf IS NOT NULL AND r.deleted = 0 ORDER BY v.seq LIMIT ?",
            SELECT_CURRENT
        );
        self.versions(&sql, vec![after.into(), source.to_owned().into(), since.micros().into(), rows(limit)])
    }

    /// What else was made from the same bytes: place, type and id of each.
    pub fn made_from(&self, raw: i64) -> Result<Vec<(String, String, String)>, Fault> {
        let sql = "SELECT v.place, r.type, r.id FROM version v JOIN resource r ON r.rid = v.rid WHERE v.raw = ? AND v.place IS NOT NULL";
        let mut statement = self.connection.prepare_cached(sql).map_err(fault)?;
        let found = statement.query_map([raw], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).map_err(fault)?;
        found.collect::<Result<_, _>>().map_err(fault)
    }

    fn versions(&self, sql: &str, parameters: Vec<Sql>) -> Result<Vec<StoredVersion>, Fault> {
        list(&self.connection, self.sealer, sql, parameters)
    }

    fn apart(&self, sql: &str, parameters: Vec<Sql>) -> Result<Rows, Fault> {
        apart(&self.connection, self.sealer, sql, parameters)
    }

    /// How many rows say that a leaf is theirs.
    pub fn rows_of_leaf(&self, leaf: u64) -> Result<u64, Fault> {
        self.connection.query_row("SELECT count(*) FROM version WHERE leaf = ?", [leaf], |row| row.get(0)).map_err(fault)
    }
}

fn put(found: &mut [Option<StoredVersion>], place: u64, version: StoredVersion) {
    if let Some(slot) = usize::try_from(place).ok().and_then(|place| found.get_mut(place)) {
        *slot = Some(version);
    }
}

pub(super) fn rows(limit: usize) -> Sql {
    Sql::from(i64::try_from(limit).unwrap_or(i64::MAX))
}

pub(super) fn newest_version(connection: &Connection, type_name: &str, id: &str) -> Result<Option<u32>, Fault> {
    connection
        .prepare_cached("SELECT version FROM resource WHERE type = ? AND id = ?")
        .and_then(|mut statement| statement.query_row([type_name, id], |row| row.get(0)).optional())
        .map_err(fault)
}

pub(super) fn replay(connection: &Connection, key: &[u8; 32]) -> Result<Option<Replay>, Fault> {
    connection
        .prepare_cached("SELECT body, outcome FROM idempotency WHERE key = ?")
        .and_then(|mut statement| statement.query_row([&key[..]], |row| Ok(Replay { body: row.get(0)?, outcome: row.get(1)? })).optional())
        .map_err(fault)
}

pub(super) fn tile(connection: &Connection, level: u8, position: u64) -> Result<Option<Vec<Hash>>, Fault> {
    let hashes: Option<Vec<u8>> = connection
        .prepare_cached("SELECT hashes FROM tile WHERE level = ? AND position = ?")
        .and_then(|mut statement| statement.query_row(params![level, position], |row| row.get(0)).optional())
        .map_err(fault)?;
    Ok(hashes.map(|bytes| bytes.as_chunks::<32>().0.iter().map(|&chunk| Hash(chunk)).collect()))
}
