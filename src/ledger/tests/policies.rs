//! Policy files and what they accept.

use super::{MemoryLog, ORIGIN, log_key, read_fixture, witness_key};
use crate::ledger::error::{LedgerError, SignatureError};
use crate::ledger::key::{Algorithm, SigningKey};
use crate::ledger::note::Note;
use crate::ledger::policy::{MAX_POLICY_PARTIES, Policy, Role};

fn log_line() -> String {
    format!("log {}", log_key().verifier())
}

fn witness_line(number: u8) -> String {
    format!("witness W{number} {}", witness_key(number).verifier())
}

/// A file of the lines, with one log and the witnesses W1 to W4.
fn with_witnesses(lines: &[&str]) -> String {
    let mut file = vec![log_line()];
    file.extend((1..=4).map(witness_line));
    file.extend(lines.iter().map(|line| (*line).to_owned()));
    file.join("\n") + "\n"
}

fn cosigned(witnesses: &[u8]) -> Note {
    let mut note = MemoryLog::of_size(3).checkpoint();
    for number in witnesses {
        note.add(witness_key(*number).cosign(note.unverified_text(), 1_700_000_000).unwrap()).unwrap();
    }
    note
}

#[test]
fn the_committed_example_reads() {
    let policy = Policy::parse(read_fixture("example.policy").as_bytes()).unwrap();
    assert_eq!((policy.logs().len(), policy.parties().len()), (1, 6));
    assert_eq!(policy.logs()[0].url.as_deref(), Some("https://hearth.example/ledger/"));
    assert_eq!(policy.quorum().unwrap().name, b"both");
    assert!(policy.accept(&cosigned(&[1, 3])).is_ok());
    assert!(policy.accept(&cosigned(&[1, 2])).is_err());
}

#[test]
fn malformed_policies() {
    let duplicate_log = SigningKey::from_seed("another.example", Algorithm::Ed25519, &[7; 32]).unwrap();
    let duplicate_log = format!("log {}", duplicate_log.verifier());
    let duplicate_witness = SigningKey::from_seed("another.example", Algorithm::CosignatureV1, &[1; 32]).unwrap();
    let duplicate_witness = format!("witness X {}", duplicate_witness.verifier());
    let log_as_witness = format!("witness X {}", log_key().verifier());
    let redefined = format!("witness W1 {}", witness_key(9).verifier());
    let named_none = format!("witness none {}", witness_key(9).verifier());
    let shape = Some("it is no log, witness, group or quorum line with the right number of items");
    let threshold = Some("the threshold is not any, all, or a number from 1 to that of the members");
    let undefined = Some("a member is not defined on a line before");
    for (lines, rule) in [
        (&["quorum none"][..], None),
        (&["quorum W1"], None),
        (&["", " \t", "# comment", "  # more \u{e9}", "\tquorum \t none  "], None),
        (&["group g 2 W1 W2", "group h all g W3", "quorum h"], None),
        (&["quorum none", "group g any W1"], None),
        (&[], Some("there is no quorum line")),
        (&["quorum none", "quorum none"], Some("there is a quorum line already")),
        (&["quorum nobody"], Some("the quorum is not defined on a line before")),
        (&["quorum g", "group g any W1"], Some("the quorum is not defined on a line before")),
        (&["quorum"], shape),
        (&["quorum W1 W2"], shape),
        (&["group g any"], threshold),
        (&["group g"], shape),
        (&["group g 0 W1"], threshold),
        (&["group g 2 W1"], threshold),
        (&["group g 01 W1"], threshold),
        (&["group g most W1"], threshold),
        (&["group g 99999999999999999999 W1"], threshold),
        (&["group g any W9"], undefined),
        (&["group g any g"], undefined),
        (&["group g any none"], undefined),
        (&["group g any W1 W1"], Some("a member is a member already")),
        (&["group g any W1", "group h any W1"], Some("a member is a member already")),
        (&["group W1 any W2"], Some("the name is defined already")),
        (&["group none any W2"], Some("the name is defined already")),
        (&[&redefined], Some("the name is defined already")),
        (&[&named_none], Some("the name is defined already")),
        (&[&duplicate_log], Some("another log has this public key")),
        (&[&duplicate_witness], Some("another witness has this public key")),
        (&[&log_as_witness], Some("a witness's key is not of a cosignature type")),
        (&["log"], shape),
        (&["log x+y+z"], Some("the id is not eight lower-case hexadecimal digits")),
        (&["witness X"], shape),
        (&["Quorum none"], shape),
        (&["quorum none\r"], Some("it has a control character")),
        (&["quorum none # comment"], shape),
        (&["\u{7f}"], Some("it has a control character")),
    ] {
        let file = with_witnesses(lines);
        assert_eq!(Policy::parse(file.as_bytes()).err().map(|reason| reason.rule), rule, "{lines:?}");
    }
    assert!(Policy::parse(b"quorum none").is_err(), "the last line has no end");
    assert!(Policy::parse(b"").is_err());
    assert_eq!(Policy::parse(b"# fine\nquorum none\nnonsense\n").unwrap_err().line, Some(3));
    assert!(Policy::parse(&vec![b'\n'; 2_000_000]).is_err());
    assert!(Policy::parse(b"\x80\xff any\n").is_err());
}

