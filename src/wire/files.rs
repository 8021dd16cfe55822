//! The secrets the gateway draws itself, kept in files only their owner can read.

use super::{Entropy, Fault, FaultKind, Path};
use data_encoding::HEXLOWER;
use jiff::tz::{Offset, TimeZone};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;

/// The 32 secret bytes of a file, drawn and written when there is no file yet.
pub(super) fn secret(path: &Path, entropy: &Entropy) -> Result<[u8; 32], Fault> {
    let text = kept(path, || Ok(HEXLOWER.encode(&entropy.bytes::<32>())))?;
    secret_of(&text).ok_or_else(|| Fault::new(FaultKind::Internal, format!("{}: is not 32 bytes in hexadecimal", path.display())))
}

/// The 32 secret bytes that a text writes in hexadecimal.
pub(super) fn secret_of(text: &str) -> Option<[u8; 32]> {
    HEXLOWER.decode(text.trim().as_bytes()).ok()?.try_into().ok()
}

/// Reads a file, or makes it once: written, synced, and readable by its owner only.
pub(super) fn kept(path: &Path, make: impl FnOnce() -> Result<String, Fault>) -> Result<String, Fault> {
    let failed = |error: std::io::Error| Fault::new(FaultKind::Storage, format!("{}: {error}", path.display()));
    match fs::read_to_string(path) {
        Ok(text) => return Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let text = make()?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(text)
}

/// Puts a whole file in the place of another, synced. `before` is done when it is written and not yet in its place.
pub(super) fn replace(path: &Path, bytes: &[u8], before: impl FnOnce()) -> std::io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    before();
    fs::rename(&unfinished, path)?;
    sync_folder(path)
}

/// Syncs the folder of a file.
pub(super) fn sync_folder(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// A zone by its IANA name or as `+01:00`.
pub(super) fn time_zone(name: &str) -> Result<TimeZone, Fault> {
    if let Some(zone) = fixed_offset(name) {
        return Ok(zone);
    }
    TimeZone::get(name).map_err(|_| Fault::new(FaultKind::Internal, format!("time_zone {name}: is not known on this machine")))
}

fn fixed_offset(name: &str) -> Option<TimeZone> {
    let sign = match name.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = name.get(1..)?.split_once(':')?;
    let seconds = hours.parse::<i32>().ok()? * 3600 + minutes.parse::<i32>().ok()? * 60;
    Some(TimeZone::fixed(Offset::from_seconds(sign * seconds).ok()?))
}
