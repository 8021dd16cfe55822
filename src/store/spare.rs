//! Room that is kept free for what must still be done when the disk is full.
//!
//! Beside the log's files: a full disk shows when the log is published, which is after the answers. The spare room is given up then: what was
//! acknowledged until that moment finds its place, and nothing more is taken until the room is there again. Beside the data: the write-ahead log
//! can be folded, which gives back more than it takes.

use crate::outcome::{Fault, FaultKind};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// So much more must be free before the room counts as there again: the few pages that publishing itself gives back are no room.
const MARGIN_BYTES: u64 = 1 << 20;
/// The file that holds the room. It is no part of the log or the data, and whoever copies the folder may leave it out.
const SPARE_NAME: &str = ".spare";
const PIECE_BYTES: usize = 1 << 16;

/// The room of one place; none is kept in a bucket.
#[derive(Clone)]
pub struct Spare {
    file: Option<PathBuf>,
    bytes: u64,
    is_held: bool,
}

impl Spare {
    /// So much room in a folder, or nowhere. What an earlier run held counts.
    pub fn within(folder: Option<&Path>, bytes: u64) -> Spare {
        let file = folder.map(|folder| folder.join(SPARE_NAME));
        let is_held =
            file.as_ref().is_none_or(|file| file.symlink_metadata().is_ok_and(|present| present.is_file() && present.len() == bytes));
        Spare { file, bytes, is_held }
    }

    /// Whether there is room, or none is wanted.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// Sees to it that the room is held.
    ///
    /// # Errors
    /// [`FaultKind::StorageFull`] when there is none.
    pub fn hold(&mut self) -> Result<(), Fault> {
        let Some(file) = self.file.as_ref().filter(|_| !self.is_held) else { return Ok(()) };
        // What lies there is taken away and not written over: a link may lead anywhere.
        let _ = std::fs::remove_file(file);
        let held = File::create_new(file).and_then(|mut file| {
            let piece = vec![0; PIECE_BYTES];
            (0..(self.bytes + MARGIN_BYTES) / PIECE_BYTES as u64).try_for_each(|_| file.write_all(&piece))?;
            file.set_len(self.bytes)
        });
        self.is_held = held.is_ok();
        held.map_err(|error| {
            // Half of it helps nobody, and takes what others may still find.
            let _ = std::fs::remove_file(file);
            let kind = if is_full(&error) { FaultKind::StorageFull } else { FaultKind::Storage };
            Fault::new(kind, format!("{}: {error}", file.display()))
        })
    }

    /// Gives the room up; says whether there was any.
    pub fn give_up(&mut self) -> bool {
        let Some(file) = self.file.as_ref().filter(|_| self.is_held) else { return false };
        self.is_held = std::fs::remove_file(file).is_err_and(|error| error.kind() != ErrorKind::NotFound);
        !self.is_held
    }
}

/// Whether an error says that there is no room, whatever limit it was that was reached.
pub fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: u64 = 1 << 18;

    #[test]
    fn room_is_held_over_a_restart_and_given_up_once() {
        let folder = std::env::temp_dir().join(format!("hearthgate-spare-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut spare = Spare::within(Some(&folder), BYTES);
        assert!(!spare.give_up(), "nothing is held yet");
        spare.hold().unwrap();
        let size = || folder.join(SPARE_NAME).metadata().map(|file| file.len()).ok();
        assert_eq!(size(), Some(BYTES));
        let mut again = Spare::within(Some(&folder), BYTES);
        assert!(again.give_up() && !again.give_up());
        assert_eq!(size(), None);
        // What was cut short is made whole.
        std::fs::write(folder.join(SPARE_NAME), b"short").unwrap();
        let mut short = Spare::within(Some(&folder), BYTES);
        short.hold().unwrap();
        assert_eq!(size(), Some(BYTES));
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(Spare::within(Some(&folder), BYTES).hold().unwrap_err().kind, FaultKind::Storage);
    }

    /// A link is not followed, and what cannot be taken away is left alone.
    #[test]
    fn only_a_file_of_its_own_is_room() {
        let folder = std::env::temp_dir().join(format!("hearthgate-spare-link-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (other, link) = (folder.join("other"), folder.join(SPARE_NAME));
        std::fs::write(&other, vec![1; BYTES as usize]).unwrap();
        std::os::unix::fs::symlink(&other, &link).unwrap();
        let mut spare = Spare::within(Some(&folder), BYTES);
        assert!(!spare.is_held());
        spare.hold().unwrap();
        assert_eq!(std::fs::read(&other).unwrap(), vec![1; BYTES as usize]);
        assert!(link.symlink_metadata().unwrap().is_file());
        std::fs::remove_file(&link).unwrap();
        std::fs::create_dir(&link).unwrap();
        let mut spare = Spare::within(Some(&folder), BYTES);
        assert_eq!(spare.hold().unwrap_err().kind, FaultKind::Storage);
        assert!(link.is_dir());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_bucket_holds_none() {
        let mut spare = Spare::within(None, BYTES);
        spare.hold().unwrap();
        assert!(!spare.give_up());
    }

    #[test]
    fn a_device_without_room_says_so() {
        let Err(full) = std::fs::OpenOptions::new().write(true).open("/dev/full").and_then(|mut file| file.write_all(b"x")) else {
            panic!("/dev/full takes something");
        };
        assert!(is_full(&full) && !is_full(&ErrorKind::PermissionDenied.into()));
    }
}
