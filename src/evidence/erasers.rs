//! The leaves of a trail that say that something was erased, and what they say of what is not there.

use super::verify::Report;
use crate::anchor::{Erased, Eraser, Leaf, LeafKind, Opening};

/// The erasing leaves of a trail, oldest first.
#[derive(Debug, Default)]
pub(super) struct Erasers(Vec<Eraser>);

impl Erasers {
    /// Those among the proved leaves of a trail. One that is opened is opened by what it commits to; one that names nothing is of an older gateway, and comes
    /// after none that does.
    pub fn of<'l>(proved: impl Iterator<Item = (u64, &'l Leaf, &'l Opening)>, report: &mut Report) -> Erasers {
        let (mut erasers, mut is_newer) = (Vec::new(), false);
        for (position, leaf, opening) in proved {
            is_newer |= leaf.commits_to_told() || leaf.names_what_it_erased();
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
            erasers.push(Eraser { position, leaf: leaf.clone(), severed });
        }
        Erasers(erasers)
    }

    /// Why what a leaf stands for is not there, if one of them says so.
    pub fn explain(&self, position: u64, leaf: &Leaf) -> Option<Erased> {
        self.0.iter().filter_map(|eraser| eraser.explains(position, leaf)).min()
    }

    /// Whether one names a version of the record by its number.
    pub fn names_version(&self, number: u32) -> bool {
        self.0.iter().any(|eraser| eraser.severed.as_ref().is_some_and(|severed| severed.names_version(number)))
    }

    /// The newest that names nothing.
    pub fn newest_unnamed(&self) -> Option<u64> {
        self.0.iter().filter(|eraser| !eraser.leaf.names_what_it_erased()).map(|eraser| eraser.position).max()
    }
}
