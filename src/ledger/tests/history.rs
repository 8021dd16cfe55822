//! Keys that succeed each other, and the second signature.

use super::{MemoryLog, ORIGIN, log_key, policy};
use crate::ledger::error::{LedgerError, SignatureError};
use crate::ledger::history::{KeyHistory, LogKeys};
use crate::ledger::key::{Algorithm, SigningKey, VerifierKey};
use crate::ledger::witness::{AddCheckpoint, Declined, identify};
use crate::ledger::{Checkpoint, Followed, Note, Policy};

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(ORIGIN, Algorithm::Ed25519, &[number; 32]).unwrap()
}

fn at(size: u64) -> Checkpoint {
    let log = MemoryLog::of_size(size);
    Checkpoint::new(ORIGIN, size, log.edge.root())
}

/// Key 7 until 10 leaves, key 8 until 20, then key 9.
fn history() -> KeyHistory {
    let mut history = KeyHistory::of(log_key().verifier().clone());
    history.succeed(&log_key(), &key(8), &at(10)).unwrap();
    history.succeed(&key(8), &key(9), &at(20)).unwrap();
    history
}

#[test]
fn a_history_reads_back_and_says_who_signed_when() {
    let history = history();
    let read: KeyHistory = history.to_string().parse().unwrap();
    assert_eq!(read, history);
    let tenures: Vec<_> = read.tenures().into_iter().map(|tenure| tenure.until_size).collect();
    assert_eq!(tenures, [Some(10), Some(20), None]);
    assert_eq!(read.current(), key(9).verifier());
}

#[test]
fn old_checkpoints_stay_valid_and_old_keys_sign_no_new_ones() {
    let history = history();
    for (size, number, accepted) in [
        (5, 7, true),
        (10, 7, true),
        (11, 7, false),
        (11, 8, true),
        (20, 8, true),
        (21, 8, false),
        (21, 9, true),
        (5, 9, true),
        (5, 4, false),
    ] {
        let note = at(size).sign(&[&key(number)]).unwrap();
        assert_eq!(history.open(&note, ORIGIN).is_ok(), accepted, "key {number} at {size}");
        for believed in [7, 8, 9] {
            let policy = Policy::of_log(key(believed).verifier().clone()).with_history(&history);
            assert_eq!(policy.accept(&note).is_ok(), accepted, "key {number} at {size}, believing {believed}");
        }
    }
    // At the size of a succession there is one tree, the one both keys signed.
    let forged = Checkpoint::new(ORIGIN, 10, at(9).root).sign(&[&key(7)]).unwrap();
    assert_eq!(history.open(&forged, ORIGIN), Err(LedgerError::RootDiffers { size: 10 }));
    // A history that no believed key is in changes nothing.
    let stranger = Policy::of_log(key(4).verifier().clone());
    assert_eq!(stranger.clone().with_history(&history), stranger);
}

#[test]
fn hostile_histories_are_refused() {
    let good = history().to_string();
    let lines: Vec<&str> = good.lines().collect();
    let join = |lines: &[&str]| format!("{}\n", lines.join("\n"));
    let mut stranger = KeyHistory::of(key(4).verifier().clone());
    stranger.succeed(&key(4), &key(5), &at(10)).unwrap();
    let stranger = stranger.to_string();
    let foreign = stranger.lines().nth(2).unwrap();
    let half = {
        let text = format!("hearthgate/key-rotation/v1\n{ORIGIN}\n30\n{}\n{}\n{}\n", at(30).root, key(9).verifier(), key(3).verifier());
        let line = key(9).sign(&text).unwrap();
        let note = Note::new(&text, vec![line]).unwrap().to_string();
        format!("next {}", data_encoding::BASE64.encode(note.as_bytes()))
    };
    for (what, text) in [
        ("another header", join(&["hearthgate/key-history/v2", lines[1], lines[2]])),
        ("no key", join(&[lines[0], lines[2]])),
        ("a gap", join(&[lines[0], lines[1], lines[3]])),
        ("twice", join(&[lines[0], lines[1], lines[2], lines[2]])),
        ("another log's succession", join(&[lines[0], lines[1], foreign])),
        ("signed by one key only", join(&[lines[0], lines[1], lines[2], lines[3], &half])),
        ("no line end", good.trim_end().to_owned()),
        ("no base64", join(&[lines[0], lines[1], "next !"])),
        ("too large", format!("{good}{}", "next AAAA\n".repeat(110_000))),
    ] {
        assert!(text.parse::<KeyHistory>().is_err(), "{what}");
    }
    let mut history = history();
    assert!(history.succeed(&key(8), &key(3), &at(30)).is_err(), "only the key in use hands over");
    assert!(history.succeed(&key(9), &key(8), &at(30)).is_err(), "no key comes back");
    assert!(history.succeed(&key(9), &key(3), &at(19)).is_err(), "nothing goes back");
    history.succeed(&key(9), &key(3), &at(20)).unwrap();
}

