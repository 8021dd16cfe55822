//! Compares the counters of the log's tags (`data.db`) and the index (`index.db`) with the leaves both are made of, and makes them anew.

use super::counting::{self, Count};
use super::index::{self, Lists};
use super::opening::{configure, data_file, lock_folder};
use super::register::{Signed, Tree};
use super::{LeafForm, StoreSettings, fault, schema};
use crate::ledger::index::{List, Tag};
use crate::ledger::merkle::leaf_hash;
use crate::ledger::{Checkpoint, Edge, Hash};
use crate::outcome::{Fault, FaultKind};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// What a comparison found, or what there is since all was made anew.
#[derive(Debug, Default)]
pub struct Recounted {
    pub leaves: u64,
    pub tags: usize,
    pub problems: Vec<String>,
}

/// What the leaves say of a tag.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub count: Count,
    /// The list of the leaves that the index covers.
    pub list: List,
}

/// What all leaves say, and which tree they make.
struct Leaves {
    told: HashMap<Tag, Told>,
    tree: Edge,
    /// The roots the tree had at the sizes that are asked for.
    roots: BTreeMap<u64, Hash>,
    problems: Vec<String>,
}

/// A tree that somebody knows of, and from where; the leaves must lead through it.
struct Known {
    tree: Tree,
    from: &'static str,
}

/// The trees that the data may not lie behind: what was published, and what was signed.
pub struct KnownTrees<'e> {
    /// The newest checkpoint that is known to have been shown.
    pub published: Option<&'e Checkpoint>,
    /// The register of what was signed.
    pub register: &'e Path,
}

impl KnownTrees<'_> {
    fn signed(&self, checkpoint: &Checkpoint) -> Result<Option<Signed>, Fault> {
        Signed::read(self.register, &checkpoint.origin)
    }

    /// What data of a size must lead through.
    fn known(&self, signed: Option<Signed>, size: u64) -> Vec<Known> {
        let published = self.published.map(|shown| Known { tree: Tree { size: shown.size, root: shown.root }, from: "published" });
        let signed = signed.map(|signed| Known { tree: signed.must_lead_to(size), from: "signed" });
        published.into_iter().chain(signed).collect()
    }
}

impl Leaves {
    /// Reads all leaves; of the first `covered` the lists too. They must lead through what is known elsewhere.
    fn read(data: &Connection, covered: u64, known: &[Known], form: &dyn LeafForm) -> Result<Leaves, Fault> {
        let roots = known.iter().map(|known| (known.tree.size, Hash::EMPTY_ROOT)).collect();
        let mut leaves = Leaves { told: HashMap::new(), tree: Edge::new(), roots, problems: Vec::new() };
        let mut statement = data.prepare("SELECT position, entry FROM leaf ORDER BY position").map_err(fault)?;
        let mut rows = statement.query([]).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            let position: u64 = row.get(0).map_err(fault)?;
            let entry = row.get_ref(1).map_err(fault)?.as_bytes().unwrap_or_default();
            leaves.take(position, entry, position < covered, form);
        }
        known.iter().for_each(|known| leaves.lead_through(known));
        Ok(leaves)
    }

    fn take(&mut self, position: u64, entry: &[u8], is_covered: bool, form: &dyn LeafForm) {
        if position != self.tree.size() {
            self.problems.push(format!("data.db: leaf {} is not there", self.tree.size()));
        }
        let _tiles = self.tree.append(leaf_hash(entry));
        if let Some(root) = self.roots.get_mut(&self.tree.size()) {
            *root = self.tree.root();
        }
        for (tag, number) in form.tags(entry) {
            let told = self.told.entry(tag).or_default();
            if told.count.number + 1 != number {
                self.problems.push(format!("data.db: leaf {position} does not follow under its tag {}", hex(tag)));
            }
            told.count = Count { number, last: position };
            if is_covered {
                told.list.push(position);
            }
        }
    }

    fn lead_through(&mut self, Known { tree, from }: &Known) {
        let (there, size) = (self.tree.size(), tree.size);
        if size > there {
            self.problems.push(format!("data.db: it has {there} leaves, and {size} were {from}: it was set back"));
        } else if self.roots.get(&size) != Some(&tree.root) {
            self.problems.push(format!("data.db: its first {size} leaves make another tree than was {from}: it was forked"));
        }
    }

    /// The leaves must make the tree of their checkpoint.
    fn compare_with(&mut self, signed: &Checkpoint) {
        if signed.size != self.tree.size() || signed.root != self.tree.root() {
            self.problems.push("data.db: the leaves do not make the tree of its checkpoint".to_owned());
        }
    }
}

pub(super) fn hex(tag: Tag) -> String {
    data_encoding::HEXLOWER.encode(&tag.0)
}

