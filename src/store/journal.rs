//! A file in which records are made durable with one small sync, until they are in the tables.
//!
//! Its blocks are laid out once, so that nothing but a frame's own bytes has to reach the disk. A frame begins with a block, has a number and a seal, and is
//! synced before the next is written: a crash can cut off the last one alone, which nobody was told of. Frames are found wherever they lie. Those
//! up to the number that the data has taken in are past, and their blocks are used again; a number that is missing behind it is damage.

use super::keys::hmac;
use crate::outcome::{Fault, FaultKind};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// A frame begins at a multiple of this, so that a torn write cannot reach the one before.
const BLOCK_BYTES: usize = 4096;
const BLOCKS: usize = 1024;
const FILE_BYTES: usize = BLOCK_BYTES * BLOCKS;
/// The largest frame: a quarter of the file.
const MAX_FRAME_BYTES: usize = FILE_BYTES / 4;
const MARK: [u8; 8] = *b"hg owed1";
/// The mark, the number, the length of what it holds, and the seal.
const HEAD_BYTES: usize = 8 + 8 + 4 + SEAL_BYTES;
const SEAL_BYTES: usize = 32;

/// A frame that was read: its number, its first block, and what it holds.
type Frame<'a> = (u64, usize, &'a [u8]);

/// What frames hold, each with its number, in order.
pub(super) type Held = Vec<(u64, Vec<u8>)>;

/// The open journal.
pub(super) struct Journal {
    file: File,
    key: [u8; 32],
    /// The number of the last frame.
    last: u64,
    /// The block behind the last frame.
    next: usize,
    /// Blocks from here on hold nothing.
    clean: usize,
    /// Frames that the data may not have taken in yet, oldest first: number, first block, blocks.
    live: VecDeque<(u64, usize, usize)>,
}

