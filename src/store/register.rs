//! The last tree that was signed, remembered apart from the data.
//!
//! A signature that has left the gateway cannot be taken back, so no other tree may ever be signed at its size or below. The data alone
//! cannot see to that: it may be put back from a backup, cut short, or opened twice. Each signing therefore swaps the last tree for the
//! next one here, while the data is made durable, and nobody is told before both are on the disk. Data that is behind this register, or does
//! not lead through the tree it names, is refused.
//!
//! The file has two slots that are written in turn: the newest tree, and the one before it. While they differ, the newest may be one that
//! nobody was told of, because its data did not become durable; data that stops at the tree before is taken then. A register at rest is
//! *settled*: both slots hold the newest tree. That is written before anybody is told of the tree, so that no end of the process, however sudden,
//! leaves a told tree in doubt; it is synced a little later, since the sync of the next tree takes it along. A torn write loses only what was not
//! told yet.

use crate::ledger::Hash;
use crate::outcome::{Fault, FaultKind};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes from one slot to the next: a disk's sector or more, so that a torn write damages one of them.
const SLOT_BYTES: usize = 4096;
/// Bytes of a slot in use: its number, the size, the root, the origin's hash, and the hash of those.
const RECORD_BYTES: usize = 8 + 8 + 32 + 32 + 32;
const HASHED_BYTES: usize = RECORD_BYTES - 32;
/// The number of the first tree; the slot that settles a tree has the number before the tree's own.
const FIRST_NUMBER: u64 = 1;

/// A tree: how many leaves, which root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tree {
    pub size: u64,
    pub root: Hash,
}

/// A slot as it was read: which of the two, its number, and what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    place: u64,
    number: u64,
    tree: Tree,
}

/// What the register of a log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signed {
    last: Tree,
    /// The tree before it, while it is not certain that anybody was told of the last one.
    unsettled_from: Option<Tree>,
}

impl Signed {
    /// Reads a register beside whoever signs with it; nothing where there is no file. Read before the data: these only grow.
    pub(super) fn read(path: &Path, origin: &str) -> Result<Option<Signed>, Fault> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Fault::new(FaultKind::Storage, format!("{}: {error}", path.display()))),
        };
        let (newest, before) = read(&file, path, &Sha256::digest(origin).into())?;
        Ok(newest.map(|newest| Signed::of(newest.tree, before)))
    }

    fn of(last: Tree, before: Option<Tree>) -> Signed {
        Signed { last, unsettled_from: before.filter(|before| before.size < last.size) }
    }

    /// The tree that data of a size must lead through: the last one, or the one before where the data stops short of one that may be untold.
    pub(super) fn must_lead_to(&self, size: u64) -> Tree {
        if self.last.size > size { self.unsettled_from.unwrap_or(self.last) } else { self.last }
    }
}

/// The open register; one process holds it at a time.
pub(super) struct Register {
    file: File,
    path: PathBuf,
    origin: [u8; 32],
    newest: Option<Slot>,
    /// The tree in the other slot.
    before: Option<Tree>,
    /// Whether all that was settled is on the disk.
    is_kept: bool,
}

impl Register {
    /// Opens the register of a log, or an empty one where there is no file.
    pub(super) fn open(path: &Path, origin: &str) -> Result<Register, Fault> {
        let failed = |error: std::io::Error| Fault::new(FaultKind::Storage, format!("{}: {error}", path.display()));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = format!("{}: another process signs with this register", path.display());
                return Err(Fault::new(FaultKind::Storage, text));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut register =
            Register { file, path: path.to_owned(), origin: Sha256::digest(origin).into(), newest: None, before: None, is_kept: true };
        (register.newest, register.before) = register.read()?;
        Ok(register)
    }

    /// The last tree that was signed, if any was.
    pub(super) fn last(&self) -> Option<Tree> {
        self.newest.map(|slot| slot.tree)
    }

    /// What it says.
    pub(super) fn signed(&self) -> Option<Signed> {
        self.last().map(|last| Signed::of(last, self.before))
    }

