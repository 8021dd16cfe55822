//! Archives made to harm.

use super::*;

fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    pack(files.iter().copied()).unwrap()
}

#[test]
fn archives_made_to_harm_are_refused() {
    for name in ["/etc/passwd", "../up", "a/../b", "a/b/c", "C:\\x", "a b", "", ".hidden", "a/.b", "café", "a/", &"n".repeat(200)] {
        let Ok(zip) = std::panic::catch_unwind(|| pack([(name, &b"x"[..])].into_iter())) else { continue };
        let Ok(zip) = zip else { continue };
        let refused = unpack(&zip, MAX_UNPACKED_BYTES);
        // The writer itself may have made a harmless name of it.
        assert!(
            refused.is_err() || refused.as_ref().is_ok_and(|files| files.keys().all(|name| !name.contains(".."))),
            "{name:?}: {refused:?}"
        );
    }
    // A bomb: a megabyte of zeros packs to a kilobyte.
    let zeros = vec![0; 1 << 20];
    let bomb = zipped(&[("a", &zeros), ("b", &zeros), ("c", &zeros)]);
    assert!(bomb.len() < 20_000);
    assert_eq!(unpack(&bomb, 2 << 20), Err(ArchiveError::Bomb));
    assert_eq!(unpack(&bomb, (3 << 20) - 1), Err(ArchiveError::Bomb));
    assert_eq!(unpack(&bomb, 3 << 20).unwrap().len(), 3);
    assert_eq!(unpack(&zipped(&[("a", b"1"), ("a", b"2")]), 100), Err(ArchiveError::Twice));
    // Bytes cut, flipped, prepended: refused or read, never a panic.
    let sound = zipped(&[("manifest.json", b"{}"), ("proofs/1.tlog-proof", &[7; 500])]);
    for length in 0..sound.len() {
        let _ = unpack(&sound[..length], 10_000);
    }
    for at in 0..sound.len() {
        for bit in [1, 0x80, 0xFF] {
            let mut damaged = sound.clone();
            damaged[at] ^= bit;
            let _ = unpack(&damaged, 10_000);
        }
    }
    let mut content = sound.clone();
    let at = content.windows(8).position(|window| window == b"1.tlog-p").unwrap() + 20;
    content[at] ^= 0x40;
    assert!(matches!(unpack(&content, 10_000), Err(ArchiveError::Malformed(_))), "a changed byte is found by its checksum");
}

#[test]
fn an_error_names_no_file_of_the_archive() {
    let mut packed = Vec::new();
    packed.write_all(b"PK\x05\x06").unwrap();
    for error in [ArchiveError::TooLarge, ArchiveError::TooManyFiles, ArchiveError::Bomb, ArchiveError::Name, ArchiveError::Twice] {
        assert!(error.to_string().starts_with("the package"));
    }
    assert!(matches!(unpack(&packed, 10), Err(ArchiveError::Malformed(_))));
}
