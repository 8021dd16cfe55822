//! Tile paths, tiles, bundles, checkpoints and proof files: what is read, what is refused, and that what is written reads back.

use super::{MemoryLog, ORIGIN, log_key, policy, read_fixture, witness_key};
use crate::ledger::error::{LedgerError, ProofError, SignatureError};
use crate::ledger::merkle::{Hash, leaf_hash};
use crate::ledger::note::Note;
use crate::ledger::tile::{self, TileKind, TilePath};
use crate::ledger::{Checkpoint, LogProof, TreeHashes};

#[test]
fn tile_paths() {
    let hashes = |level, index, width| Some(TilePath { kind: TileKind::Hashes(level), index, width });
    let entries = |index, width| Some(TilePath { kind: TileKind::Entries, index, width });
    for (path, expected) in [
        ("tile/0/000", hashes(0, 0, 256)),
        ("tile/0/999", hashes(0, 999, 256)),
        ("tile/0/x001/000", hashes(0, 1000, 256)),
        ("tile/0/x001/x234/067", hashes(0, 1_234_067, 256)),
        ("tile/63/x001/x234/067.p/1", hashes(63, 1_234_067, 1)),
        ("tile/1/010.p/255", hashes(1, 10, 255)),
        ("tile/entries/x123/456", entries(123_456, 256)),
        ("tile/entries/000.p/12", entries(0, 12)),
        ("tile/0/x018/x446/x744/x073/x709/x551/615", hashes(0, u64::MAX, 256)),
        ("tile/0/x018/x446/x744/x073/x709/x551/616", None),
        ("tile/0/x999/x999/x999/x999/x999/x999/x999/x999/999", None),
        ("tile/64/000", None),
        ("tile/00/000", None),
        ("tile/+1/000", None),
        ("tile/-1/000", None),
        ("tile//000", None),
        ("tile/0", None),
        ("tile/0/", None),
        ("tile/0/0", None),
        ("tile/0/0000", None),
        ("tile/0/x000/000", None),
        ("tile/0/x000/001", None),
        ("tile/0/001/000", None),
        ("tile/0/x001/x000", None),
        ("tile/0/X001/000", None),
        ("tile/0/x01/000", None),
        ("tile/0/x+01/000", None),
        ("tile/0/x001//000", None),
        ("tile/0/000/", None),
        ("tile/0/000.p/0", None),
        ("tile/0/000.p/256", None),
        ("tile/0/000.p/01", None),
        ("tile/0/000.p/", None),
        ("tile/0/000.p", None),
        ("tile/0/000.p/1/2", None),
        ("tile/0/../checkpoint", None),
        ("tile/0/٠٠٠", None),
        ("/tile/0/000", None),
        ("tile/data/000", None),
        ("Tile/0/000", None),
        ("", None),
    ] {
        assert_eq!(path.parse::<TilePath>().ok(), expected, "{path}");
        if let Some(expected) = expected {
            assert_eq!(expected.to_string(), path);
        }
    }
}