    /// Moves on from one tree to the next. It is on the disk when this returns.
    pub(super) fn swap(&mut self, from: Option<Tree>, to: Tree) -> Result<(), Fault> {
        self.check_unmoved()?;
        let last = self.last();
        if last != from || last.is_some_and(|last| to.size < last.size || (to.size == last.size && to.root != last.root)) {
            return Err(self.moved());
        }
        if last == Some(to) {
            return Ok(());
        }
        self.write(self.newest.map_or(0, |newest| 1 - newest.place), to)?;
        self.before = last;
        Ok(())
    }

    /// Makes the newest tree certain before it is told: data that does not have it was set back. On the disk with [`keep`](Register::keep), or
    /// with the next tree, which takes the same place: what is synced of the newest tree is never written over.
    pub(super) fn settle(&mut self) -> Result<(), Fault> {
        let Some(newest) = self.newest.filter(|newest| self.before != Some(newest.tree)) else { return Ok(()) };
        self.check_unmoved()?;
        self.put(Slot { place: 1 - newest.place, number: newest.number.saturating_sub(1), tree: newest.tree })?;
        self.before = Some(newest.tree);
        Ok(())
    }

    /// Syncs what was settled.
    pub(super) fn keep(&mut self) -> Result<(), Fault> {
        self.file.sync_data().map_err(|error| Fault::new(FaultKind::Storage, format!("register: {error}")))?;
        self.is_kept = true;
        Ok(())
    }

    /// Whether all that was settled is on the disk.
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Puts another tree in the place of the newest one, whose data never became durable and which nobody was told of.
    pub(super) fn withdraw(&mut self, last: Tree) -> Result<(), Fault> {
        self.check_unmoved()?;
        self.write(self.newest.map_or(0, |newest| newest.place), last)
    }

    /// Another process cannot write here while this one holds the lock; on a file system that keeps no locks this notices it.
    fn check_unmoved(&self) -> Result<(), Fault> {
        if self.read()?.0 == self.newest { Ok(()) } else { Err(self.moved()) }
    }

    fn moved(&self) -> Fault {
        let text = format!("{}: another tree was signed meanwhile; this one is not", self.path.display());
        Fault::new(FaultKind::Ledger, text)
    }

    /// Both slots are written at the first time, so that no later one needs room on the disk.
    fn write(&mut self, place: u64, tree: Tree) -> Result<(), Fault> {
        if self.newest.is_none() {
            self.file.write_all_at(&[0; 2 * SLOT_BYTES], 0).map_err(written)?;
        }
        let slot = Slot { place, number: self.newest.map_or(FIRST_NUMBER, |newest| newest.number + 1), tree };
        self.put(slot)?;
        // Whatever a failed sync says of its reason, what it should have synced is lost to later ones.
        self.keep()?;
        if self.newest.is_none() {
            self.sync_folder().map_err(|error| Fault::new(FaultKind::Storage, format!("register: {error}")))?;
        }
        self.newest = Some(slot);
        Ok(())
    }

    /// Writes a slot, without a sync.
    fn put(&mut self, slot: Slot) -> Result<(), Fault> {
        let mut bytes = [0; SLOT_BYTES];
        bytes.iter_mut().zip(self.record(slot.number, slot.tree)).for_each(|(place, byte)| *place = byte);
        self.is_kept = false;
        self.file.write_all_at(&bytes, slot.place * SLOT_BYTES as u64).map_err(written)
    }

    fn sync_folder(&self) -> std::io::Result<()> {
        self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }

    fn record(&self, number: u64, tree: Tree) -> Vec<u8> {
        let mut record = number.to_be_bytes().to_vec();
        record.extend_from_slice(&tree.size.to_be_bytes());
        record.extend_from_slice(&tree.root.0);
        record.extend_from_slice(&self.origin);
        let check = Sha256::digest(&record);
        record.extend_from_slice(&check);
        record
    }

    fn read(&self) -> Result<(Option<Slot>, Option<Tree>), Fault> {
        read(&self.file, &self.path, &self.origin)
    }
}