fn second() -> SigningKey {
    SigningKey::from_seed(ORIGIN, Algorithm::MlDsa44, &[7; 32]).unwrap()
}

#[test]
fn a_second_signature_is_added_and_can_be_asked_for() {
    let keys = LogKeys::new(log_key(), Some(second()), KeyHistory::of(log_key().verifier().clone())).unwrap();
    let note: Note = keys.sign(&at(9)).unwrap().to_string().parse().unwrap();
    assert_eq!(note.signatures().len(), 2);
    assert!(keys.is_signed_now(&note));
    assert!(!keys.is_signed_now(&at(9).sign(&[&log_key()]).unwrap()));
    policy().accept(&note).unwrap();
    let file = format!("log {}\nwitness pq {}\nquorum pq\n", log_key().verifier(), second().verifier());
    let strict = Policy::parse(file.as_bytes()).unwrap();
    strict.accept(&note).unwrap();
    assert_eq!(strict.accept(&at(9).sign(&[&log_key()]).unwrap()), Err(SignatureError::QuorumMissed.into()));
    // Both are over the same tree: neither signature fits another one.
    let other: Note = note.to_string().replacen("\n9\n", "\n8\n", 1).parse().unwrap();
    assert!(matches!(strict.accept(&other), Err(LedgerError::Signature(SignatureError::Invalid { .. }))));
}

#[test]
fn ml_dsa_keys_have_their_texts_and_sign_with_a_time_too() {
    let key = second();
    let verifier: VerifierKey = key.verifier().to_string().parse().unwrap();
    assert_eq!(&verifier, key.verifier());
    assert_eq!(verifier.public_key().len(), 1312);
    let again = SigningKey::from_secret_text(&key.to_secret_text()).unwrap();
    assert_eq!(again.verifier(), key.verifier());
    let text = at(9).to_string();
    let line = key.cosign(&text, 1_795_178_096).unwrap();
    assert_eq!(line.payload.len(), 8 + 2420);
    assert_eq!(verifier.verify(&text, &line), Ok(Some(1_795_178_096)));
    let mut altered = line.clone();
    altered.payload[7] ^= 1;
    assert!(verifier.verify(&text, &altered).is_err(), "the time is signed");
    assert!(verifier.verify("no checkpoint\n", &line).is_err());
    assert!(LogKeys::new(log_key(), Some(super::witness_key(1)), KeyHistory::of(log_key().verifier().clone())).is_err());
    assert!(LogKeys::new(super::key_of_another_log(), None, KeyHistory::of(log_key().verifier().clone())).is_err());
}

