//! Rows that somebody took away or changed in the database: `ledger fsck --data` names each, and what was erased is not missed.

use crate::support::data::{observation, patient};
use crate::support::world::{OFFICER, Setup, World};
use crate::support::{AtRest, Call, Party};
use hearthgate::anchor::{Leaf, LeafKind, Tags};
use hearthgate::clock::{Instant, ScriptedTime};
use hearthgate::store::{LeafDraft, Unit, leaf_secret};
use serde_json::json;
use std::ops::Deref;
use std::time::Duration;

/// After so long tags are others.
const EPOCH: Duration = Duration::from_secs(31 * 24 * 3600);

/// Data at rest, of which something was erased a month after it came.
struct Case {
    at_rest: AtRest,
    /// A record that is still there, and a patient of whom nothing was erased.
    record: String,
    patient: String,
}

impl Deref for Case {
    type Target = AtRest;

    fn deref(&self) -> &AtRest {
        &self.at_rest
    }
}

impl Case {
    /// `older` leaves are appended last.
    async fn new(older: Vec<Leaf>) -> Case {
        let time = ScriptedTime::starting_at(Instant::from_fhir_instant("2026-06-01T12:00:00Z").unwrap());
        let world = Setup::configured(OFFICER).at(&time).start().await;
        let a = world.party("hospital-a").await;
        let (id, gone) = (a.create(&patient("1")).await, a.create(&patient("2")).await);
        let here = format!("Patient/{id}");
        let (record, erased) = (a.create(&observation(&here)).await, a.create(&observation(&here)).await);
        a.create(&observation(&format!("Patient/{gone}"))).await;
        a.get(&format!("Patient/{gone}")).await.expect(200);
        let practitioner = a.create(&json!({"resourceType": "Practitioner", "name": [{"family": "Quillfeather"}]})).await;
        let mut corrected = observation(&here);
        (corrected["id"], corrected["status"]) = (json!(record), json!("corrected"));
        a.put(&format!("Observation/{record}"), &corrected).await.expect(200);
        time.advance(EPOCH);
        for what in [format!("Observation/{erased}"), format!("Patient/{gone}"), format!("Practitioner/{practitioner}")] {
            officer(&world).await.call(Call::new("POST", &format!("{what}/$erase"))).await.expect(200);
        }
        for leaf in older {
            let leaves = vec![LeafDraft { entry: leaf.encode(), tags: Vec::new(), key: None, patient: None, is_unseen: false }];
            world.running.store.commit(Unit { leaves, ..Unit::default() }).await.unwrap();
        }
        Case { at_rest: AtRest::of(world).await, record, patient: id }
    }

    fn row(&self) -> String {
        format!("rid = (SELECT rid FROM resource WHERE id = '{}')", self.record)
    }

    /// Takes a record away altogether, with all that leads to it.
    fn taken(&self) -> String {
        let row = self.row();
        let index = ["exact", "words", "span"].map(|table| format!("DELETE FROM {table} WHERE {row};")).concat();
        format!("{index} DELETE FROM version WHERE {row}; DELETE FROM resource WHERE {row};")
    }
}