/// Compares counters and index with the leaves, beside a running gateway or without one. `opened` reads the stored checkpoint and says whether
/// it is believed.
///
/// # Errors
/// When a file cannot be read, or the checkpoint is not believed.
pub fn inspect(
    folder: &Path,
    elsewhere: &KnownTrees<'_>,
    opened: impl Fn(&str) -> Result<Checkpoint, Fault>,
    form: &dyn LeafForm,
) -> Result<Recounted, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let data = Connection::open_with_flags(data_file(folder), flags).map_err(fault)?;
    // Index and register are read first: what they have is in data that are read afterwards.
    let signed = elsewhere.signed(&opened(&checkpoint(&data)?)?)?;
    let lists = Lists::open(folder);
    let covered = lists.as_ref().map(Lists::begin).transpose()?.unwrap_or(0);
    let data = data.unchecked_transaction().map_err(fault)?;
    let stored = opened(&checkpoint(&data)?)?;
    let mut leaves = Leaves::read(&data, covered, &elsewhere.known(signed, stored.size), form)?;
    leaves.compare_with(&stored);
    let mut problems = std::mem::take(&mut leaves.problems);
    compare_counters(&data, &leaves.told, &mut problems)?;
    if covered > leaves.tree.size() {
        problems.push("index.db: it covers more leaves than there are".to_owned());
    }
    lists.map_or(Ok(()), |lists| lists.compare(&leaves.told, &mut problems))?;
    Ok(Recounted { leaves: leaves.tree.size(), tags: leaves.told.len(), problems })
}

fn compare_counters(data: &Connection, told: &HashMap<Tag, Told>, problems: &mut Vec<String>) -> Result<(), Fault> {
    let mut statement = data.prepare("SELECT tag, count, last FROM tag").map_err(fault)?;
    let mut rows = statement.query([]).map_err(fault)?;
    let mut fitting = 0;
    while let Some(row) = rows.next().map_err(fault)? {
        let Ok(tag) = row.get(0).map(Tag) else {
            problems.push("data.db: a counter of no tag".to_owned());
            continue;
        };
        let count = row.get(1).and_then(|number| Ok(Count { number, last: row.get(2)? })).ok();
        match told.get(&tag) {
            None => problems.push(format!("data.db: there is a counter of the tag {}, and no leaf under it", hex(tag))),
            Some(leaves) if Some(leaves.count) != count => {
                problems.push(format!(
                    "data.db: the counter of the tag {} is not that of its newest leaf, {}",
                    hex(tag),
                    leaves.count.last
                ));
                fitting += 1;
            }
            Some(_) => fitting += 1,
        }
    }
    if fitting < told.len() {
        problems.push(format!("data.db: the counters of {} tags are not there", told.len() - fitting));
    }
    Ok(())
}

/// Makes the counters anew from the leaves, and forgets the index, which is made anew when it is wanted. No gateway may run on the data.
///
/// # Errors
/// When a gateway runs, or the leaves do not make the signed tree or do not follow under their tags: then they are what was damaged. When there is no
/// data, or it lies behind what was published or signed.
pub fn recount(
    settings: &StoreSettings,
    published: Option<&Checkpoint>,
    opened: impl FnOnce(&str) -> Result<Checkpoint, Fault>,
    form: &dyn LeafForm,
) -> Result<Recounted, Fault> {
    if !data_file(&settings.folder).exists() {
        return Err(Fault::new(FaultKind::Storage, format!("{}: there is no data here", settings.folder.display())));
    }
    let _lock = lock_folder(&settings.folder)?;
    let mut data = Connection::open(data_file(&settings.folder)).map_err(fault)?;
    configure(&data, settings)?;
    schema::prepare(&data)?;
    let stored = opened(&checkpoint(&data)?)?;
    let elsewhere = KnownTrees { published, register: &settings.register };
    let signed = elsewhere.signed(&stored)?.ok_or_else(|| unregistered(settings))?;
    let mut leaves = Leaves::read(&data, 0, &elsewhere.known(Some(signed), stored.size), form)?;
    leaves.compare_with(&stored);
    if let Some(problem) = leaves.problems.first() {
        return Err(Fault::new(FaultKind::Ledger, format!("{problem}: counters cannot be made of these leaves. Restore the data.")));
    }
    index::remove(&settings.folder)?;
    let transaction = data.transaction().map_err(fault)?;
    transaction.execute("DELETE FROM tag", []).map_err(fault)?;
    leaves.told.iter().try_for_each(|(tag, told)| counting::write(&transaction, *tag, told.count))?;
    transaction.commit().map_err(fault)?;
    Ok(Recounted { leaves: leaves.tree.size(), tags: leaves.told.len(), problems: Vec::new() })
}

fn unregistered(settings: &StoreSettings) -> Fault {
    let text = "is missing, so that nobody can say whether this data is the newest. Put it back, or see `hearthgate ledger adopt`.";
    Fault::new(FaultKind::Ledger, format!("{}: {text}", settings.register.display()))
}

fn checkpoint(data: &Connection) -> Result<String, Fault> {
    let note = data.query_row("SELECT note FROM checkpoint", [], |row| row.get(0)).optional().map_err(fault)?;
    note.ok_or_else(|| Fault::new(FaultKind::StorageCorrupt, "data.db holds no checkpoint"))
}
