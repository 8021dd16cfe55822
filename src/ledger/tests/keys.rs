//! Key texts and signed notes.

use super::{ORIGIN, log_key, read_fixture, witness_key};
use crate::ledger::error::SignatureError;
use crate::ledger::key::{Algorithm, SigningKey, VerifierKey};
use crate::ledger::note::{MAX_SIGNATURES, Note, NoteSignature};

fn neumann() -> (SigningKey, VerifierKey, Note) {
    let key = SigningKey::from_secret_text(&read_fixture("note/neumann.key")).unwrap();
    (key, read_fixture("note/neumann.vkey").trim_end().parse().unwrap(), read_fixture("note/neumann.note").parse().unwrap())
}

#[test]
fn the_example_of_the_first_implementation() {
    let (key, verifier, note) = neumann();
    assert_eq!(key.verifier(), &verifier);
    assert_eq!(key.to_secret_text(), read_fixture("note/neumann.key").trim_end());
    assert_eq!(verifier.to_string(), read_fixture("note/neumann.vkey").trim_end());
    assert_eq!(note.to_string(), read_fixture("note/neumann.note"));
    let opened = note.open(&[&verifier]).unwrap();
    assert_eq!(opened.verified().len(), 1);
    assert_eq!(key.sign(opened.text()).unwrap(), note.signatures()[0]);
    assert_eq!(format!("{key:?}"), "SigningKey(PeterNeumann)");
}

#[test]
fn verifier_key_texts() {
    let good = log_key().verifier().to_string();
    let swap = |from: &str, to: &str| good.replacen(from, to, 1);
    let id = good.split('+').nth(1).unwrap().to_owned();
    for (text, rule) in [
        (good.clone(), None),
        (witness_key(1).verifier().to_string(), None),
        (String::new(), Some("it does not have three parts joined by +")),
        (good.replace('+', " "), Some("it does not have three parts joined by +")),
        (swap(ORIGIN, ""), Some("the name is empty or too long")),
        (swap(ORIGIN, "hearth example"), Some("the name has a space, a plus sign or a control character")),
        (swap(ORIGIN, "hearth\u{2003}example"), Some("the name has a space, a plus sign or a control character")),
        (swap(ORIGIN, "other.example"), Some("the id is not that of the name and key")),
        (swap(&id, "00000000"), Some("the id is not that of the name and key")),
        (
            swap(&id, &id.to_uppercase().replace(|c: char| c.is_ascii_digit(), "A")),
            Some("the id is not eight lower-case hexadecimal digits"),
        ),
        (swap(&id, &id[1..]), Some("the id is not eight lower-case hexadecimal digits")),
        (format!("{good}A"), Some("the key is not standard base64")),
        (format!("n+{id}+"), Some("the key is empty")),
        (format!("n+{id}+Ag=="), Some("the signature type is not one that is supported here")),
        (format!("n+{id}+AQI="), Some("the public key is not 32 bytes long")),
    ] {
        let parsed = text.parse::<VerifierKey>();
        assert_eq!(parsed.as_ref().err().map(|reason| reason.rule), rule, "{text}");
        if let Ok(key) = parsed {
            assert_eq!(key.to_string(), text);
        }
    }
}

#[test]
fn weak_public_keys_are_refused() {
    let mut identity = [0u8; 32];
    identity[0] = 1;
    assert_eq!(VerifierKey::new("weak", Algorithm::Ed25519, &identity).unwrap_err().rule, "the Ed25519 public key is a weak one");
}

#[test]
fn secret_texts() {
    let good = log_key().to_secret_text();
    let public = log_key().verifier().to_string();
    for (text, rule) in [
        (format!(" {good}\n"), None),
        (public, Some("it does not begin with PRIVATE+KEY+")),
        (good.replacen(ORIGIN, "other.example", 1), Some("the id is not that of the name and key")),
        (good[..good.len() - 4].to_owned(), Some("the private key is not 32 bytes long")),
    ] {
        assert_eq!(SigningKey::from_secret_text(&text).err().map(|reason| reason.rule), rule, "{text}");
    }
}

const TEXT: &str = "a text\n\nwith an empty line\n";

fn signed(keys: &[SigningKey]) -> Note {
    Note::new(TEXT, keys.iter().map(|key| key.sign(TEXT).unwrap()).collect()).unwrap()
}

fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(name, Algorithm::Ed25519, &[name.len() as u8; 32]).unwrap()
}

