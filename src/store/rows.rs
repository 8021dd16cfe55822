//! The rows of a unit, written inside the transaction under way: what it relied on is checked first, and then all of it is inserted.

use super::levels::Level;
use super::seal::Sealed;
use super::unit::{Assumption, Committed, IdempotencyDraft, LeafDraft, RawDraft, Unit, VersionDraft};
use super::writer::Writer;
use super::{candidates, entries, fault, former, outbox, pending, people, reader, row};
use crate::clock::Instant;
use crate::ledger::Edge;
use crate::ledger::merkle::leaf_hash;
use crate::outcome::{Fault, FaultKind};
use rusqlite::{OptionalExtension, params};

/// How many shared bodies are remembered.
const RECENT_RAW: usize = 16;
/// How many expired one-time tokens one use clears away.
const EXPIRED_PER_USE: u32 = 32;

/// A unit of which all is written but perhaps what stands beside it.
pub(super) struct Begun<'u> {
    unit: &'u Unit,
    raw: Option<i64>,
    /// The places of its leaves, as far as they are written.
    leaves: Vec<u64>,
    /// What its submitter is told, once nothing of it is left to write.
    pub outcome: Option<Committed>,
}

impl Begun<'_> {
    /// Whether another one assumes something of what is still to be written of it.
    pub(super) fn is_relied_on_by(&self, other: &Unit) -> bool {
        self.outcome.is_none()
            && self.unit.versions.iter().filter(|version| self.unit.is_beside(version)).any(|version| other.relies_on(version))
    }

    /// Whether nothing of it was written, for it was stale or a replay.
    pub(super) fn is_turned_away(&self) -> bool {
        self.outcome.as_ref().is_some_and(|outcome| !matches!(outcome, Committed::Done { .. }))
    }

    /// Nothing of it is left to write.
    pub(super) fn end(&mut self) {
        self.outcome = Some(Committed::Done { leaves: std::mem::take(&mut self.leaves) });
    }
}