#[test]
fn the_second_key_is_named_by_the_key_in_use() {
    let of_first = || KeyHistory::of(log_key().verifier().clone());
    let keys = LogKeys::new(log_key(), Some(second()), of_first()).unwrap();
    let text = keys.history().to_string();
    let history: KeyHistory = text.parse().unwrap();
    assert_eq!((history.second(), history.to_string()), (Some(second().verifier()), text.clone()));
    let line = text.lines().find(|line| line.starts_with("second ")).unwrap();
    // Twice, before a succession, without a signature of the key in use, or changed, it names nothing.
    for wrong in [format!("{text}{line}\n"), text.replace("second ", "third "), text.replace(line, &format!("second {}", &line[11..]))] {
        assert!(wrong.parse::<KeyHistory>().is_err(), "{wrong}");
    }
    let other = super::witness_key(1).verifier().to_string();
    let altered = super::super::encoding::base64_decode(&line[7..]).unwrap();
    let altered = String::from_utf8(altered).unwrap().replace(&second().verifier().to_string(), &other);
    let altered = text.replace(line, &format!("second {}", super::super::encoding::base64_encode(altered.as_bytes())));
    assert!(altered.parse::<KeyHistory>().is_err());
    // Whoever knows the first key learns of the second, and a false signature of that is refused; whoever asks for both needs both.
    let note: Note = keys.sign(&at(9)).unwrap().to_string().parse().unwrap();
    let alone: Note = at(9).sign(&[&log_key()]).unwrap();
    let knowing = Policy::of_log(log_key().verifier().clone()).with_history(&history);
    assert_eq!(knowing.accept(&note).unwrap().signatures().len(), 2);
    knowing.accept(&alone).unwrap();
    let both = Policy::of_keys(&keys.texts()).unwrap();
    both.accept(&note).unwrap();
    assert_eq!(both.accept(&alone), Err(SignatureError::QuorumMissed.into()));
    assert_eq!(Policy::of_keys(&log_key().verifier().to_string()).unwrap(), Policy::of_log(log_key().verifier().clone()));
    for wrong in [String::new(), "key".to_owned(), format!("{}{}", keys.texts(), keys.texts())] {
        assert!(Policy::of_keys(&wrong).is_err(), "{wrong}");
    }
}

/// Of a log's keys those are believed that its history leads to from one that is configured, each in its time, and no others.
#[test]
fn the_keys_of_others_are_followed_from_those_that_are_configured() {
    let signed = |number: u8, size: u64| at(size).sign(&[&key(number)]).unwrap();
    let asked = |followed: &Followed, number: u8, size: u64| {
        let request = AddCheckpoint { old_size: 0, proof: Vec::new(), checkpoint: signed(number, size) };
        let witnessed = identify(&request, &followed.believed());
        assert_eq!(witnessed.is_ok(), followed.believed().only(ORIGIN).accept(&request.checkpoint).is_ok(), "{number} at {size}");
        witnessed.map(drop)
    };
    // The first key is configured, or the last, or both.
    for configured in [&[7][..], &[9], &[7, 9]] {
        let policy = configured.iter().fold(Policy::default(), |policy, number| policy.with_log(key(*number).verifier().clone()));
        let followed = Followed::new(policy);
        assert_eq!(asked(&followed, 8, 15), Err(Declined::NotSigned));
        assert_eq!(followed.follow(ORIGIN, &history()), Ok(true));
        assert_eq!(followed.follow(ORIGIN, &history()), Ok(false));
        for (number, size, holds) in [(7, 10, true), (7, 11, false), (8, 11, true), (8, 21, false), (9, 21, true), (5, 5, false)] {
            let expected = if holds { Ok(()) } else { Err(Declined::NotSigned) };
            assert_eq!(asked(&followed, number, size), expected, "{configured:?}: {number} at {size}");
        }
    }
    let followed = Followed::new(Policy::of_log(log_key().verifier().clone()));
    let mut forked = KeyHistory::of(log_key().verifier().clone());
    forked.succeed(&log_key(), &key(6), &at(10)).unwrap();
    let mut strangers = KeyHistory::of(key(5).verifier().clone());
    strangers.succeed(&key(5), &key(4), &at(10)).unwrap();
    let mut shorter = KeyHistory::of(log_key().verifier().clone());
    shorter.succeed(&log_key(), &key(8), &at(10)).unwrap();
    assert!(followed.follow(ORIGIN, &strangers).is_err(), "no key of it is configured");
    assert!(followed.follow("elsewhere.test/log", &shorter).is_err(), "it is of another log");
    assert_eq!(asked(&followed, 4, 21), Err(Declined::NotSigned));
    assert_eq!(followed.follow(ORIGIN, &shorter), Ok(true));
    assert_eq!(followed.follow(ORIGIN, &history()), Ok(true), "it goes on");
    assert!(followed.follow(ORIGIN, &shorter).is_err(), "it goes back");
    assert!(followed.follow(ORIGIN, &forked).is_err(), "it is another");
    assert_eq!((asked(&followed, 9, 21), asked(&followed, 6, 21)), (Ok(()), Err(Declined::NotSigned)));
}
