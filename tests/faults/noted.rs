//! What the gateway notes beside its records: of erasures, of what it received, of what waits for signatures, and which version is the newest. Whoever can
//! write in the database cannot take a note away, or make one, unseen.

use super::rows::officer;
use crate::support::data::{bundle, creates, observation, patient};
use crate::support::signing::Signer;
use crate::support::world::{OFFICER, Setup};
use crate::support::{AtRest, Call, World};
use rusqlite::Connection;
use serde_json::json;

/// What the laboratory sends of observations waits for another's signature.
const RULE: &str = r#"
[source.laboratory.sign_off]
types = ["Observation"]
quorum = 1
within_s = 3600

[[source.laboratory.sign_off.party]]
role = "ordering clinician"
clients = ["hospital-a"]
"#;

/// A record that was corrected, and one that was another's before.
struct Noted {
    corrected: String,
    moved: String,
    /// The seal that the first version of what was corrected had while it was the newest.
    seal: Vec<u8>,
}

fn setup() -> Setup {
    Setup::configured(format!("{RULE}{OFFICER}")).prepared(|folder| Signer::new("clinician-signs").register(folder, "hospital-a"))
}

/// Somebody was erased of whom a record was before it was corrected to be another's, and with whom one came in the same Bundle as another's.
async fn noted(world: &World) -> Noted {
    let (a, laboratory) = (world.party("hospital-a").await, world.party("laboratory").await);
    let (here, gone) = (a.create(&patient("1")).await, a.create(&patient("2")).await);
    let (here, gone) = (format!("Patient/{here}"), format!("Patient/{gone}"));
    let (corrected, moved) = (a.create(&observation(&here)).await, a.create(&observation(&gone)).await);
    let seal = seal_of(world, &corrected);
    let put = async |id: &str, status: &str| {
        let mut next = observation(&here);
        (next["id"], next["status"]) = (json!(id), json!(status));
        a.put(&format!("Observation/{id}"), &next).await.expect(200);
    };
    put(&corrected, "corrected").await;
    put(&moved, "corrected").await;
    let both = [&here, &gone].into_iter().enumerate();
    let entries =
        both.map(|(number, of)| creates(&format!("urn:uuid:0000000{number}-0000-4000-8000-000000000000"), observation(of))).collect();
    a.post("", &bundle("transaction", entries)).await.expect(200);
    for _ in 0..2 {
        laboratory.post("Observation", &observation(&here)).await.expect(202);
    }
    officer(world).await.call(Call::new("POST", &format!("{gone}/$erase"))).await.expect(200);
    Noted { corrected, moved, seal }
}

fn seal_of(world: &World, id: &str) -> Vec<u8> {
    let sql = "SELECT v.seal FROM version v JOIN resource r ON r.rid = v.rid WHERE r.id = ? AND v.version = 1";
    Connection::open(world.data().join("data.db")).unwrap().query_row(sql, [id], |row| row.get(0)).unwrap()
}

