//! The 48 ways in which a record that may not be seen could still be told of, tried on a running gateway.
//!
//! `table` lists them; `scene` is what was sent; `twins` asks two gateways the same, one with the hidden records and one without them, and
//! compares status, headers, length, body and time. What cannot be asked so is a story of its own. The table in the README is made of the
//! same list: `HEARTHGATE_README=update cargo test --test gateway leaks`.

mod scene;
mod stories;
mod table;
mod twins;

use std::fmt::Write as _;
use std::path::Path;
use table::{Leak, Shown, leaks};
use twins::{Probe, Twins};

/// How often each question is put to both; `HEARTHGATE_LEAK_RUNS` asks for more.
const RUNS: usize = 3;
/// Where the table stands in the README.
const MARKS: (&str, &str) = ("<!-- the 48 leaks: begin -->\n", "<!-- the 48 leaks: end -->\n");

fn runs() -> usize {
    std::env::var("HEARTHGATE_LEAK_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_do_not_tell_what_is_hidden_from_what_is_absent() {
    let twins = Twins::anchoring_at_once().await;
    let mut found = String::new();
    for leak in leaks() {
        for shown in &leak.shown {
            match shown {
                Shown::Alike(probes) => compare(&twins, &leak, &probes(), &mut found).await,
                Shown::Refused(probes) => refused(&twins, &leak, &probes(), &mut found).await,
                Shown::Told(_) => {}
            }
        }
    }
    assert!(found.is_empty(), "{found}");
}

async fn compare(twins: &Twins, leak: &Leak, probes: &[Probe], found: &mut String) {
    let mut could_tell = false;
    for probe in probes {
        if let Some(difference) = twins.tell_apart(probe, runs()).await {
            let _ = writeln!(found, "leak {} ({}): {difference}", leak.number, leak.way);
        }
        could_tell |= twins.tells_sender(probe).await;
    }
    if !could_tell && !leak.is_the_same_for_all() {
        let _ = writeln!(found, "leak {} ({}): no question has anything to hide", leak.number, leak.way);
    }
}

async fn refused(twins: &Twins, leak: &Leak, probes: &[Probe], found: &mut String) {
    for probe in probes {
        let statuses = twins.statuses(probe).await;
        if !statuses.iter().all(|status| (400..=501).contains(status) && *status != 500) {
            let _ = writeln!(found, "leak {}: {} is offered: {statuses:?}", leak.number, probe.path);
        }
        if let Some(difference) = twins.tell_apart(probe, 1).await {
            let _ = writeln!(found, "leak {}: {difference}", leak.number);
        }
    }
}

#[test]
fn all_are_listed_and_the_readme_says_so() {
    let leaks = leaks();
    assert!(leaks.iter().map(|leak| leak.number).eq(1..=48), "each once, in order");
    assert!(leaks.iter().all(|leak| !leak.shown.is_empty()), "each is shown");
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&readme).unwrap();
    let table = told(&leaks);
    let between = text.split_once(MARKS.0).and_then(|(before, rest)| Some((before, rest.split_once(MARKS.1)?)));
    let Some((before, (shown, after))) = between else {
        println!("the README has no place for the table: {}{}", MARKS.0, MARKS.1);
        return;
    };
    if std::env::var_os("HEARTHGATE_README").is_some_and(|wish| wish == "update") {
        std::fs::write(&readme, format!("{before}{}{table}{}{after}", MARKS.0, MARKS.1)).unwrap();
    } else {
        assert_eq!(shown, table, "HEARTHGATE_README=update writes it");
    }
}

/// The table of the README.
fn told(leaks: &[Leak]) -> String {
    let mut table = "| | What could tell of a hidden record | What the gateway does | Shown by |\n|---|---|---|---|\n".to_owned();
    for leak in leaks {
        let questions = |probes: fn() -> Vec<Probe>| probes().len();
        let shown: Vec<String> = leak
            .shown
            .iter()
            .map(|shown| match shown {
                Shown::Alike(probes) => format!("{} questions to twins", questions(*probes)),
                Shown::Refused(probes) => format!("{} refusals", questions(*probes)),
                Shown::Told(story) => format!("`{story}`"),
            })
            .collect();
        let _ = writeln!(table, "| {} | {} | {} | {} |", leak.number, leak.way, leak.closed_by, shown.join(", "));
    }
    table
}
