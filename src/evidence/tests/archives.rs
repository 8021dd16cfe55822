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

/// Where what nothing repeats stands in a record of the directory: the system a member was made on, and its attributes there.
const TOLD_ONCE: [std::ops::Range<usize>; 2] = [4..6, 36..42];

/// Whatever bit is turned in a package: it is refused, or it is one of those few, or the file's content is the same all the same.
#[test]
fn a_bit_turned_anywhere_in_a_package_is_found() {
    // Nothing in it says the same when it is taken from another place.
    let varied: Vec<u8> = (0..500u32).map(|number| u8::try_from(number * number % 251).unwrap()).collect();
    let sound = zipped(&[("manifest.json", b"{}"), ("proofs/1.tlog-proof", &varied), ("checkpoint", b"")]);
    let files = unpack(&sound, 10_000).unwrap();
    let records: Vec<usize> = (0..sound.len()).filter(|at| sound[*at..].starts_with(b"PK\x01\x02")).collect();
    let is_told_once = |at: usize| records.iter().any(|record| TOLD_ONCE.iter().any(|part| at >= *record && part.contains(&(at - record))));
    // The local headers and all that is said of members stand outside their contents, of which each is packed by itself.
    let is_content =
        |at: usize| (0..records[0]).contains(&at) && rawzip::ZipArchive::from_slice(&sound[..]).is_ok_and(|zip| is_within(&zip, at));
    let mut tolerated = 0;
    for (at, bit) in (0..sound.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut damaged = sound.clone();
        damaged[at] ^= 1 << bit;
        match unpack(&damaged, 10_000) {
            Err(_) => {}
            Ok(found) => {
                assert!(is_told_once(at) || is_content(at), "byte {at}, bit {bit}");
                assert_eq!(found, files, "byte {at}, bit {bit}");
                tolerated += usize::from(is_content(at));
            }
        }
    }
    // The bits that fill up a byte behind a block and behind the last one say nothing.
    assert!(tolerated <= 2 * 7 * records.len(), "{tolerated}");
}

fn is_within(zip: &rawzip::ZipSliceArchive<&[u8]>, at: usize) -> bool {
    let mut entries = zip.entries();
    while let Ok(Some(entry)) = entries.next_entry() {
        let (begins, ends) = zip.get_entry(entry.wayfinder()).unwrap().compressed_data_range();
        if (begins..ends).contains(&(at as u64)) {
            return true;
        }
    }
    false
}

#[test]
fn bytes_that_belong_to_no_file_are_refused() {
    let sound = zipped(&[("a", b"1"), ("b", b"2")]);
    let second = (1..sound.len()).find(|at| sound[*at..].starts_with(b"PK\x03\x04")).unwrap();
    let directory = (0..sound.len()).find(|at| sound[*at..].starts_with(b"PK\x01\x02")).unwrap();
    let end = (0..sound.len()).find(|at| sound[*at..].starts_with(b"PK\x05\x06")).unwrap();
    for at in [0, second, directory, end, sound.len()] {
        let stuffed = [&sound[..at], b"more", &sound[at..]].concat();
        assert!(matches!(unpack(&stuffed, 10_000), Err(ArchiveError::Malformed(_))), "{at}");
        // The same where the offsets behind it are put right.
        let mut moved = stuffed.clone();
        let shift = |moved: &mut Vec<u8>, place: usize| {
            let number = u32::from_le_bytes(moved[place..place + 4].try_into().unwrap()) + 4;
            moved[place..place + 4].copy_from_slice(&number.to_le_bytes());
        };
        if at <= directory {
            let records: Vec<usize> = (directory + 4..moved.len()).filter(|place| moved[*place..].starts_with(b"PK\x01\x02")).collect();
            records.into_iter().skip(usize::from(at == second)).filter(|_| at <= second).for_each(|record| shift(&mut moved, record + 42));
            shift(&mut moved, end + 4 + 16);
            assert!(matches!(unpack(&moved, 10_000), Err(ArchiveError::Malformed(_))), "{at}, moved");
        }
    }
    assert_eq!(unpack(&sound, 10_000).unwrap().len(), 2);
}

/// More files than the fields of a small directory count.
#[test]
fn a_large_directory_is_read() {
    const FILES: usize = 66_000;
    let mut packed = Vec::new();
    let mut archive = rawzip::ZipArchiveWriter::new(&mut packed);
    for number in 0..FILES {
        let (mut entry, config) = archive.new_file(format!("proofs/{number}")).start().unwrap();
        let mut writer = config.wrap(&mut entry);
        writer.write_all(b"x").unwrap();
        let (_, descriptor) = writer.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap();
    assert_eq!(unpack(&packed, FILES).unwrap().len(), FILES);
    packed.extend(b"more");
    assert!(unpack(&packed, FILES).is_err());
}