/// Takes every row of a resource away.
fn taken(rid: &str) -> String {
    let index = ["exact", "words", "span"].map(|table| format!("DELETE FROM {table} WHERE rid = {rid};")).concat();
    format!("{index} DELETE FROM version WHERE rid = {rid}; DELETE FROM resource WHERE rid = {rid};")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_note_that_was_taken_away_or_made_is_named() {
    let world = setup().start().await;
    let Noted { corrected, moved, .. } = noted(&world).await;
    let at_rest = AtRest::of(world).await;
    for (table, least) in [("erased", 1), ("pending", 2), ("unopened", 1), ("severed", 1), ("raw WHERE length(bytes) = 0", 1)] {
        assert!(at_rest.asked(&format!("SELECT count(*) FROM {table}")) >= least, "{table}");
    }
    // A version's Provenance: its leaf commits to it.
    let stated = |of: &str| {
        format!(
            "(SELECT r.rid FROM resource r JOIN version v ON v.rid = r.rid WHERE r.type = 'Provenance' AND instr(v.document, '\"Observation/{of}/_history/2\"') > 0)"
        )
    };
    let of = format!("CREATE TEMP TABLE one AS SELECT {} AS rid;", stated(&corrected));
    at_rest
        .check(&format!("{of} {}", taken("(SELECT rid FROM temp.one)")), &format!("leaf of Observation/{corrected}/_history/2 commits to"));
    // Versions that were erased while their record stayed.
    at_rest.check("DELETE FROM erased", &format!("versions of Observation/{moved} are not there, and not noted as erased"));
    let added = format!("INSERT INTO erased SELECT rid, 1, zeroblob(32) FROM resource WHERE id = '{corrected}'");
    at_rest.check(&added, &format!("that Observation/{corrected} version 1 was erased was not noted by the gateway"));
    at_rest.check("UPDATE erased SET seal = zeroblob(32)", "was erased was not noted by the gateway");
    at_rest.check("INSERT INTO erased VALUES (999999, 1, zeroblob(32))", "was erased was not noted by the gateway");
    // Submissions that were acknowledged, and wait.
    for change in [
        "DELETE FROM pending",
        "DELETE FROM pending WHERE id = (SELECT min(id) FROM pending)",
        "DELETE FROM pending; DELETE FROM tally",
        "DELETE FROM pending; UPDATE tally SET count = 0, sum = zeroblob(32)",
        "UPDATE tally SET count = 'x'",
        "UPDATE pending SET id = 'x', seal = seal WHERE id = (SELECT min(id) FROM pending)",
    ] {
        let is_moved = change.contains("SET id");
        at_rest.check(
            change,
            if is_moved { "the waiting submission x is not as" } else { "submissions that wait or waited for signatures are not all" },
        );
    }
    at_rest.check("UPDATE pending SET open = 0", "is not as it was stored");
    // What was received, emptied as an erasure empties it.
    let body = format!("id = (SELECT raw FROM version v JOIN resource r ON r.rid = v.rid WHERE r.id = '{corrected}' AND v.version = 2)");
    for digest in ["zeroblob(32)", "(SELECT digest FROM raw WHERE length(bytes) = 0)"] {
        at_rest.check(&format!("UPDATE raw SET bytes = x'', digest = {digest} WHERE {body}"), "what was received is not as it came");
    }
    // What opens leaves that erase, moved to those that nothing opens.
    let moved = "INSERT OR IGNORE INTO unopened (commitment, seal) SELECT commitment, zeroblob(32) FROM severed; DELETE FROM severed";
    at_rest.check(moved, "was not noted by the gateway");
    assert_eq!(at_rest.fsck().0, Some(0));
}

/// Data of before there were these seals has them from the first start on, and once only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_data_is_sealed_once() {
    let world = setup().start().await;
    let Noted { corrected, moved, seal } = noted(&world).await;
    let seal = data_encoding::HEXLOWER.encode(&seal);
    let at_rest = AtRest::of(world).await;
    let older = format!(
        "ALTER TABLE unopened DROP COLUMN seal; DROP TABLE tally;
         UPDATE raw SET digest = zeroblob(32) WHERE length(bytes) = 0;
         UPDATE version SET seal = x'{seal}' WHERE version = 1 AND rid = (SELECT rid FROM resource WHERE id = '{corrected}');
         PRAGMA user_version = 14;"
    );
    at_rest.change(&older);
    let keys = at_rest.data.join("keys/keys.db");
    Connection::open(&keys).unwrap().execute_batch("DELETE FROM filled").unwrap();
    // It is looked at as it is, also before a newer gateway opens it.
    let (code, told) = at_rest.fsck();
    assert_eq!(code, Some(0), "{told}");
    let at_rest = AtRest::of(at_rest.start().await).await;
    let first = format!("rid = (SELECT rid FROM resource WHERE id = '{corrected}') AND version = 1");
    assert_eq!(at_rest.asked(&format!("SELECT seal = x'{seal}' FROM version WHERE {first}")), 0);
    at_rest.check("DELETE FROM pending", "are not all there");
    at_rest.check("UPDATE unopened SET seal = x''", "was not noted by the gateway");
    at_rest.check("DELETE FROM erased", &moved);
    // What is unsealed from then on was not left by an older gateway, whoever starts on it.
    at_rest.change("UPDATE unopened SET seal = x''; DELETE FROM pending; DELETE FROM tally; INSERT INTO filling VALUES ('notes')");
    let (_, told) = AtRest::left_by(at_rest.start().await).await.fsck();
    assert!(told.contains("are not all there") && told.contains("was not noted by the gateway"), "{told}");
}

