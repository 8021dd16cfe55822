//! Witnessing and mirroring: what is cosigned and copied, and what is not.

use super::{MemoryLog, ORIGIN, Scratch, key_of_another_log, log_key, policy, witness_key};
use crate::ledger::error::{LedgerError, SignatureError};
use crate::ledger::folder::Folder;
use crate::ledger::merkle::{self, Hash};
use crate::ledger::mirror::{Keep, held, mirror};
use crate::ledger::reader::{self, LogFiles};
use crate::ledger::tree::TreeHashes;
use crate::ledger::witness::{AddCheckpoint, Answer, Declined, SIZE_MEDIA_TYPE, identify, judge, read_answer};
use crate::ledger::{Checkpoint, Note, fsck};

fn request(log: &MemoryLog, old_size: u64) -> AddCheckpoint {
    let size = log.edge.size();
    let inside = old_size > 0 && old_size < size;
    let proof = if inside { TreeHashes::new(&log.edge, log).consistency_proof(old_size, size).unwrap() } else { Vec::new() };
    AddCheckpoint { old_size, proof, checkpoint: log.checkpoint() }
}

fn root(size: u64) -> Hash {
    MemoryLog::of_size(size).edge.root()
}

fn decide(request: &AddCheckpoint, last: Option<(u64, Hash)>) -> Result<(), Declined> {
    let read: AddCheckpoint = request.to_string().parse().map_err(|_| Declined::Malformed)?;
    assert_eq!(&read, request);
    judge(request, &identify(request, &policy())?, last)
}

#[test]
fn what_grows_is_cosigned_and_nothing_else() {
    let log = MemoryLog::of_size(20);
    let forged = |change: &dyn Fn(&mut AddCheckpoint)| {
        let mut request = request(&log, 13);
        change(&mut request);
        request
    };
    let sign = |size, root| Checkpoint::new(ORIGIN, size, root).sign(&[&log_key()]).unwrap();
    let seen = Some((13, root(13)));
    let cases = [
        (request(&log, 0), None, Ok(())),
        (request(&log, 13), seen, Ok(())),
        (request(&log, 20), Some((20, root(20))), Ok(())),
        (request(&log, 20), Some((20, root(19))), Err(Declined::NotExtending)),
        (request(&log, 13), None, Err(Declined::OtherSize { size: 0 })),
        (request(&log, 0), seen, Err(Declined::OtherSize { size: 13 })),
        (request(&log, 13), Some((13, root(12))), Err(Declined::NotExtending)),
        (forged(&|request| request.proof.truncate(1)), seen, Err(Declined::NotExtending)),
        (forged(&|request| request.proof.clear()), seen, Err(Declined::NotExtending)),
        (forged(&|request| request.checkpoint = sign(20, root(19))), seen, Err(Declined::NotExtending)),
        (forged(&|request| request.old_size = 21), seen, Err(Declined::Malformed)),
        (forged(&|request| request.old_size = 0), None, Err(Declined::NotExtending)),
        (AddCheckpoint { old_size: 0, proof: Vec::new(), checkpoint: sign(0, Hash::EMPTY_ROOT) }, None, Ok(())),
        (AddCheckpoint { old_size: 0, proof: Vec::new(), checkpoint: sign(0, root(1)) }, None, Err(Declined::NotExtending)),
        (
            forged(&|request| request.checkpoint = Note::new("no checkpoint\n", vec![log_key().sign("x\n").unwrap()]).unwrap()),
            seen,
            Err(Declined::Malformed),
        ),
        (
            forged(&|request| {
                request.checkpoint = Checkpoint::new("other.example/log", 20, root(20)).sign(&[&key_of_another_log()]).unwrap();
            }),
            seen,
            Err(Declined::UnknownLog),
        ),
        (
            forged(&|request| request.checkpoint = Checkpoint::new(ORIGIN, 20, root(20)).sign(&[&key_of_another_log()]).unwrap()),
            seen,
            Err(Declined::NotSigned),
        ),
    ];
    for (number, (request, last, expected)) in cases.into_iter().enumerate() {
        assert_eq!(decide(&request, last), expected, "case {number}");
    }
}