/// The newer of the two slots, and the tree in the other. A register with bytes and no whole slot was damaged.
fn read(file: &File, path: &Path, origin: &[u8; 32]) -> Result<(Option<Slot>, Option<Tree>), Fault> {
    let damaged = |text: &str| Fault::new(FaultKind::StorageCorrupt, format!("{}: {text}", path.display()));
    let length = file.metadata().map_err(|error| damaged(&error.to_string()))?.len();
    let mut slots: Vec<Slot> = Vec::with_capacity(2);
    for place in [0, 1] {
        let (mut record, at) = ([0; RECORD_BYTES], place * SLOT_BYTES as u64);
        if at + RECORD_BYTES as u64 > length || file.read_exact_at(&mut record, at).is_err() {
            continue;
        }
        if let Some((number, tree, of)) = parse(&record) {
            if of != *origin {
                return Err(damaged("is the register of another log"));
            }
            slots.push(Slot { place, number, tree });
        }
    }
    slots.sort_unstable_by_key(|slot| std::cmp::Reverse(slot.number));
    let mut slots = slots.into_iter();
    let newest = slots.next();
    if newest.is_none() && length > 0 {
        return Err(damaged("is damaged, so that nobody can say which tree was signed last"));
    }
    Ok((newest, slots.next().map(|slot| slot.tree)))
}

fn written(error: std::io::Error) -> Fault {
    let full = matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
    Fault::new(if full { FaultKind::StorageFull } else { FaultKind::Storage }, format!("register: {error}"))
}

