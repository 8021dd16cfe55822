//! Many at once where only one may win.

use crate::support::data::{MRN, patient};
use crate::support::{Answer, Call, Party, World};
use futures_util::future::join_all;
use serde_json::json;

/// How many do the same thing at once.
const RACERS: usize = 200;

async fn race(party: &Party, call: impl Fn(usize) -> Call) -> Vec<Answer> {
    let runners = (0..RACERS).map(|number| {
        let (party, call) = (party.clone(), call(number));
        tokio::spawn(async move { party.call(call).await })
    });
    join_all(runners).await.into_iter().map(Result::unwrap).collect()
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_condition_makes_one_resource() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let criteria = format!("identifier={MRN}|1");
    let answers = race(&a, |_| Call::post("Patient", &patient("1")).header("if-none-exist", &criteria)).await;
    assert_eq!((count(&answers, 201), count(&answers, 200)), (1, RACERS - 1));
    let first = answers[0].header("location").unwrap();
    assert!(answers.iter().all(|answer| answer.header("location") == Some(first)), "everybody is told of the same resource");
    assert_eq!(a.search(&format!("Patient?{criteria}")).await.len(), 1);
    assert_eq!(a.get("Patient/_history").await.json()["entry"].as_array().unwrap().len(), 1, "no second version either");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_version_is_changed_by_one() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let created = a.post("Patient", &patient("1")).await.expect(201).json();
    let here = format!("Patient/{}", created["id"].as_str().unwrap());
    let answers = race(&a, |number| {
        let mut changed = created.clone();
        changed["name"][0]["given"] = json!([format!("Ada{number}")]);
        Call::put(&here, &changed).header("if-match", "W/\"1\"")
    })
    .await;
    assert_eq!((count(&answers, 200), count(&answers, 412)), (1, RACERS - 1));
    let winner = answers.iter().find(|answer| answer.status == 200).unwrap().json();
    assert_eq!(a.get(&here).await.expect(200).json(), winner);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_id_grows_one_version_at_a_time() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    // Without If-Match the last one wins, but every acknowledged change has a version of its own.
    let answers = race(&a, |number| {
        let mut mine = patient(&number.to_string());
        mine["id"] = json!("p1");
        Call::put("Patient/p1", &mine)
    })
    .await;
    let mut versions: Vec<u32> = answers
        .iter()
        .filter(|answer| matches!(answer.status, 200 | 201))
        .map(|answer| answer.json()["meta"]["versionId"].as_str().unwrap().parse().unwrap())
        .collect();
    versions.sort_unstable();
    let wanted: Vec<u32> = (1..=u32::try_from(versions.len()).unwrap()).collect();
    assert_eq!(versions, wanted);
    assert_eq!(count(&answers, 201), 1);
    // Who was overtaken too often is told to try again, and nothing of it was done.
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 201 | 503)));
    let current = a.get("Patient/p1").await.expect(200).json();
    assert_eq!(current["meta"]["versionId"], json!(versions.len().to_string()));
}
