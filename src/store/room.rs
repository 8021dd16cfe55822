//! Whether there is room for another commit. Whoever sends requests to the gateway asks before it does: on a full disk even a read is refused,
//! because it cannot be put on record.

use super::reader::Reader;
use super::{Store, fault};
use crate::outcome::{Fault, FaultKind};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// What a folder must take, in bytes: a submission of ordinary size, with what SQLite writes beside it.
const ROOM_BYTES: usize = 1 << 20;
/// What the data file must be able to grow by before it reaches the size it is allowed (`max_bytes`).
const ROOM_PAGES: u64 = 64;
/// The file it is tried with. It is gone again before it reaches the disk.
const TRIAL_NAME: &str = "room-trial";

impl Store {
    /// Tries whether the data, the keys and the register have room for another commit.
    ///
    /// # Errors
    /// [`FaultKind::StorageFull`] when one of them has none, with the folder's place and the system's reason.
    pub async fn has_room(&self) -> Result<(), Fault> {
        let (folders, max_bytes) = (self.shared.folders.clone(), self.shared.settings.max_bytes);
        self.read(move |reader| {
            folders.iter().try_for_each(|folder| try_folder(folder))?;
            try_file(reader, max_bytes)
        })
        .await
    }
}

fn try_folder(folder: &Path) -> Result<(), Fault> {
    let trial = folder.join(TRIAL_NAME);
    let written = File::create(&trial).and_then(|mut file| file.write_all(&vec![0; ROOM_BYTES]));
    let removed = std::fs::remove_file(&trial);
    // Somebody else may have tried at the same time, and removed it.
    let removed = removed.or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) });
    written.and(removed).map_err(|error| Fault::new(FaultKind::StorageFull, format!("{}: {error}", folder.display())))
}

fn try_file(reader: &Reader<'_>, max_bytes: u64) -> Result<(), Fault> {
    let value = |pragma: &str| reader.connection.query_row(pragma, [], |row| row.get::<_, u64>(0)).map_err(fault);
    let used = value("PRAGMA page_count")?.saturating_sub(value("PRAGMA freelist_count")?);
    let allowed = max_bytes / value("PRAGMA page_size")?.max(1);
    let is_roomy = allowed.saturating_sub(used) >= ROOM_PAGES;
    if is_roomy { Ok(()) } else { Err(Fault::new(FaultKind::StorageFull, "data.db has reached the size it is allowed")) }
}
