//! The leaves of a trail that say that something was erased, and what they say of what is not there.

use super::package::ERASURE_PROOF;
use super::verify::{Files, Report, index_of, proved};
use crate::anchor::{Erased, Eraser, Leaf, LeafKind, Opening};
use crate::ledger::Checkpoint;

/// The erasing leaves of a trail, oldest first.
#[derive(Debug, Default)]
pub(super) struct Erasers {
    own: Vec<Eraser>,
    /// One that is in none of the trail's leaves.
    elsewhere: Option<Eraser>,
    /// The first leaf of the trail that is of a gateway whose erasing leaves name what they shorten.
    by_name_from: Option<u64>,
}

impl Erasers {
    /// Those among the proved leaves of a trail. One that is opened is opened by what it commits to; one that names nothing, or not what it shortened, is of
    /// an older gateway, and comes after nothing that a newer one wrote.
    pub fn of<'l>(proved: impl Iterator<Item = (u64, &'l Leaf, &'l Opening)>, report: &mut Report) -> Erasers {
        let (mut erasers, mut is_newer) = (Erasers::default(), false);
        for (position, leaf, opening) in proved {
            is_newer |= leaf.commits_to_told() || leaf.names_what_it_erased();
            erasers.in_turn(position, leaf, report);
            if leaf.kind != LeafKind::Erase {
                report.check(opening.severed.is_none(), || format!("leaf {position} erased nothing, and is said to have"));
                continue;
            }
            report.check(!is_newer || leaf.names_what_it_erased(), || {
                format!("leaf {position} does not name what it erased, although one before it is of a gateway whose leaves do")
            });
            let severed = opening.severed.clone().filter(|severed| severed.opens(leaf));
            report.check(severed.is_some() == opening.severed.is_some(), || {
                format!("leaf {position} does not commit to what it is said to have erased")
            });
            erasers.own.push(Eraser { position, leaf: leaf.clone(), severed });
        }
        erasers
    }

    fn in_turn(&mut self, position: u64, leaf: &Leaf, report: &mut Report) {
        if leaf.shortens_by_name {
            self.by_name_from = self.by_name_from.or(Some(position));
        }
        report.check(!leaf.kind.is_act() || leaf.shortens_by_name || self.by_name_from.is_none(), || {
            format!("leaf {position} is of a gateway that does not name what it shortens, although one before it is of one that does")
        });
    }

    /// The same with the erasure that is proved beside the trail's own leaves, if one is. It names nothing of this trail.
    pub fn with_proof(self, files: &Files, checkpoint: &Checkpoint, report: &mut Report) -> Erasers {
        if !files.contains_key(ERASURE_PROOF) {
            return self;
        }
        let position = index_of(files, ERASURE_PROOF).unwrap_or_default();
        let proved = proved(files, ERASURE_PROOF, position, checkpoint, report).filter(|(leaf, _)| leaf.kind == LeafKind::Erase);
        report.check(proved.is_some(), || format!("{ERASURE_PROOF}: it proves no erasure"));
        Erasers { elsewhere: proved.map(|(leaf, _)| Eraser { position, leaf, severed: None }), ..self }
    }

    /// The newest that is proved.
    pub fn newest(&self) -> Option<u64> {
        self.own.iter().chain(&self.elsewhere).map(|eraser| eraser.position).max()
    }

    /// Why what a leaf stands for is not there, if one of them says so.
    pub fn explain(&self, position: u64, leaf: &Leaf) -> Option<Erased> {
        self.own.iter().filter_map(|eraser| eraser.explains(position, leaf)).min()
    }

    /// Why something lacks of the record of what was done that a leaf stands for, if one of them says so: it names that leaf, or both are of older gateways.
    pub fn explain_shortened(&self, position: u64, leaf: &Leaf) -> Option<Erased> {
        let is_before = |eraser: &&Eraser| self.by_name_from.is_none_or(|from| eraser.position < from);
        let erasers = self.own.iter().chain(self.elsewhere.as_ref().filter(is_before));
        erasers.filter_map(|eraser| eraser.shortened(position, leaf)).min()
    }

    /// Whether one names a version of the record by its number.
    pub fn names_version(&self, number: u32) -> bool {
        self.own.iter().any(|eraser| eraser.severed.as_ref().is_some_and(|severed| severed.names_version(number)))
    }

    /// The newest that names nothing.
    pub fn newest_unnamed(&self) -> Option<u64> {
        self.own.iter().filter(|eraser| !eraser.leaf.names_what_it_erased()).map(|eraser| eraser.position).max()
    }
}