#[test]
fn a_policy_has_a_largest_size() {
    let mut file = with_witnesses(&[]);
    let mut last = "W1".to_owned();
    for number in 0..MAX_POLICY_PARTIES - 4 {
        file += &format!("group g{number} all {last}\n");
        last = format!("g{number}");
    }
    let policy = Policy::parse(format!("{file}quorum {last}\n").as_bytes()).unwrap();
    assert!(policy.accept(&cosigned(&[1])).is_ok());
    assert!(policy.accept(&cosigned(&[2])).is_err());
    let error = Policy::parse(format!("{file}group one-more any {last}\nquorum none\n").as_bytes()).unwrap_err();
    assert_eq!(error.rule, "there are too many witnesses and groups");
}

#[test]
fn names_are_octets() {
    let file = with_witnesses(&["group g any W1"]).into_bytes();
    let mut file: Vec<u8> = file.into_iter().collect();
    file.extend_from_slice(b"group \xff\xfe all g W2\nquorum \xff\xfe\n");
    let policy = Policy::parse(&file).unwrap();
    assert_eq!(policy.quorum().unwrap().name, b"\xff\xfe");
    assert!(matches!(&policy.quorum().unwrap().role, Role::Group { threshold: 2, .. }));
}

#[test]
fn quorums() {
    let missed = Err(LedgerError::Signature(SignatureError::QuorumMissed));
    for (lines, witnesses, accepted) in [
        (&["quorum none"][..], &[][..], true),
        (&["quorum none"], &[1, 2], true),
        (&["quorum W1"], &[1], true),
        (&["quorum W1"], &[2, 3, 4], false),
        (&["quorum W1"], &[9], false),
        (&["group g any W1 W2", "quorum g"], &[2], true),
        (&["group g any W1 W2", "quorum g"], &[3], false),
        (&["group g all W1 W2", "quorum g"], &[2, 1], true),
        (&["group g all W1 W2", "quorum g"], &[2, 2, 2], false),
        (&["group g 2 W1 W2 W3", "quorum g"], &[1, 3], true),
        (&["group g 2 W1 W2 W3", "quorum g"], &[3], false),
        (&["group g 2 W1 W2", "group h any g W3", "quorum h"], &[3], true),
        (&["group g 2 W1 W2", "group h all g W3", "quorum h"], &[1, 3], false),
        (&["group g 2 W1 W2", "group h all g W3", "quorum h"], &[1, 2, 3], true),
    ] {
        let policy = Policy::parse(with_witnesses(lines).as_bytes()).unwrap();
        let result = policy.accept(&cosigned(witnesses)).map(|accepted| accepted.checkpoint().size);
        assert_eq!(result, if accepted { Ok(3) } else { missed.clone() }, "{lines:?} {witnesses:?}");
    }
}

#[test]
fn a_log_speaks_for_itself_only() {
    let other = SigningKey::from_seed("other.example", Algorithm::Ed25519, &[9; 32]).unwrap();
    let policy = Policy::of_log(other.verifier().clone()).with_log(log_key().verifier().clone());
    let text = MemoryLog::of_size(3).checkpoint().unverified_text().to_owned();
    let not_by_log = Err(LedgerError::Signature(SignatureError::NotSignedByLog));
    let by_other = Note::new(&text, vec![other.sign(&text).unwrap()]).unwrap();
    assert_eq!(policy.accept(&by_other).map(|_| ()), not_by_log, "another log's key signed {ORIGIN}");
    assert!(policy.accept(&cosigned(&[])).is_ok());
    let no_logs = Policy::parse(with_witnesses(&["quorum W1"]).split_once('\n').unwrap().1.as_bytes()).unwrap();
    assert_eq!(no_logs.accept(&cosigned(&[1])).map(|_| ()), not_by_log);
    assert!(no_logs.with_log(log_key().verifier().clone()).accept(&cosigned(&[1])).is_ok());
}

#[test]
fn a_known_witness_that_signs_wrongly_spoils_the_checkpoint() {
    let policy = Policy::parse(with_witnesses(&["quorum none"]).as_bytes()).unwrap();
    let mut note = cosigned(&[1]);
    let of_another = witness_key(2).cosign("another text\n", 5).unwrap();
    note.add(of_another).unwrap();
    let invalid = SignatureError::Invalid { key_name: "witness2.example".into() };
    assert_eq!(policy.accept(&note).map(|_| ()), Err(invalid.into()));
    let accepted = Policy::of_log(log_key().verifier().clone()).accept(&note).unwrap();
    assert_eq!(accepted.signatures().len(), 1);
    let accepted = policy.accept(&cosigned(&[4])).unwrap();
    assert_eq!(accepted.signatures()[1].timestamp_seconds, Some(1_700_000_000));
}