#[test]
fn which_tiles_a_tree_has() {
    let shape = |size| -> Vec<(u64, u16)> {
        (0..tile::levels(size)).map(|level| (tile::full_tiles(level, size), tile::partial_width(level, size))).collect()
    };
    for (size, expected) in [
        (0, vec![]),
        (1, vec![(0, 1)]),
        (255, vec![(0, 255)]),
        (256, vec![(1, 0), (0, 1)]),
        (70_000, vec![(273, 112), (1, 17), (0, 1)]),
        (65_536, vec![(256, 0), (1, 0), (0, 1)]),
    ] {
        assert_eq!(shape(size), expected, "size {size}");
    }
    assert_eq!(tile::levels(u64::MAX), 8);
    assert_eq!(tile::full_tiles(63, u64::MAX), 0);
    let partials: Vec<String> = tile::partial_tiles(70_000).map(|path| path.to_string()).collect();
    assert_eq!(partials, ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
    for (path, exists) in [
        ("tile/0/272", true),
        ("tile/0/273", false),
        ("tile/0/273.p/112", true),
        ("tile/0/273.p/111", true),
        ("tile/0/273.p/113", false),
        ("tile/0/274.p/1", false),
        ("tile/2/000", false),
        ("tile/3/000.p/1", false),
        ("tile/entries/272", true),
        ("tile/entries/273.p/113", false),
    ] {
        assert_eq!(path.parse::<TilePath>().unwrap().exists_at(70_000), exists, "{path}");
    }
}

#[test]
fn tiles_and_bundles() {
    let hashes = [leaf_hash(b"a"), leaf_hash(b"b")];
    let bytes = tile::encode_hashes(&hashes);
    assert_eq!(tile::decode_hashes(&bytes, 2).unwrap(), hashes);
    for (bytes, width) in [(&bytes[..], 1), (&bytes[..], 3), (&bytes[1..], 2), (&[][..], 1)] {
        assert!(tile::decode_hashes(bytes, width).is_err());
    }
    let longest = vec![7u8; tile::MAX_ENTRY_BYTES];
    let mut bundle = Vec::new();
    for entry in [&b""[..], b"one", &longest] {
        tile::encode_entry(&mut bundle, entry).unwrap();
    }
    assert_eq!(bundle[..7], *b"\0\0\0\x03one");
    assert_eq!(tile::decode_entries(&bundle, 3).unwrap(), [&b""[..], b"one", &longest]);
    assert!(tile::encode_entry(&mut Vec::new(), &vec![0; tile::MAX_ENTRY_BYTES + 1]).is_err());
    for (bytes, width, rule) in [
        (&bundle[..], 2, "it holds more entries than it should"),
        (&bundle[..], 4, "it holds fewer entries than it should"),
        (&bundle[..bundle.len() - 1], 3, "an entry is cut short"),
        (&bundle[..3], 1, "a length is cut short"),
        (&bundle[..3], 2, "a length is cut short"),
        (&[], 1, "it holds fewer entries than it should"),
    ] {
        assert_eq!(tile::decode_entries(bytes, width).unwrap_err().rule, rule);
    }
}

#[test]
fn checkpoint_texts() {
    let root = "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=";
    for (text, rule) in [
        (format!("{ORIGIN}\n8\n{root}\n"), None),
        (format!("{ORIGIN}\n0\n{root}\n"), None),
        (format!("a name + more\n18446744073709551615\n{root}\nan extension\nanother\n"), None),
        (format!("{ORIGIN}\n8\n{root}"), Some("the last line does not end in a line end")),
        (format!("{ORIGIN}\n8\n"), Some("it has fewer than three lines")),
        (format!("\n8\n{root}\n"), Some("it has an empty line")),
        (format!("{ORIGIN}\n8\n{root}\n\n"), Some("it has an empty line")),
        (format!("{ORIGIN}\n8\n{root}\n\nextension\n"), Some("it has an empty line")),
        (format!("{ORIGIN}\n08\n{root}\n"), Some("the size is not a plain decimal number")),
        (format!("{ORIGIN}\n-8\n{root}\n"), Some("the size is not a plain decimal number")),
        (format!("{ORIGIN}\n+8\n{root}\n"), Some("the size is not a plain decimal number")),
        (format!("{ORIGIN}\n\n{root}\n"), Some("the size is not a plain decimal number")),
        (format!("{ORIGIN}\n18446744073709551616\n{root}\n"), Some("the size is not a plain decimal number")),
        (format!("{ORIGIN}\n8\n{root}\r\n"), Some("it has control characters")),
        (format!("{ORIGIN}\n8\n{}\n", &root[..43]), Some("the root is not the base64 of 32 bytes")),
        (format!("{ORIGIN}\n8\nAAAA\n"), Some("the root is not the base64 of 32 bytes")),
        (format!("{ORIGIN}\n8\n{}h=\n", &root[..42]), Some("the root is not the base64 of 32 bytes")),
        (format!("{ORIGIN}\n8\n{}\n", root.replace('+', "-").replace('/', "_")), Some("the root is not the base64 of 32 bytes")),
    ] {
        let parsed = text.parse::<Checkpoint>();
        assert_eq!(parsed.as_ref().err().map(|reason| reason.rule), rule, "{text}");
        if let Ok(checkpoint) = parsed {
            assert_eq!(checkpoint.to_string(), text);
        }
    }
}

#[test]
fn checkpoints_are_signed_and_opened() {
    let key = log_key();
    let checkpoint = Checkpoint::new(ORIGIN, 5, leaf_hash(b"root"));
    let note: Note = checkpoint.sign(&[&key]).unwrap().to_string().parse().unwrap();
    assert_eq!(Checkpoint::open(&note, ORIGIN, &[key.verifier()]).unwrap(), checkpoint);
    let wrong_origin = Checkpoint::open(&note, "other.example", &[key.verifier()]);
    assert_eq!(wrong_origin, Err(SignatureError::WrongOrigin { origin: ORIGIN.into() }.into()));
    assert_eq!(Checkpoint::open(&note, ORIGIN, &[witness_key(1).verifier()]), Err(SignatureError::NoKnownKey.into()));
    let grown: Note = note.to_string().replacen("\n5\n", "\n6\n", 1).parse().unwrap();
    assert!(Checkpoint::open(&grown, ORIGIN, &[key.verifier()]).is_err());
    for origin in ["", "two\nlines", "control\u{1}"] {
        assert!(Checkpoint::new(origin, 5, Hash::default()).sign(&[&key]).is_err(), "{origin:?}");
    }
    assert!(checkpoint.sign(&[&witness_key(1)]).is_err());
    assert!(checkpoint.sign(&[]).is_err());
}

fn proof_of(log: &MemoryLog, index: u64) -> LogProof {
    let path = TreeHashes::new(&log.edge, log).inclusion_proof(index, log.edge.size()).unwrap();
    LogProof { extra: None, index, path, checkpoint: log.checkpoint() }
}

#[test]
fn proof_files() {
    let text = read_fixture("example.tlog-proof");
    let proof: LogProof = text.parse().unwrap();
    assert_eq!(proof.to_string(), text);
    assert_eq!((proof.extra.as_deref(), proof.index), (Some(&b"an opening"[..]), 4));
    proof.verify(&leaf_hash(b"entry number 4"), &policy()).unwrap();
    assert_eq!(LogProof { extra: Some(b"an opening".to_vec()), ..proof_of(&MemoryLog::of_size(7), 4) }, proof);

    let cut = |from: &str, to: &str| text.replacen(from, to, 1);
    let hash = proof.path[0].to_string();
    for (text, rule) in [
        (cut("extra YW4gb3BlbmluZw==\n", ""), None),
        (cut("extra YW4gb3BlbmluZw==\n", "extra \n"), None),
        (cut("@v1", "@v2"), Some("it does not begin with c2sp.org/tlog-proof@v1")),
        (cut("extra YW4gb3BlbmluZw==", "extra YW4gb3BlbmluZw"), Some("the extra data is not standard base64")),
        (cut("extra ", "more "), Some("the index line is missing or not a plain decimal number")),
        (cut("index 4", "index 04"), Some("the index line is missing or not a plain decimal number")),
        (cut("index 4\n", ""), Some("the index line is missing or not a plain decimal number")),
        (cut(&hash, &hash[1..]), Some("a hash is not the base64 of 32 bytes")),
        (cut(&hash, &vec![hash.clone(); 65].join("\n")), Some("it has too many hashes")),
        (cut(&hash, &vec!["x"; 600_000].join("\n")), Some("it is too large")),
        (text.replace("\n\n", "\n"), Some("no empty line parts the proof from the checkpoint")),
        (text.trim_end().to_owned(), Some("the last line does not end in a line end")),
    ] {
        let shown: String = text.chars().take(300).collect();
        assert_eq!(text.parse::<LogProof>().err().map(|reason| reason.rule), rule, "{shown}");
    }
}

#[test]
fn proofs_of_other_things_are_refused() {
    let log = MemoryLog::of_size(300);
    let proof = proof_of(&log, 123);
    let leaf = leaf_hash(&log.entries[123]);
    assert_eq!(proof.verify(&leaf, &policy()).unwrap().checkpoint().size, 300);
    let other = leaf_hash(&log.entries[124]);
    assert_eq!(proof.verify(&other, &policy()).unwrap_err(), LedgerError::Proof(ProofError::RootDiffers));
    let moved = LogProof { index: 124, ..proof.clone() };
    assert!(moved.verify(&leaf, &policy()).is_err());
    let beyond = LogProof { index: 300, ..proof.clone() };
    assert_eq!(beyond.verify(&leaf, &policy()).unwrap_err(), LedgerError::Proof(ProofError::IndexBeyondSize));
    let unsigned = crate::ledger::Policy::of_log(witness_key(1).verifier().clone());
    assert_eq!(proof.verify(&leaf, &unsigned).unwrap_err(), LedgerError::Signature(SignatureError::NoKnownKey));
}

/// Reads altered texts: none may panic, and whatever is still accepted must be the one spelling of what it says.
fn check_one_spelling<T: std::str::FromStr + std::fmt::Display>(name: &str, good: &str, seed: u64) {
    let mut numbers = super::Numbers(seed);
    let interesting = b"\n\n /+=0x19.pA-\xe2\x80\x94\xff\0\t#";
    let (mut accepted, rounds) = (0, 3000);
    for _ in 0..rounds {
        let mut bytes = good.as_bytes().to_vec();
        for _ in 0..=numbers.below(3) {
            let at = numbers.below(bytes.len().max(1) as u64) as usize;
            let byte = interesting[numbers.below(interesting.len() as u64) as usize];
            match numbers.below(4) {
                _ if bytes.is_empty() => bytes.push(byte),
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at + 1),
            }
        }
        let Ok(text) = String::from_utf8(bytes) else { continue };
        if let Ok(value) = text.parse::<T>() {
            assert_eq!(value.to_string(), text, "{name}");
            accepted += 1;
        }
    }
    assert!(accepted < rounds, "{name}: nothing was refused");
}