impl Writer {
    pub(super) fn execute(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<(), Fault> {
        self.data.prepare_cached(sql).and_then(|mut statement| statement.execute(parameters)).map(drop).map_err(fault)
    }

    /// Checks what the unit relied on, and only then begins to write: a unit that is stale leaves no row.
    pub(super) fn begin_unit<'u>(&mut self, unit: &'u Unit, edge: &mut Edge) -> Result<Begun<'u>, Fault> {
        let turned_away = |outcome| Ok(Begun { unit, raw: None, leaves: Vec::new(), outcome: Some(outcome) });
        if let Some(draft) = &unit.idempotency
            && let Some(replay) = reader::replay(&self.data, &draft.key)?
        {
            return turned_away(Committed::Replayed(replay));
        }
        for (index, assumption) in unit.assumptions.iter().enumerate() {
            if !self.holds(assumption)? {
                return turned_away(Committed::Stale { assumption: index });
            }
        }
        self.begin_checked(unit, edge)
    }

    fn holds(&self, assumption: &Assumption) -> Result<bool, Fault> {
        match assumption {
            Assumption::Absent { type_name, id } => Ok(reader::newest_version(&self.data, type_name, id)?.is_none()),
            Assumption::Version { type_name, id, version } => Ok(reader::newest_version(&self.data, type_name, id)? == Some(*version)),
            Assumption::Matches { query, source, ids } => {
                Ok(candidates::matching_ids(&self.data, &self.sealer, query, source.as_deref(), ids.len() + 1)? == *ids)
            }
            Assumption::Alike { key, ids, limit } => Ok(people::alike(&self.data, key, *limit)? == *ids),
            Assumption::Pending { id, revision } => Ok(pending::revision(&self.data, id)? == Some(*revision)),
            Assumption::Unused { token, .. } => self.is_unused(token),
        }
    }

    /// Whether a one-time token is new. On a damaged page the index can answer with a row that is not the one asked for, so what it found is read.
    fn is_unused(&self, token: &[u8; 32]) -> Result<bool, Fault> {
        let found: Option<Vec<u8>> = self
            .data
            .prepare_cached("SELECT token FROM once WHERE token = ?")
            .and_then(|mut statement| statement.query_row([&token[..]], |row| row.get(0)).optional())
            .map_err(fault)?;
        match found {
            None => Ok(true),
            Some(found) if found == token => Ok(false),
            Some(_) => Err(Fault::new(FaultKind::StorageCorrupt, "the index of one-time tokens answers with another token")),
        }
    }

    /// Writes all of a unit but what stands beside it; that too where it erases, for nothing is to be written of a person behind that.
    pub(super) fn begin_checked<'u>(&mut self, unit: &'u Unit, edge: &mut Edge) -> Result<Begun<'u>, Fault> {
        let raw = match &unit.raw {
            Some(raw) => Some(self.insert_raw(raw)?),
            None => unit.raw_row,
        };
        let mut begun = Begun { unit, raw, leaves: vec![0; unit.leaves.len()], outcome: None };
        self.write_versions(&mut begun, false, None, edge)?;
        if let Some(erasure) = &unit.erasure {
            self.write_versions(&mut begun, true, None, edge)?;
            begun.end();
            self.erase(erasure)?;
        }
        if let Some(draft) = &unit.idempotency {
            self.insert_idempotency(draft)?;
        }
        for assumption in &unit.assumptions {
            if let Assumption::Unused { token, now, expires } = assumption {
                self.record_use(token, *now, *expires)?;
            }
        }
        if let Some(waiting) = &unit.pending {
            pending::write(&self.data, self.sealer.of_notes(), waiting)?;
        }
        unit.outbox.iter().try_for_each(|draft| outbox::insert(&self.data, draft))?;
        unit.outbox_updates.iter().try_for_each(|update| outbox::update(&self.data, update))?;
        for known in &unit.elsewhere {
            self.execute(
                "INSERT OR REPLACE INTO elsewhere (type, id, holder, remote) VALUES (?, ?, ?, ?)",
                params![known.type_name, known.id, known.holder, known.remote],
            )?;
        }
        for draft in &unit.work {
            if people::count_work(&self.data, draft)? {
                self.insert_version(&draft.task, None, None)?;
            }
        }
        unit.people.iter().try_for_each(|change| self.filing.relate(&self.data, change))?;
        for (source, map) in &unit.source_maps {
            self.execute("INSERT OR IGNORE INTO source_map (source, map) VALUES (?, ?)", params![source, map])?;
        }
        for (key, id) in &unit.alike {
            self.execute("INSERT OR IGNORE INTO alike (key, id) VALUES (?, ?)", params![&key[..], id])?;
        }
        Ok(begun)
    }

    /// Writes the versions of a unit with their leaves: those that stand beside it, or the others. What nobody is to know of waits for its place, where there is
    /// one to wait for.
    pub(super) fn write_versions<'u>(
        &mut self,
        begun: &mut Begun<'u>,
        beside: bool,
        mut level: Option<&mut Level<'u>>,
        edge: &mut Edge,
    ) -> Result<(), Fault> {
        let unit = begun.unit;
        let places = unit.places();
        let is_waiting = |leaf: &LeafDraft| level.is_some() && leaf.is_unseen;
        for (index, (leaf, position)) in unit.leaves.iter().zip(&mut begun.leaves).enumerate() {
            if places.beside.contains(&index) == beside && !is_waiting(leaf) {
                *position = self.append(leaf, edge)?;
            }
        }
        for version in unit.versions.iter().filter(|version| unit.is_beside(version) == beside) {
            let place = version.leaf.and_then(|index| Some((*begun.leaves.get(index)?, places.count(index), unit.leaves.get(index)?)));
            match (level.as_deref_mut(), place) {
                (Some(level), Some((.., leaf))) if leaf.is_unseen => level.waits((version, leaf)),
                (level, place) => {
                    self.insert_version(version, begun.raw, place)?;
                    let noted = place.filter(|(.., leaf)| leaf.key.is_some());
                    level.zip(noted).into_iter().for_each(|(level, (_, count, _))| level.hides(count as u64));
                }
            }
        }
        Ok(())
    }

    /// Keeps the bytes once for all units of a batch, which come close together.
    fn insert_raw(&mut self, raw: &RawDraft) -> Result<i64, Fault> {
        let known = self.recent_raw.iter().find(|(digest, source, _)| *digest == raw.digest && *source == raw.source).map(|(_, _, id)| *id);
        if let Some(id) = known {
            return Ok(id);
        }
        self.execute(
            "INSERT INTO raw (digest, media, source, at, bytes) VALUES (?, ?, ?, ?, ?)",
            params![&raw.digest[..], raw.media, raw.source, raw.at.micros(), &raw.bytes[..]],
        )?;
        let id = self.data.last_insert_rowid();
        if raw.shared {
            self.recent_raw.truncate(RECENT_RAW - 1);
            self.recent_raw.push_front((raw.digest, raw.source.clone(), id));
        }
        Ok(id)
    }

    fn record_use(&self, token: &[u8; 32], now: Instant, expires: Instant) -> Result<(), Fault> {
        self.execute(
            "DELETE FROM once WHERE token IN (SELECT token FROM once WHERE expires < ? ORDER BY expires LIMIT ?)",
            params![now.micros(), EXPIRED_PER_USE],
        )?;
        self.execute("INSERT INTO once (token, expires) VALUES (?, ?)", params![&token[..], expires.micros()])
    }

    fn insert_idempotency(&self, draft: &IdempotencyDraft) -> Result<(), Fault> {
        self.execute(
            "INSERT INTO idempotency (key, body, outcome, at) VALUES (?, ?, ?, ?)",
            params![&draft.key[..], &draft.body[..], draft.outcome, draft.at.micros()],
        )
    }

    /// Gives the leaf its places under its tags and in the log.
    pub(super) fn append(&mut self, leaf: &LeafDraft, edge: &mut Edge) -> Result<u64, Fault> {
        let position = edge.size();
        let entry = self.counting.entry(&self.data, leaf, position)?;
        self.insert_leaf(&entry, edge)?;
        if leaf.patient.is_some() {
            self.newest_own = Some(entry);
        }
        Ok(position)
    }

    pub(super) fn insert_leaf(&self, entry: &[u8], edge: &mut Edge) -> Result<(), Fault> {
        self.execute("INSERT INTO leaf (position, entry) VALUES (?, ?)", params![edge.size(), entry])?;
        for tile in edge.append(leaf_hash(entry)) {
            let hashes: Vec<u8> = tile.hashes.iter().flat_map(|hash| hash.0).collect();
            self.execute("INSERT INTO tile (level, position, hashes) VALUES (?, ?, ?)", params![tile.level, tile.index, hashes])?;
        }
        Ok(())
    }

    pub(super) fn insert_version(
        &mut self,
        draft: &VersionDraft,
        raw: Option<i64>,
        place: Option<(u64, usize, &LeafDraft)>,
    ) -> Result<(), Fault> {
        let seq: i64 = self.value("SELECT coalesce(max(seq), 0) + 1 FROM version")?;
        let rid = self.point_at(draft, seq)?;
        let leaf = place.map(|(position, ..)| position);
        let count = place.map_or(1, |(_, count, _)| count as u64);
        let key = place.and_then(|(.., leaf)| leaf.key.as_ref()).map(|key| &key.id[..]);
        let seal = self.sealer.seal(&Sealed {
            seq,
            type_name: &draft.type_name,
            id: &draft.id,
            version: draft.version,
            at: draft.at.micros(),
            method: draft.method.code(),
            source: &draft.source,
            leaf,
            leaves: count,
            key,
            raw,
            place: draft.place.as_deref(),
            document: &draft.document,
        })?;
        self.execute(
            "INSERT INTO version (seq, rid, version, at, method, raw, leaf, leaves, key, source, document, seal, place) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                seq,
                rid,
                draft.version,
                draft.at.micros(),
                draft.method.code(),
                raw,
                leaf,
                count,
                key,
                draft.source,
                draft.document,
                &seal[..],
                draft.place
            ],
        )?;
        self.filing.note(&self.data, draft)?;
        former::note(&self.data, draft, rid)?;
        draft.old_terms.iter().try_for_each(|term| entries::remove(&self.data, term, rid))?;
        draft.terms.iter().try_for_each(|term| entries::insert(&self.data, term, rid))
    }

    /// Makes the resource's row, or moves it on to the version at `seq`; answers its number. A first version has no row yet: its id is
    /// fresh, or its absence was assumed and checked.
    fn point_at(&self, draft: &VersionDraft, seq: i64) -> Result<i64, Fault> {
        let deleted = draft.document.is_empty();
        if draft.version == 1 {
            self.execute(
                "INSERT INTO resource (type, id, version, current, deleted, at, source) VALUES (?, ?, 1, ?, ?, ?, ?)",
                params![draft.type_name, draft.id, seq, deleted, draft.at.micros(), draft.source],
            )?;
            return Ok(self.data.last_insert_rowid());
        }
        self.overtake(draft)?;
        self.data
            .prepare_cached("UPDATE resource SET version = ?, current = ?, deleted = ?, at = ? WHERE type = ? AND id = ? RETURNING rid")
            .and_then(|mut statement| {
                let row = params![draft.version, seq, deleted, draft.at.micros(), draft.type_name, draft.id];
                statement.query_row(row, |row| row.get(0))
            })
            .map_err(fault)
    }

    /// The version that this one takes the place of is sealed as one that another did.
    fn overtake(&self, draft: &VersionDraft) -> Result<(), Fault> {
        let Some(before) = row::current(&self.data, &self.sealer, &draft.type_name, &draft.id)? else { return Ok(()) };
        let seal = self.sealer.seal_overtaken(&before.sealed())?;
        self.execute("UPDATE version SET seal = ? WHERE seq = ?", params![&seal[..], before.seq])
    }

    fn value(&self, sql: &str) -> Result<i64, Fault> {
        self.data.prepare_cached(sql).and_then(|mut statement| statement.query_row([], |row| row.get(0))).map_err(fault)
    }
}