fn parse(record: &[u8; RECORD_BYTES]) -> Option<(u64, Tree, [u8; 32])> {
    let (hashed, check) = record.split_at_checked(HASHED_BYTES)?;
    if Sha256::digest(hashed).as_slice() != check {
        return None;
    }
    let (number, rest) = hashed.split_first_chunk::<8>()?;
    let (size, rest) = rest.split_first_chunk::<8>()?;
    let (root, origin) = rest.split_first_chunk::<32>()?;
    let tree = Tree { size: u64::from_be_bytes(*size), root: Hash(*root) };
    Some((u64::from_be_bytes(*number), tree, origin.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            let folder = std::env::temp_dir().join(format!("hearthgate-register-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).unwrap();
            Place(folder.join("register"))
        }

        fn open(&self) -> Result<Register, Fault> {
            Register::open(&self.0, "test/log")
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(self.0.parent().unwrap());
        }
    }

    fn unsettled_from(register: &Register) -> Option<Tree> {
        register.signed()?.unsettled_from
    }

    fn tree(size: u64) -> Tree {
        Tree { size, root: Hash([size as u8; 32]) }
    }

    fn filled(place: &Place, sizes: std::ops::RangeInclusive<u64>) {
        let mut register = place.open().unwrap();
        for size in sizes {
            register.swap(register.last(), tree(size)).unwrap();
        }
    }

    #[test]
    fn what_was_signed_last_is_remembered() {
        let place = Place::new("remembered");
        assert_eq!(place.open().unwrap().last(), None);
        filled(&place, 0..=5);
        assert_eq!(place.open().unwrap().last(), Some(tree(5)));
    }

    #[test]
    fn only_the_next_tree_after_the_last_one_is_taken() {
        let place = Place::new("next");
        filled(&place, 3..=4);
        let mut register = place.open().unwrap();
        let forked = Tree { size: 4, root: Hash([99; 32]) };
        for (from, to) in [(None, tree(5)), (Some(tree(3)), tree(5)), (Some(tree(4)), tree(3)), (Some(tree(4)), forked)] {
            assert_eq!(register.swap(from, to).unwrap_err().kind, FaultKind::Ledger, "{from:?} {to:?}");
        }
        register.swap(Some(tree(4)), tree(4)).unwrap();
        register.swap(Some(tree(4)), tree(9)).unwrap();
    }

    #[test]
    fn what_nobody_was_told_of_is_unsettled_and_can_be_withdrawn() {
        let place = Place::new("unsettled");
        filled(&place, 3..=4);
        let seen = |register: &Register| (register.last(), unsettled_from(register));
        let mut register = place.open().unwrap();
        assert_eq!(seen(&register), (Some(tree(4)), Some(tree(3))));
        register.withdraw(tree(3)).unwrap();
        assert_eq!(seen(&register), (Some(tree(3)), None));
        // Another tree of the same size may now be signed.
        let other = Tree { size: 4, root: Hash([99; 32]) };
        register.swap(Some(tree(3)), other).unwrap();
        assert_eq!(seen(&register), (Some(other), Some(tree(3))));
        register.settle().unwrap();
        assert!(!register.is_kept());
        drop(register);
        assert_eq!(seen(&place.open().unwrap()), (Some(other), None));
    }

    #[test]
    fn what_settles_a_tree_is_written_over_and_the_tree_itself_is_not() {
        let place = Place::new("settled");
        let mut register = place.open().unwrap();
        for size in 1..=5 {
            let before = register.newest;
            register.swap(register.last(), tree(size)).unwrap();
            assert!(register.is_kept());
            assert_ne!(
                register.newest.map(|slot| slot.place),
                before.map(|slot| slot.place),
                "the last tree stays until the next is synced"
            );
            register.settle().unwrap();
            // Torn or lost, what settles it leaves the tree where it was.
            let mut bytes = std::fs::read(&place.0).unwrap();
            bytes[(1 - register.newest.unwrap().place) as usize * SLOT_BYTES] ^= 1;
            let other = Place::new("settled-torn");
            std::fs::write(&other.0, bytes).unwrap();
            let torn = other.open().unwrap();
            assert_eq!((torn.last(), unsettled_from(&torn)), (Some(tree(size)), None));
            register.keep().unwrap();
            assert_eq!((register.last(), unsettled_from(&register), register.is_kept()), (Some(tree(size)), None, true));
        }
    }

    #[test]
    fn a_write_by_somebody_else_is_noticed() {
        let place = Place::new("moved");
        filled(&place, 3..=4);
        let mut register = place.open().unwrap();
        let whole = std::fs::read(&place.0).unwrap();
        let mut other = whole.clone();
        other[..RECORD_BYTES].copy_from_slice(&register.record(7, tree(5)));
        std::fs::write(&place.0, &other).unwrap();
        for refused in [register.swap(Some(tree(4)), tree(6)), register.settle(), register.withdraw(tree(3))] {
            assert_eq!(refused.unwrap_err().kind, FaultKind::Ledger);
        }
    }

    #[test]
    fn a_full_disk_is_told_from_a_failed_one() {
        let place = Place::new("full");
        let mut register = place.open().unwrap();
        register.file = OpenOptions::new().write(true).read(true).open("/dev/full").unwrap();
        assert_eq!(register.swap(None, tree(1)).unwrap_err().kind, FaultKind::StorageFull);
        assert_eq!(register.last(), None);
    }

    #[test]
    fn two_processes_do_not_share_a_register() {
        let place = Place::new("shared");
        let held = place.open().unwrap();
        assert!(place.open().is_err_and(|fault| fault.detail.contains("another process")));
        drop(held);
        place.open().unwrap();
    }

    #[test]
    fn a_torn_slot_loses_only_itself_and_damage_to_both_is_found() {
        let place = Place::new("torn");
        filled(&place, 1..=4);
        let whole = std::fs::read(&place.0).unwrap();
        for byte in (0..RECORD_BYTES).chain(SLOT_BYTES..SLOT_BYTES + RECORD_BYTES) {
            let mut torn = whole.clone();
            torn[byte] ^= 0x10;
            std::fs::write(&place.0, &torn).unwrap();
            // Slots 0 and 1 hold sizes 3 and 4.
            assert_eq!(place.open().unwrap().last(), Some(tree(if byte < SLOT_BYTES { 4 } else { 3 })), "byte {byte}");
        }
        let mut both = whole.clone();
        both[0] ^= 1;
        both[SLOT_BYTES] ^= 1;
        for damaged in [both, vec![0; 10], vec![0; 2 * SLOT_BYTES]] {
            std::fs::write(&place.0, &damaged).unwrap();
            assert!(place.open().is_err_and(|fault| fault.kind == FaultKind::StorageCorrupt));
        }
    }

    #[test]
    fn another_logs_register_is_refused() {
        let place = Place::new("other");
        filled(&place, 1..=1);
        assert!(Register::open(&place.0, "other/log").is_err_and(|fault| fault.detail.contains("another log")));
    }
}