impl Journal {
    /// Opens the journal and reads what it holds, in order, each with its number. Nothing is written yet.
    pub(super) fn open(path: &Path, key: [u8; 32]) -> Result<(Journal, Held), Fault> {
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path);
        let file = file.map_err(|error| unopened(path, error))?;
        let mut bytes = Vec::new();
        (&file).take(FILE_BYTES as u64).read_to_end(&mut bytes).map_err(failed)?;
        let clean = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last / BLOCK_BYTES + 1);
        let mut journal = Journal { file, key, last: 0, next: 0, clean, live: VecDeque::new() };
        let mut found: Vec<Frame> = journal.frames(&bytes).collect();
        found.sort_unstable_by_key(|(number, ..)| *number);
        for (number, block, held) in &found {
            journal.live.push_back((*number, *block, blocks(held.len())));
            (journal.last, journal.next) = (*number, *block + blocks(held.len()));
        }
        let held = found.iter().map(|(number, _, held)| (*number, held.to_vec())).collect();
        Ok((journal, held))
    }

    /// Lays out what is not yet, and overwrites what the data has taken in: from now on frames may be appended.
    pub(super) fn begin(&mut self, taken_in: u64) -> Result<(), Fault> {
        let laid_out = self.file.metadata().map_err(failed)?.len().min(FILE_BYTES as u64);
        let rest = FILE_BYTES.saturating_sub(usize::try_from(laid_out).unwrap_or(FILE_BYTES));
        self.file.write_all_at(&vec![0; rest], laid_out).map_err(failed)?;
        self.last = self.last.max(taken_in);
        self.wipe_taken_in(taken_in)
    }

    /// The whole frames in these bytes, with where they begin.
    fn frames<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = Frame<'a>> {
        let key = self.key;
        bytes.chunks(BLOCK_BYTES).enumerate().filter_map(move |(block, _)| {
            let rest = bytes.get(block * BLOCK_BYTES..)?.strip_prefix(&MARK)?;
            let (number, rest) = rest.split_first_chunk()?;
            let (length, rest) = rest.split_first_chunk()?;
            let (seal, rest) = rest.split_at_checked(SEAL_BYTES)?;
            let held = rest.get(..u32::from_be_bytes(*length) as usize)?;
            let expected = hmac(&key, &[number, held]);
            aws_lc_rs::constant_time::verify_slices_are_equal(&expected, seal).ok()?;
            Some((u64::from_be_bytes(*number), block, held))
        })
    }

    /// Appends a frame, synced when this returns, and gives its number; nothing when there is no room for it, here or on the disk.
    pub(super) fn append(&mut self, held: &[u8], taken_in: u64) -> Result<Option<u64>, Fault> {
        let Some(block) = self.place(blocks(held.len()), taken_in).filter(|_| held.len() <= MAX_FRAME_BYTES) else { return Ok(None) };
        let number = self.last + 1;
        let length = u32::try_from(held.len()).map_err(|_| Fault::new(FaultKind::Internal, "a frame beyond its limit"))?;
        let seal = hmac(&self.key, &[&number.to_be_bytes(), held]);
        let mut frame = [&MARK[..], &number.to_be_bytes(), &length.to_be_bytes(), &seal, held].concat();
        // To the end of its last block, so that nothing of an older frame stays behind it.
        frame.resize(blocks(held.len()) * BLOCK_BYTES, 0);
        let at = (block * BLOCK_BYTES) as u64;
        let written = self.file.write_all_at(&frame, at).and_then(|()| self.file.sync_data()).map_err(failed);
        match written {
            // Nothing of it must be found: it goes another way.
            Err(failure) if failure.kind == FaultKind::StorageFull => {
                self.file.write_all_at(&[0; HEAD_BYTES], at).map_err(failed)?;
                return Ok(None);
            }
            written => written?,
        }
        self.last = number;
        self.next = block + blocks(held.len());
        self.clean = self.clean.max(self.next);
        self.live.push_back((number, block, blocks(held.len())));
        Ok(Some(number))
    }

    /// Where so many blocks are free in a row.
    fn place(&mut self, wanted: usize, taken_in: u64) -> Option<usize> {
        while self.live.front().is_some_and(|(number, ..)| *number <= taken_in) {
            self.live.pop_front();
        }
        match self.live.front() {
            None => Some(0),
            Some((_, oldest, _)) if self.next > *oldest => {
                if self.next + wanted <= BLOCKS {
                    Some(self.next)
                } else {
                    (wanted <= *oldest).then_some(0)
                }
            }
            Some((_, oldest, _)) => (self.next + wanted <= *oldest).then_some(self.next),
        }
    }

    /// Overwrites all that the data has taken in, synced when this returns.
    pub(super) fn wipe_taken_in(&mut self, taken_in: u64) -> Result<(), Fault> {
        self.live.retain(|(number, ..)| *number > taken_in);
        self.wipe()
    }

    /// Overwrites what is not live.
    fn wipe(&mut self) -> Result<(), Fault> {
        let nothing = [0; BLOCK_BYTES];
        for block in 0..self.clean {
            if !self.live.iter().any(|(_, first, count)| (*first..first + count).contains(&block)) {
                self.file.write_all_at(&nothing, (block * BLOCK_BYTES) as u64).map_err(failed)?;
            }
        }
        self.file.sync_all().map_err(failed)
    }
}

/// How many blocks a frame takes that holds so many bytes.
fn blocks(held: usize) -> usize {
    (HEAD_BYTES + held).div_ceil(BLOCK_BYTES)
}

/// A file could not be opened: which, for it is one of several.
pub(super) fn unopened(path: &Path, error: std::io::Error) -> Fault {
    Fault { detail: format!("{}: {error}", path.display()), ..failed(error) }
}