#[test]
fn every_value_has_one_spelling() {
    check_one_spelling::<TilePath>("tile path", "tile/1/x001/x234/067.p/12", 11);
    check_one_spelling::<TilePath>("bundle path", "tile/entries/x001/067", 12);
    check_one_spelling::<Hash>("hash", &leaf_hash(b"x").to_string(), 13);
    check_one_spelling::<crate::ledger::VerifierKey>("verifier key", &log_key().verifier().to_string(), 14);
    let note = MemoryLog::of_size(7).checkpoint();
    check_one_spelling::<Note>("note", &note.to_string(), 15);
    check_one_spelling::<crate::ledger::NoteSignature>("signature line", &note.signatures()[0].to_string(), 16);
    check_one_spelling::<Checkpoint>("checkpoint", note.unverified_text(), 17);
    check_one_spelling::<LogProof>("proof", &read_fixture("example.tlog-proof"), 18);
}

#[test]
fn altered_policies_do_not_panic() {
    let good = read_fixture("example.policy").into_bytes();
    let mut numbers = super::Numbers(19);
    for _ in 0..3000 {
        let mut bytes = good.clone();
        let at = numbers.below(bytes.len() as u64) as usize;
        match numbers.below(3) {
            0 => bytes[at] = numbers.below(256) as u8,
            1 => drop(bytes.drain(at..(at + numbers.below(40) as usize).min(good.len()))),
            _ => bytes.truncate(at),
        }
        let _ = crate::ledger::Policy::parse(&bytes);
    }
}