#[test]
fn malformed_requests() {
    let request = request(&MemoryLog::of_size(20), 13);
    let (good, proof) = (request.to_string(), request.proof);
    let hash = format!("{}\n", root(1));
    for (what, text) in [
        ("nothing", String::new()),
        ("no old size", good.replacen("old 13\n", "", 1)),
        ("a leading zero", good.replacen("old 13", "old 013", 1)),
        ("a sign", good.replacen("old 13", "old +13", 1)),
        ("no hash", good.replacen("old 13\n", "old 13\nAAAA\n", 1)),
        ("64 hashes", good.replacen("old 13\n", &format!("old 13\n{}", hash.repeat(64)), 1)),
        ("no checkpoint", "old 0\n\n".to_owned()),
        ("too large", format!("{good}{}", "x".repeat(300_000))),
    ] {
        assert!(text.parse::<AddCheckpoint>().is_err(), "{what}");
    }
    let most = good.replacen("old 13\n", &format!("old 13\n{}", hash.repeat(63 - proof.len())), 1);
    most.parse::<AddCheckpoint>().unwrap();
}

#[test]
fn answers_and_what_they_mean() {
    let note = MemoryLog::of_size(20).checkpoint();
    let text = note.unverified_text();
    let line = |number: u8, text: &str| format!("{}\n", witness_key(number).cosign(text, 99).unwrap());
    let check = |status, media, body: &str, expected: Answer| {
        assert_eq!(read_answer(status, media, body.as_bytes(), &note, 20, witness_key(1).verifier()), expected, "{status} {body}");
    };
    check(200, "", &line(1, text), Answer::Cosigned(witness_key(1).cosign(text, 99).unwrap()));
    check(200, "", &format!("{}{}", line(2, text), line(1, text)), Answer::Cosigned(witness_key(1).cosign(text, 99).unwrap()));
    check(200, "", &line(2, text), Answer::Unusable("its answer has no cosignature by its key"));
    check(200, "", &line(1, "other\n"), Answer::Unusable("its cosignature does not verify"));
    check(200, "", "hello\n", Answer::Unusable("its answer is not made of signature lines"));
    check(200, "", &line(2, text).repeat(17), Answer::Unusable("its answer has no cosignature by its key"));
    check(409, SIZE_MEDIA_TYPE, "13\n", Answer::From(13));
    check(409, "text/x.tlog.size; charset=utf-8", "0\n", Answer::From(0));
    check(409, SIZE_MEDIA_TYPE, "21\n", Answer::Beyond(21));
    check(409, SIZE_MEDIA_TYPE, "many\n", Answer::SplitView);
    check(409, "text/plain", "13\n", Answer::SplitView);
    check(409, "", "", Answer::SplitView);
    check(422, "", "", Answer::SplitView);
    for status in [400, 403, 404, 429, 500, 503] {
        let answer = read_answer(status, "", b"", &note, 20, witness_key(1).verifier());
        assert!(matches!(answer, Answer::Unusable(_)), "{status}");
    }
}

/// A published log of a size, and a place for its copy.
fn published(scratch: &Scratch, size: u64) -> (MemoryLog, Folder, Folder) {
    let log = MemoryLog::of_size(size);
    let (folder, copy) = (Folder::new(scratch.0.join("log")), Folder::new(scratch.0.join("copy")));
    log.publish(&folder).unwrap();
    (log, folder, copy)
}

fn copy(from: &dyn LogFiles, to: &Folder) -> Result<(u64, u64), LedgerError> {
    let finish = |mut note: Note, checkpoint: &Checkpoint, keep: Keep<'_>| {
        note.add(witness_key(9).cosign(&checkpoint.to_string(), 5)?)?;
        keep(None, &note)
    };
    mirror(from, to, &policy(), None, finish).map(|done| (done.previous_size, done.checkpoint.size))
}

#[test]
fn a_log_is_copied_as_it_grows() {
    let scratch = Scratch::new("mirror");
    let (mut log, folder, held_copy) = published(&scratch, 0);
    let mut before = 0;
    for size in [0, 1, 255, 256, 257, 700, 700, 66_000] {
        log.grow(size);
        log.publish(&folder).unwrap();
        assert_eq!(copy(&folder, &held_copy).unwrap(), (before, size));
        before = size;
        let report = fsck::fsck(&held_copy, &policy(), &mut |_| ()).unwrap();
        assert_eq!((report.leaves, report.problems), (size, Vec::new()));
        let note = reader::read_checkpoint(&held_copy).unwrap();
        assert!(note.signatures().iter().any(|line| witness_key(9).verifier().claims(line)), "the mirror says that it holds it");
    }
}