/// A gateway that shows one of twelve patients that were asked for, and keeps the acts about eight back; with their ids.
async fn keeping_back() -> (AtRest, Vec<String>) {
    let world = Setup::configured(OFFICER).with(|settings| settings.ledger.grows_by = 4).start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let mut ids = Vec::new();
    for number in 0..12 {
        ids.push(a.create(&patient(&number.to_string())).await);
    }
    b.get(&format!("Patient?_id={}", ids.join(","))).await.expect(200);
    world.running.store.settle().await.unwrap();
    let at_rest = AtRest::of(world).await;
    assert_eq!(at_rest.asked("SELECT count(*) FROM held"), 8, "one is counted, three have room");
    (at_rest, ids)
}

/// Acts that are kept back from the log are on record: one that is taken away, or is another, is missed; and they come to their places after a start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acts_that_are_kept_back_are_missed() {
    let (at_rest, ids) = keeping_back().await;
    at_rest.check("DELETE FROM held WHERE number = (SELECT max(number) FROM held)", "in the log yet are not all there");
    at_rest.check("UPDATE held SET draft = x'00' WHERE number = (SELECT min(number) FROM held)", "in the log yet, is not as it was stored");
    at_rest.check(
        "UPDATE held SET patient = zeroblob(32) WHERE number = (SELECT min(number) FROM held)",
        "in the log yet, is not as it was stored",
    );
    let world = at_rest.start().await;
    let oversight = world.party("health-department").await;
    for id in &ids {
        let trail = oversight.get(&format!("Patient/{id}/$provenance-trail")).await.expect(200).text();
        assert_eq!(trail.matches("{\"type\":\"withheld\"").count(), 1);
    }
    let at_rest = AtRest::of(world).await;
    assert_eq!(at_rest.asked("SELECT count(*) FROM held"), 0);
    assert_eq!(at_rest.fsck().0, Some(0));
}

/// Acts kept back that are not as they were stored stand in nobody's way but those they are about: without them nobody is told that a trail is whole. They go
/// where their patients are erased.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_acts_are_passed_over_and_go_with_their_patients() {
    let (at_rest, ids) = keeping_back().await;
    let nth = |number: u32| format!("(SELECT number FROM held ORDER BY number LIMIT 1 OFFSET {number})");
    at_rest.change(&format!("UPDATE held SET draft = x'00' WHERE number = {}", nth(0)));
    at_rest.change(&format!("UPDATE held SET patient = zeroblob(32) WHERE number = {}", nth(1)));
    let world = at_rest.start().await;
    let oversight = world.party("health-department").await;
    let mut refused = Vec::new();
    for id in &ids {
        let trail = oversight.get(&format!("Patient/{id}/$provenance-trail")).await;
        match trail.status {
            500 => refused.push(id),
            _ => assert_eq!(trail.expect(200).text().matches("{\"type\":\"withheld\"").count(), 1),
        }
    }
    assert_eq!(refused.len(), 2);
    // The others have come to their places, though those that did not stand before them.
    let at_rest = AtRest::left_by(world).await;
    assert_eq!(at_rest.asked("SELECT count(*) FROM held"), 2);
    let world = at_rest.start().await;
    let officer = officer(&world).await;
    for id in refused {
        officer.call(Call::new("POST", &format!("Patient/{id}/$erase"))).await.expect(200);
    }
    let at_rest = AtRest::of(world).await;
    assert_eq!(at_rest.asked("SELECT count(*) FROM held"), 0);
    assert_eq!(at_rest.fsck().0, Some(0));
}
