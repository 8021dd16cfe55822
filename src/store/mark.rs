//! How far records have been acknowledged, remembered apart from the data: whoever takes acknowledged records out of the journal is found out at
//! the next start.
//!
//! The mark follows the synced record and goes before the answer. It is itself synced a little later, which counts only where the machine goes down;
//! it is never ahead of what is on the disk.

use super::journal::{failed, unopened};
use super::keys::hmac;
use crate::outcome::{Fault, FaultKind};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// A number and its seal: less than a sector, so that it is written whole or not at all.
const MARK_BYTES: usize = 8 + 32;

pub(super) struct Mark {
    file: File,
    key: [u8; 32],
}

impl Mark {
    /// Opens the mark and reads it; a new file has none, and a damaged one where the operator says that the data is the newest.
    pub(super) fn open(path: &Path, key: [u8; 32], adopt: bool) -> Result<(Mark, Option<u64>), Fault> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path);
        let mut file = file.map_err(|error| unopened(path, error))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let mark = Mark { file, key };
        if bytes.is_empty() {
            return Ok((mark, None));
        }
        let number = bytes.first_chunk().map(|number| u64::from_be_bytes(*number)).filter(|number| bytes == mark.sealed(*number));
        match number {
            Some(_) => Ok((mark, number)),
            None if adopt => Ok((mark, None)),
            None => {
                let text = "is damaged, or another gateway's: nobody can say whether this data has all that was acknowledged. If it has, run `hearthgate ledger adopt`.";
                Err(Fault::new(FaultKind::StorageCorrupt, format!("{}: {text}", path.display())))
            }
        }
    }

    fn sealed(&self, number: u64) -> [u8; MARK_BYTES] {
        let number = number.to_be_bytes();
        let mut bytes = [0; MARK_BYTES];
        bytes.iter_mut().zip(number.iter().chain(&hmac(&self.key, &[&number]))).for_each(|(slot, byte)| *slot = *byte);
        bytes
    }

    /// All up to this number is about to be acknowledged.
    pub(super) fn note(&self, number: u64) -> Result<(), Fault> {
        self.file.write_all_at(&self.sealed(number), 0).map_err(failed)
    }

    pub(super) fn sync(&self) -> Result<(), Fault> {
        self.file.sync_data().map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_what_was_noted_last_and_damage_is_found() {
        let path = std::env::temp_dir().join(format!("kept-records-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let open = |key| Mark::open(&path, key, false).map(|(_, number)| number);
        let (mark, none) = Mark::open(&path, [1; 32], false).unwrap();
        assert_eq!(none, None);
        for number in [3, 1 << 40] {
            mark.note(number).unwrap();
            mark.sync().unwrap();
            assert_eq!(open([1; 32]).unwrap(), Some(number));
        }
        assert_eq!(open([2; 32]).unwrap_err().kind, FaultKind::StorageCorrupt);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..MARK_BYTES {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            assert!(open([1; 32]).is_err(), "{at}");
        }
        std::fs::write(&path, &whole[..MARK_BYTES - 1]).unwrap();
        assert!(open([1; 32]).is_err());
        assert_eq!(Mark::open(&path, [1; 32], true).unwrap().1, None);
        std::fs::remove_file(&path).unwrap();
    }
}
