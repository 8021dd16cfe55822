//! What every portion of one trail is read with, and what is missing from it told apart: erased, or taken away.

use super::gather::damaged;
use super::severing::severed;
use super::subject::{EpochTag, Place, Subject};
use crate::anchor::{Erased, Eraser, Leaf, LeafKind};
use crate::identity::Caller;
use crate::ledger::TreeHashes;
use crate::ledger::index::Tag;
use crate::ledger::merkle::leaf_hash;
use crate::outcome::{Fault, FaultKind};
use crate::query::{Scope, StoredTiles};
use crate::store::{LedgerHead, Reader};
use std::collections::HashSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::OnceCell;

/// Leaves looked through at a time for those that erase.
const PORTION: usize = 1000;

/// What every portion of one trail is read with.
pub(super) struct Reading {
    pub caller: Caller,
    pub subject: Subject,
    /// The checkpoint that all receipts are under.
    pub head: LedgerHead,
    /// All places of the trail.
    places: Vec<Place>,
    tags: HashSet<Tag>,
    /// The owners' own, under which the leaf stands that says that one was erased: it names nothing.
    owners: HashSet<Tag>,
    /// The size of the log over which the places were found.
    covers: u64,
    /// How far each patient's records might be shown at all, from the first portion on that has any. What might be is decided portion by portion.
    pub scopes: OnceCell<Vec<Scope>>,
    /// The leaves among the places that erase, once one is wanted.
    erasures: OnceLock<Vec<Eraser>>,
    /// Whether something of the trail was erased after its places were found.
    overtaken: AtomicBool,
}

impl Reading {
    pub fn new(caller: &Caller, subject: Subject, head: LedgerHead) -> Reading {
        let (caller, covers) = (caller.clone(), head.size());
        let (places, tags, owners, scopes, erasures) = (Vec::new(), HashSet::new(), HashSet::new(), OnceCell::new(), OnceLock::new());
        Reading { caller, subject, head, places, tags, owners, covers, scopes, erasures, overtaken: AtomicBool::new(false) }
    }

    /// The same of what was found under these tags in a log of that size.
    pub fn over(self, tags: &[EpochTag], places: &[Place], covers: u64) -> Reading {
        let own = |tag: &EpochTag| Some(tag.secret.tag(&format!("Patient/{}", self.subject.patients.get(tag.patient)?)));
        let (owners, tags) = (tags.iter().filter_map(own).collect(), tags.iter().map(|tag| tag.tag).collect());
        Reading { tags, owners, places: places.to_vec(), covers, ..self }
    }

    /// Whether it is of a whole trail, and not of single leaves beside one: only in a trail stand the leaves that say what was erased of it.
    pub fn is_of_trail(&self) -> bool {
        !self.tags.is_empty()
    }

    /// Notes that something of it was erased while it was read.
    pub fn overtake(&self) {
        self.overtaken.store(true, Ordering::Release);
    }

    /// Whether something that was read was explained by an erasure that came after the places were found, and so is in none of them.
    pub fn is_overtaken(&self) -> bool {
        self.overtaken.load(Ordering::Acquire)
    }

    /// What a leaf stands for is not there. That is so where a later leaf of the trail says that it was erased; otherwise somebody took it away.
    ///
    /// # Errors
    /// When nothing says that it was erased.
    pub fn explain(&self, reader: &Reader<'_>, position: u64, leaf: &Leaf) -> Result<(), Fault> {
        let erased = |eraser: &Eraser| eraser.explains(position, leaf).is_some();
        if self.erasures(reader)?.iter().any(erased) {
            return Ok(());
        }
        if self.is_owner_gone(reader)? || self.newer_erasures(reader)?.iter().any(erased) {
            self.overtake();
            return Ok(());
        }
        Err(Fault::new(
            FaultKind::StorageCorrupt,
            format!("what leaf {position} stands for is not there, and no later leaf says that it was erased"),
        ))
    }