#[test]
fn malformed_notes() {
    let good = signed(&[key("a"), key("bb")]).to_string();
    let line = key("a").sign(TEXT).unwrap().to_string();
    let control = "it has control characters";
    for (note, rule) in [
        (good.clone(), None),
        (good.replacen("a text", "\u{7f} \u{85}", 1), None),
        (good.trim_end().to_owned(), Some("the last line does not end in a line end")),
        (good.replace("\n\n", "\n"), Some("no empty line parts the text from the signatures")),
        (format!("{TEXT}\n"), Some("the last line does not end in a line end")),
        (format!("{good}\n"), Some("the last line does not end in a line end")),
        (good.replacen("a text", "a\ttext", 1), Some(control)),
        (good.replacen("a text", "a\rtext", 1), Some(control)),
        (good.replacen("\u{2014} a", "- a", 1), Some("a signature line does not begin with an em dash and a space")),
        (good.replacen("\u{2014} a ", "\u{2014} a", 1), Some("a signature line has no signature")),
        (good.replacen("\u{2014} a ", "\u{2014} a+b ", 1), Some("the name has a space, a plus sign or a control character")),
        (good.replacen("\u{2014} a ", "\u{2014}  ", 1), Some("the name is empty or too long")),
        (good.replacen("\u{2014} a ", "\u{2014} a  ", 1), Some("a signature is not standard base64")),
        (format!("{TEXT}\n\u{2014} a AAAA\n"), Some("a signature is shorter than its key id")),
        (format!("{TEXT}\n\u{2014} a AAAAAA==\n"), Some("a signature is nothing but its key id")),
        (format!("{TEXT}\n{}", format!("{line}\n").repeat(MAX_SIGNATURES)), None),
        (format!("{TEXT}\n{}", format!("{line}\n").repeat(MAX_SIGNATURES + 1)), Some("it has too many signatures")),
        (format!("{}{good}", "x".repeat(300_000)), Some("it is too large")),
    ] {
        let parsed = note.parse::<Note>();
        let shown: String = note.chars().take(200).collect();
        assert_eq!(parsed.as_ref().err().map(|reason| reason.rule), rule, "{shown}");
        if let Ok(parsed) = parsed {
            assert_eq!(parsed.to_string(), note);
        }
    }
    assert_eq!(Note::from_bytes(b"\xff\n\n\xe2\x80\x94 a AAAAAAA=\n").unwrap_err().rule, "it is not UTF-8");
    assert!(Note::new("no line end", vec![key("a").sign("x\n").unwrap()]).is_err());
    assert!(Note::new(TEXT, Vec::new()).is_err());
    let mut full = signed(&[key("a")]);
    (1..MAX_SIGNATURES).for_each(|_| full.add(key("a").sign(TEXT).unwrap()).unwrap());
    assert!(full.add(key("a").sign(TEXT).unwrap()).is_err());
}

#[test]
fn who_is_believed() {
    let (a, b, c) = (key("a"), key("bb"), key("ccc"));
    let note = signed(&[a.clone(), b.clone()]);
    let names = |known: &[&VerifierKey], note: &Note| {
        note.open(known).map(|opened| opened.verified().iter().map(|by| by.key.name().to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(names(&[a.verifier()], &note).unwrap(), ["a"]);
    assert_eq!(names(&[b.verifier(), c.verifier(), a.verifier(), a.verifier()], &note).unwrap(), ["a", "bb"]);
    assert_eq!(names(&[c.verifier()], &note), Err(SignatureError::NoKnownKey));
    assert_eq!(names(&[], &note), Err(SignatureError::NoKnownKey));

    let of_another_text = b.sign("another text\n").unwrap();
    let forged = Note::new(TEXT, vec![a.sign(TEXT).unwrap(), of_another_text.clone()]).unwrap();
    assert_eq!(names(&[a.verifier(), b.verifier()], &forged), Err(SignatureError::Invalid { key_name: "bb".into() }));
    assert_eq!(names(&[a.verifier()], &forged).unwrap(), ["a"], "an unknown key's line is not looked at");

    let only_the_name = NoteSignature { key_id: 0, ..of_another_text.clone() };
    let only_the_id = NoteSignature { key_name: "other".into(), ..of_another_text };
    let similar = Note::new(TEXT, vec![only_the_name, only_the_id, b.sign(TEXT).unwrap()]).unwrap();
    assert_eq!(names(&[b.verifier()], &similar).unwrap(), ["bb"]);
}

#[test]
fn every_bit_of_a_signature_matters() {
    let (key, text) = (key("a"), "text\n");
    let good = key.sign(text).unwrap();
    for bit in 0..good.payload.len() * 8 {
        let mut altered = good.clone();
        altered.payload[bit / 8] ^= 1 << (bit % 8);
        assert!(key.verifier().verify(text, &altered).is_err());
    }
    let mut longer = good.clone();
    longer.payload.push(0);
    assert!(key.verifier().verify(text, &longer).is_err());
    assert!(key.verifier().verify("texts\n", &good).is_err());
}

#[test]
fn cosignatures() {
    let witness = witness_key(1);
    let line = witness.cosign("log\n1\nx\n", 1_679_315_147).unwrap();
    assert_eq!(line.payload.len(), 72);
    assert_eq!(witness.verifier().verify("log\n1\nx\n", &line), Ok(Some(1_679_315_147)));
    assert!(witness.verifier().verify("log\n2\nx\n", &line).is_err());
    for byte in 0..72 {
        let mut altered = line.clone();
        altered.payload[byte] ^= 1;
        assert!(witness.verifier().verify("log\n1\nx\n", &altered).is_err(), "byte {byte}");
    }
    assert!(witness.cosign("log\n", i64::MAX as u64).is_ok());
    assert!(witness.cosign("log\n", i64::MAX as u64 + 1).is_err());
    assert!(witness.sign("log\n").is_err());
    assert!(log_key().cosign("log\n", 1).is_err());
    let same_bytes = SigningKey::from_seed("w", Algorithm::Ed25519, &[1; 32]).unwrap();
    let as_cosigner = SigningKey::from_seed("w", Algorithm::CosignatureV1, &[1; 32]).unwrap();
    assert_ne!(same_bytes.verifier().id(), as_cosigner.verifier().id(), "the type is part of the id");
}