#[test]
fn a_log_that_contradicts_what_a_witness_saw_is_not_signed_for() {
    let scratch = Scratch::new("mirror-seen");
    let (_, folder, held_copy) = published(&scratch, 600);
    let visit = |size, saw| {
        let seen = Checkpoint::new(ORIGIN, size, saw);
        mirror(&folder, &held_copy, &policy(), Some(&seen), |note, _, keep| keep(Some(&seen), &note)).map(|done| done.checkpoint.size)
    };
    for size in [3, 256, 300, 600] {
        assert_eq!(visit(size, Hash([7; 32])), Err(LedgerError::RootDiffers { size }));
    }
    assert_eq!(visit(700, root(700)), Err(LedgerError::Behind { cosigned_size: 700, size: 600 }), "nothing says yet whether it fits");
    assert!(reader::read_checkpoint(&held_copy).is_err(), "nothing was signed");
    assert_eq!(visit(300, root(300)), Ok(600));
    // What the witness saw since is held against what is mirrored already.
    assert_eq!(visit(600, Hash([7; 32])), Err(LedgerError::RootDiffers { size: 600 }));
    assert_eq!((visit(600, root(600)), visit(700, root(700))), (Ok(600), Ok(600)));
}

/// What a witness cosigns while the log is copied counts too: the last word is had before anything is signed for.
#[test]
fn a_log_that_contradicts_what_a_witness_saw_meanwhile_is_not_signed_for() {
    let scratch = Scratch::new("mirror-meanwhile");
    let (_, folder, held_copy) = published(&scratch, 600);
    let visit = |size, saw| {
        let meanwhile = Checkpoint::new(ORIGIN, size, saw);
        mirror(&folder, &held_copy, &policy(), None, |note, _, keep| keep(Some(&meanwhile), &note)).map(|done| done.checkpoint.size)
    };
    assert_eq!(visit(300, Hash([7; 32])), Err(LedgerError::RootDiffers { size: 300 }));
    assert_eq!(visit(700, root(700)), Err(LedgerError::Behind { cosigned_size: 700, size: 600 }));
    assert_eq!(held(&held_copy, &policy()).unwrap(), None, "nothing was signed");
    assert_eq!(visit(300, root(300)), Ok(600));
}

#[test]
fn a_log_that_contradicts_the_copy_is_not_copied() {
    let scratch = Scratch::new("mirror-fork");
    let (_, folder, held_copy) = published(&scratch, 600);
    copy(&folder, &held_copy).unwrap();
    // Damage to the copy is not held against the log.
    let tile = scratch.0.join("copy/tile/0/002.p/88");
    let whole = std::fs::read(&tile).unwrap();
    std::fs::write(&tile, whole.iter().map(|byte| byte ^ 1).collect::<Vec<_>>()).unwrap();
    assert_eq!(copy(&folder, &held_copy), Err(LedgerError::CopyDiffers { size: 600 }));
    std::fs::write(&tile, whole).unwrap();
    let sound = |what: &str| {
        let report = fsck::fsck(&held_copy, &policy(), &mut |_| ()).unwrap();
        assert_eq!((report.leaves, report.problems), (600, Vec::new()), "{what}");
    };
    let fork_at = |leaf: usize, size: u64| {
        let mut fork = MemoryLog::default();
        for index in 0..size {
            let entry = if index as usize == leaf { b"another".to_vec() } else { format!("entry number {index}").into_bytes() };
            for tile in fork.edge.append(merkle::leaf_hash(&entry)) {
                fork.tiles.insert((tile.level, tile.index), tile.hashes);
            }
            fork.entries.push(entry);
        }
        let folder = Folder::new(scratch.0.join(format!("fork-{leaf}-{size}")));
        fork.publish(&folder).unwrap();
        folder
    };
    let back = Folder::new(scratch.0.join("back"));
    MemoryLog::of_size(599).publish(&back).unwrap();
    assert_eq!(copy(&back, &held_copy), Err(LedgerError::NotAnExtension { published_size: 600, size: 599 }));
    sound("rolled back");
    assert_eq!(copy(&fork_at(3, 600), &held_copy), Err(LedgerError::NotAnExtension { published_size: 600, size: 600 }));
    sound("equivocating at one size");
    assert_eq!(copy(&fork_at(3, 900), &held_copy), Err(LedgerError::RootDiffers { size: 900 }));
    sound("forked in what is held in full tiles");
    assert_eq!(copy(&fork_at(599, 900), &held_copy), Err(LedgerError::LeafDiffers { index: 599 }));
    sound("forked at the edge");
    // The true log goes on over whatever the attempts left behind.
    MemoryLog::of_size(900).publish(&folder).unwrap();
    assert_eq!(copy(&folder, &held_copy).unwrap(), (600, 900));
    assert!(fsck::fsck(&held_copy, &policy(), &mut |_| ()).unwrap().problems.is_empty());
    let other = crate::ledger::Policy::of_log(key_of_another_log().verifier().clone());
    assert_eq!(held(&held_copy, &other), Err(SignatureError::NoKnownKey.into()));
}