    /// The record of what was done that a leaf stands for says that something was taken out of it. That is so where a later leaf of the trail names it, and
    /// is taken for so where an older gateway wrote it, or its leaf is under no tag of the trail: that it is told at all nothing proves. Of a version it is the
    /// Provenance that says so, which no older gateway shortened.
    ///
    /// # Errors
    /// When it was written since leaves name what is shortened, and none names it.
    pub fn explain_shortened(&self, reader: &Reader<'_>, position: u64, leaf: &Leaf) -> Result<Erased, Fault> {
        let named = |erasers: &[Eraser]| erasers.iter().any(|eraser| eraser.shortened(position, leaf) == Some(Erased::Named));
        if named(self.erasures(reader)?) {
            return Ok(Erased::Named);
        }
        if named(&self.newer_erasures(reader)?) {
            self.overtake();
            return Ok(Erased::Named);
        }
        if leaf.kind != LeafKind::Accept && (!leaf.shortens_by_name || leaf.is_untagged()) {
            return Ok(Erased::Unnamed);
        }
        let text = format!("the record that leaf {position} stands for says that something was erased from it, and no later leaf does");
        Err(Fault::new(FaultKind::StorageCorrupt, text))
    }

    /// Those among the places, confirmed by the tree.
    fn erasures(&self, reader: &Reader<'_>) -> Result<&[Eraser], Fault> {
        if let Some(known) = self.erasures.get() {
            return Ok(known);
        }
        let tiles = StoredTiles(reader);
        let mut tree = TreeHashes::new(&self.head.edge, &tiles);
        let mut found = Vec::new();
        for run in self.places.chunk_by(|one, next| one.position.checked_add(1) == Some(next.position)) {
            let first = run.first().map_or(0, |place| place.position);
            for (position, entry) in (first..).zip(reader.leaves(first, run.len())?) {
                let Some(leaf) = Leaf::read(reader, &entry).filter(|leaf| leaf.kind == LeafKind::Erase) else { continue };
                if tree.leaf(position).map_err(damaged)? == leaf_hash(&entry) {
                    found.push(Eraser { position, severed: severed(reader, position, &leaf)?, leaf });
                }
            }
        }
        Ok(self.erasures.get_or_init(|| found))
    }

    /// Those that came since the places were found: what is erased while a trail is read is missing from its later portions.
    fn newer_erasures(&self, reader: &Reader<'_>) -> Result<Vec<Eraser>, Fault> {
        let of_subject = |leaf: &Leaf| leaf.counted().any(|(tag, _)| self.tags.contains(&tag));
        let found = self.erasing_since(reader, of_subject)?.into_iter();
        found.map(|(position, leaf)| Ok(Eraser { position, severed: severed(reader, position, &leaf)?, leaf })).collect()
    }

    /// Whether somebody was erased since then whose the subject is, or was: all that is under that one's tags goes with them.
    fn is_owner_gone(&self, reader: &Reader<'_>) -> Result<bool, Fault> {
        let of_owner = |leaf: &Leaf| leaf.tags.record.is_none() && leaf.tags.patient.is_some_and(|tag| self.owners.contains(&tag));
        Ok(!self.erasing_since(reader, of_owner)?.is_empty())
    }

    /// The leaves that erase, of these, that came since the places were found.
    fn erasing_since(&self, reader: &Reader<'_>, is_one: impl Fn(&Leaf) -> bool) -> Result<Vec<(u64, Leaf)>, Fault> {
        let (mut found, mut next) = (Vec::new(), self.covers);
        loop {
            let entries = reader.leaves(next, PORTION)?;
            let count = entries.len();
            let leaves = (next..).zip(entries).filter_map(|(position, entry)| Some((position, Leaf::read(reader, &entry)?)));
            found.extend(leaves.filter(|(_, leaf)| leaf.kind == LeafKind::Erase && is_one(leaf)));
            next = next.saturating_add(count as u64);
            if count < PORTION {
                return Ok(found);
            }
        }
    }
}