pub(super) async fn officer(world: &World) -> Party {
    let token = world.ask_token("officer", "system/Patient.r").await.expect(200).json();
    Party { token: token["access_token"].as_str().map(str::to_owned), ..world.stranger() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_away_is_not_called_erased_because_something_was() {
    let case = Case::new(Vec::new()).await;
    let leaf = format!("(SELECT leaf FROM version WHERE {} ORDER BY version LIMIT 1)", case.row());
    let event = "rid = (SELECT max(v.rid) FROM version v JOIN resource r ON r.rid = v.rid WHERE r.type = 'AuditEvent')";
    let index = ["exact", "words", "span"].map(|table| format!("DELETE FROM {table} WHERE {event};")).concat();
    let (code, told) = case.fsck();
    assert_eq!(code, Some(0), "{told}");
    for (change, says) in [
        (case.taken(), "accepts is not there"),
        (format!("{index} DELETE FROM version WHERE {event}; DELETE FROM resource WHERE {event}"), "puts on record is not there"),
        // Whoever notes it without the gateway's key is found out.
        (format!("INSERT INTO emptied VALUES ({leaf}, zeroblob(32)); {}", case.taken()), "was not noted by the gateway"),
        ("DELETE FROM emptied; DELETE FROM severed".to_owned(), "accepts is not there"),
    ] {
        case.change(&change);
        let (code, told) = case.fsck();
        assert_eq!((code, told.contains(says)), (Some(1), true), "{change}: {told}");
        case.put_back();
    }
    // What leaves name is explained by their notes as well, for gateways that noted nothing else.
    let count = |told: String| told.lines().filter(|line| line.contains("is not there")).count();
    case.change("DELETE FROM emptied");
    let without_list = count(case.fsck().1);
    case.change("DELETE FROM severed");
    assert!(count(case.fsck().1) > without_list && without_list > 0);
}

/// The leaves of older gateways name nothing; by them what is gone from an earlier month is erased, as it ever was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_gateways_erasure_explains_what_it_may_have_erased() {
    let at = Instant::from_fhir_instant("2026-07-04T12:00:00Z").unwrap();
    let newer = |canonical| Leaf::new(LeafKind::Erase, at, Tags::default(), [7; 32], canonical);
    let unnamed = |canonical| Leaf { shortens_by_name: false, ..newer(canonical) };
    for older in [unnamed([0; 32]), unnamed([8; 32])] {
        let case = Case::new(vec![older]).await;
        case.change(&case.taken());
        assert_eq!(case.fsck().0, Some(0), "{}", case.fsck().1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_was_changed_is_named_and_so_is_what_no_search_finds() {
    let case = Case::new(Vec::new()).await;
    let (row, name) = (case.row(), format!("Observation/{}", case.record));
    let version = format!("version = 2 AND {row}");
    let older = format!("version = 1 AND {row}");
    for (change, says) in [
        (
            "UPDATE raw SET bytes = zeroblob(length(bytes)) WHERE id = (SELECT max(id) FROM raw)".to_owned(),
            "what was received is not as it came",
        ),
        (format!("DELETE FROM raw WHERE id = (SELECT raw FROM version WHERE {version})"), "was received in is not there"),
        (format!("UPDATE version SET document = replace(document, '13.2', '13.3') WHERE {version}"), "is not as it was stored"),
        (format!("UPDATE version SET document = replace(document, '13.2', '13.3') WHERE {older}"), "is not as it was stored"),
        (format!("UPDATE version SET source = 'hospital-b' WHERE {older}"), "is not as it was stored"),
        (format!("UPDATE version SET at = 'x' WHERE {older}"), "is not as it was stored"),
        ("UPDATE version SET seal = zeroblob(17) WHERE seq = 1".to_owned(), "is not as it was stored"),
        (format!("UPDATE resource SET deleted = 1 WHERE {row}"), "is marked as deleted, and its newest version is not"),
        (format!("UPDATE resource SET at = at + 1 WHERE {row}"), "is said to be of another time"),
        (
            format!("UPDATE resource SET version = 1, current = (SELECT seq FROM version WHERE {older}) WHERE {row}"),
            "another newest version",
        ),
        (format!("UPDATE resource SET current = 999999 WHERE {row}"), "has not the version"),
        (format!("DELETE FROM resource WHERE {row}"), "are of resources that are not there"),
    ] {
        case.change(&change);
        let (code, told) = case.fsck();
        assert_eq!((code, told.contains(says)), (Some(1), true), "{change}: {told}");
        assert!(
            told.contains(&name) || !(says.starts_with("is ") || says.starts_with("was ")) || change.contains("seq = 1"),
            "{change}: {told}"
        );
        case.put_back();
    }
    // A deletion that is said to be none.
    let unmarked = format!("UPDATE resource SET deleted = 1 WHERE id = '{}'", case.patient);
    case.change(&unmarked);
    assert!(case.fsck().1.contains(&format!("Patient/{} is marked as deleted", case.patient)));
    case.put_back();
    // Without the gateway's key it says that it looked at no seal, and finds what needs none; under another one it names that.
    let key = case.data.join("keys/gateway.key");
    let own = std::fs::read(&key).unwrap();
    let leaf_key = case.data.join("leaf.key");
    let gateway = data_encoding::HEXLOWER.decode(String::from_utf8(own.clone()).unwrap().trim().as_bytes()).unwrap();
    std::fs::write(&leaf_key, data_encoding::HEXLOWER.encode(&leaf_secret(&gateway.try_into().unwrap()))).unwrap();
    std::fs::remove_file(&key).unwrap();
    let (code, told) = case.fsck();
    assert_eq!((code, told.contains("seals: not checked")), (Some(0), true), "{told}");
    // Nor does it know then what leaves say, unless it is given their key.
    let unread = ["counters and index: not checked", "what the leaves stand for: not checked"];
    assert!(unread.iter().all(|unread| told.contains(unread)), "{told}");
    let (code, told) = case.fsck_with(&["--leaf-key", leaf_key.to_str().unwrap()]);
    assert_eq!((code, unread.iter().any(|unread| told.contains(unread))), (Some(0), false), "{told}");
    assert!(told.contains("counters and index: "), "{told}");
    case.change(&unmarked);
    assert_eq!(case.fsck().0, Some(1));
    case.put_back();
    std::fs::write(&key, "00".repeat(32)).unwrap();
    let (code, told) = case.fsck();
    assert_eq!((code, told.contains("keys/gateway.key is another")), (Some(1), true), "{told}");
    assert!(told.contains("resources, 1 problems"), "it accuses nothing of what it cannot read: {told}");
    std::fs::write(&key, own).unwrap();
    assert_eq!(case.fsck().0, Some(0));
}

/// Keys that a backup brings back are destroyed again by their labels. Those that were taken away, or put in the place of another, are missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_of_destroyed_keys_that_were_taken_away_are_missed() {
    let case = Case::new(Vec::new()).await;
    for change in [
        "DELETE FROM destroyed WHERE number = (SELECT max(number) FROM destroyed)",
        "DELETE FROM destroyed WHERE number = (SELECT min(number) FROM destroyed)",
        "DELETE FROM destroyed",
        "UPDATE destroyed SET label = randomblob(16) WHERE number = 1",
    ] {
        case.change(change);
        let (code, told) = case.fsck();
        assert_eq!((code, told.contains("labels of destroyed keys")), (Some(1), true), "{change}: {told}");
        case.put_back();
    }
    // Without the gateway's key their number is still told.
    std::fs::remove_file(case.data.join("keys/gateway.key")).unwrap();
    case.change("DELETE FROM destroyed WHERE number = 1");
    assert_eq!(case.fsck().0, Some(1));
    case.put_back();
    assert_eq!(case.fsck().0, Some(0));
}

/// Half of all flipped bits make a text that is none, some make a column of another kind: each is named as what it is in, and ends nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_text_any_more_is_named_and_the_rest_is_looked_at() {
    let case = Case::new(Vec::new()).await;
    let row = case.row();
    for change in [
        format!("UPDATE version SET document = CAST(x'7b22ff' AS TEXT) WHERE version = 2 AND {row}"),
        format!("UPDATE version SET source = CAST(x'ff' AS TEXT) WHERE version = 2 AND {row}"),
        format!("UPDATE version SET leaf = 'x' WHERE version = 1 AND {row}"),
        format!("UPDATE resource SET id = CAST(x'68ff' AS TEXT) WHERE {row}"),
        format!("UPDATE resource SET type = CAST(x'ff' AS TEXT) WHERE {row}"),
        format!("UPDATE resource SET version = 'x' WHERE {row}"),
        "UPDATE words SET value = CAST(x'ff61' AS TEXT) WHERE value = (SELECT min(value) FROM words)".to_owned(),
        format!("UPDATE exact SET key = 'x' WHERE key = (SELECT max(key) FROM exact WHERE {row}) AND {row}"),
        format!("UPDATE span SET high = 'x' WHERE {row}"),
        "UPDATE raw SET digest = 'x' WHERE id = (SELECT max(id) FROM raw)".to_owned(),
        "UPDATE leaf SET entry = 'x' WHERE position = 1".to_owned(),
        "UPDATE tag SET count = 'x' WHERE tag = (SELECT min(tag) FROM tag)".to_owned(),
        "UPDATE emptied SET seal = 'x'".to_owned(),
        "UPDATE severed SET opening = 'x'".to_owned(),
        "UPDATE destroyed SET label = 'x' WHERE number = 1".to_owned(),
    ] {
        case.change(&change);
        // Something else is looked for beyond it.
        case.change("DELETE FROM destroyed WHERE number = 2");
        let (code, told) = case.fsck();
        assert_eq!((code, told.contains("labels of destroyed keys")), (Some(1), true), "{change}: {told}");
        assert!(
            told.lines().filter(|line| line.starts_with("data.db: ")).count() > usize::from(!change.contains("destroyed")),
            "{change}: {told}"
        );
        case.put_back();
    }
}