pub(super) fn failed(error: std::io::Error) -> Fault {
    let is_full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    Fault::new(if is_full { FaultKind::StorageFull } else { FaultKind::Storage }, format!("the journal of records: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    struct Place(std::path::PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            let path = std::env::temp_dir().join(format!("owed-{name}-{}", std::process::id()));
            let _ = std::fs::remove_file(&path);
            Place(path)
        }

        /// What is owed, as a start would find it.
        fn open(&self, taken_in: u64) -> (Journal, Vec<Vec<u8>>) {
            let (mut journal, held) = Journal::open(&self.0, KEY).unwrap();
            journal.begin(taken_in).unwrap();
            (journal, held.into_iter().filter(|(number, _)| *number > taken_in).map(|(_, held)| held).collect())
        }

        fn spoil(&self, at: usize) {
            let mut bytes = std::fs::read(&self.0).unwrap();
            bytes[at] ^= 1;
            std::fs::write(&self.0, bytes).unwrap();
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn what_the_data_has_not_taken_in_is_found_again_in_order() {
        let place = Place::new("order");
        let (mut journal, found) = place.open(0);
        assert!(found.is_empty());
        for number in 1..=5_u8 {
            let held = vec![number; usize::from(number) * 3000];
            assert_eq!(journal.append(&held, 0).unwrap(), Some(u64::from(number)));
        }
        drop(journal);
        for taken_in in 0..=5_u8 {
            let (_, found) = place.open(u64::from(taken_in));
            let expected: Vec<Vec<u8>> = (taken_in + 1..=5).map(|number| vec![number; usize::from(number) * 3000]).collect();
            assert_eq!(found, expected, "{taken_in}");
        }
        // What was taken in is gone from the file, and the numbers go on.
        let bytes = std::fs::read(&place.0).unwrap();
        assert!(bytes.len() == FILE_BYTES && bytes.iter().all(|byte| *byte == 0));
        assert_eq!(place.open(5).0.append(b"next", 5).unwrap(), Some(6));
    }

    #[test]
    fn blocks_are_used_again_once_the_data_has_taken_them_in() {
        let place = Place::new("ring");
        let (mut journal, _) = place.open(0);
        let held = vec![1; MAX_FRAME_BYTES - HEAD_BYTES];
        for number in 1..=4 {
            assert_eq!(journal.append(&held, 0).unwrap(), Some(number));
        }
        assert_eq!(journal.append(b"full", 0).unwrap(), None);
        assert_eq!(journal.append(&held, 1).unwrap(), Some(5), "in the place of the first");
        assert_eq!(journal.append(b"full again", 1).unwrap(), None);
        assert_eq!(journal.append(b"small", 2).unwrap(), Some(6));
        assert_eq!(journal.append(&held, 2).unwrap(), None, "not over what is still owed");
        assert_eq!(journal.append(&held, 6).unwrap(), Some(7), "from the start");
        drop(journal);
        assert_eq!(place.open(6).1, [held]);
        let (mut journal, _) = place.open(7);
        assert_eq!(journal.append(&vec![1; MAX_FRAME_BYTES + 1], 7).unwrap(), None, "larger than a frame may be");
    }

    #[test]
    fn damaged_frames_are_not_found_and_nothing_is_written_before_it_is_begun() {
        let place = Place::new("torn");
        let (mut journal, _) = place.open(0);
        for held in [b"one", b"two", b"six"] {
            journal.append(held, 0).unwrap();
        }
        drop(journal);
        let whole = std::fs::read(&place.0).unwrap();
        for block in 0..3 {
            for at in [0, 8, 16, 20, HEAD_BYTES, HEAD_BYTES + 2] {
                std::fs::write(&place.0, &whole).unwrap();
                place.spoil(block * BLOCK_BYTES + at);
                let damaged = std::fs::read(&place.0).unwrap();
                let (_, found) = Journal::open(&place.0, KEY).unwrap();
                let numbers: Vec<u64> = found.iter().map(|(number, _)| *number).collect();
                let expected: Vec<u64> = (1..=3).filter(|number| *number != block as u64 + 1).collect();
                assert_eq!(numbers, expected, "{at}");
                assert!(std::fs::read(&place.0).unwrap() == damaged);
            }
        }
        assert!(Journal::open(&place.0, [8; 32]).unwrap().1.is_empty(), "another gateway's is none of ours");
    }

    #[test]
    fn nothing_of_an_older_frame_stays_behind_a_newer_one() {
        let place = Place::new("slack");
        let (mut journal, _) = place.open(0);
        journal.append(&[b'a'; 3000], 0).unwrap();
        journal.append(b"new", 1).unwrap();
        let bytes = std::fs::read(&place.0).unwrap();
        assert!(!bytes.contains(&b'a'));
    }
}
