//! The shape of the code: which room may use which, and what stands in none of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The rooms from the ground up. A room uses rooms below it, and of its own layer only such as do not lead back.
const LAYERS: [&[&str]; 8] = [
    &["outcome", "fhir", "clock", "ledger", "sign", "killpoint"],
    &["definitions", "packages", "config", "search", "store", "registry", "identity", "audit"],
    &["intake", "normalise", "normalised", "validate", "validated", "anchor", "consent", "forward", "evidence", "person", "terminology"],
    &["problem", "worklist"],
    &["pipeline", "query", "trail"],
    &["api"],
    &["wire"],
    &["demo", "command"],
];

/// The longest file.
const MAX_LINES: usize = 700;
/// How far above an exception the reason for it may stand.
const REASON_WITHIN_LINES: usize = 6;

/// A source file without comments and tests, and the room it belongs to.
struct Source {
    path: PathBuf,
    room: String,
    lines: Vec<String>,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut pending, mut found) = (vec![root.clone()], Vec::new());
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                pending.extend((name != "tests").then_some(path));
            } else if name.ends_with(".rs") && !matches!(name.as_str(), "tests.rs" | "laws.rs") {
                found.push(source(&root, path));
            }
        }
    }
    assert!(found.len() > 100, "{} files", found.len());
    found
}

fn source(root: &Path, path: PathBuf) -> Source {
    let text = std::fs::read_to_string(&path).unwrap();
    let tests = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..tests].lines().map(|line| without_comment(line).to_owned()).collect();
    let relative = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
    // Two stages live beside the rules they apply, and are rooms of their own.
    let room = match relative.as_str() {
        "normalise/stage.rs" => "normalised".to_owned(),
        "validate/stage.rs" => "validated".to_owned(),
        other => other.split('/').next().unwrap().trim_end_matches(".rs").to_owned(),
    };
    Source { path: relative.into(), room, lines }
}

fn without_comment(line: &str) -> &str {
    let code = line.trim_start();
    if code.starts_with("//") { "" } else { line }
}

/// Each room with the rooms it names, and a file that does.
fn arrows() -> BTreeMap<String, BTreeMap<String, PathBuf>> {
    let mut arrows: BTreeMap<String, BTreeMap<String, PathBuf>> = BTreeMap::new();
    for source in sources() {
        for line in &source.lines {
            for rest in line.split("crate::").skip(1) {
                let named: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                if !named.is_empty() && named != source.room {
                    arrows.entry(source.room.clone()).or_default().insert(named, source.path.clone());
                }
            }
        }
    }
    arrows
}

fn layer(room: &str) -> usize {
    LAYERS.iter().position(|layer| layer.contains(&room)).unwrap_or_else(|| panic!("the room '{room}' is in no layer"))
}

#[test]
fn arrows_between_rooms_point_down() {
    let mut upward = Vec::new();
    for (room, named) in arrows().iter().filter(|(room, _)| !matches!(room.as_str(), "lib" | "main")) {
        for (other, file) in named {
            if layer(other) > layer(room) {
                upward.push(format!("{room} → {other} in {}", file.display()));
            }
        }
    }
    assert!(upward.is_empty(), "{upward:#?}");
}

#[test]
fn rooms_do_not_lead_back_to_themselves() {
    let arrows = arrows();
    for room in arrows.keys() {
        let (mut reached, mut pending) = (BTreeSet::new(), vec![room.as_str()]);
        while let Some(from) = pending.pop() {
            for to in arrows.get(from).into_iter().flatten().map(|(to, _)| to.as_str()) {
                assert_ne!(to, room, "{room} leads back to itself through {from}");
                if reached.insert(to) {
                    pending.push(to);
                }
            }
        }
    }
}

#[test]
fn ground_rooms_stand_alone() {
    for (room, allowed) in [
        ("ledger", &["killpoint"][..]),
        ("clock", &[]),
        ("outcome", &[]),
        ("fhir", &["clock", "outcome"]),
        ("sign", &["clock", "fhir", "outcome"]),
    ] {
        let named: Vec<String> = arrows().remove(room).unwrap_or_default().into_keys().collect();
        assert!(named.iter().all(|other| allowed.contains(&other.as_str())), "{room} uses {named:?}");
    }
}

#[test]
fn nothing_is_unwrapped_without_a_reason() {
    let mut bare = Vec::new();
    for source in sources() {
        for (number, line) in source.lines.iter().enumerate() {
            let unwraps =
                line.contains(".unwrap()") || line.contains(".expect(\"") || line.contains("panic!(") || line.contains("unreachable!(");
            let above = &source.lines[number.saturating_sub(REASON_WITHIN_LINES)..number];
            if unwraps && !above.iter().any(|line| line.contains("#[expect(")) {
                bare.push(format!("{}:{}: {}", source.path.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(bare.is_empty(), "{bare:#?}");
}

#[test]
fn time_and_chance_come_from_the_clock_room() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.room != "clock") {
        for (number, line) in source.lines.iter().enumerate() {
            let ambient = ["SystemTime::now", "Timestamp::now", "Zoned::now", "rand::rng(", "rand::random", "thread_rng", "OsRng"];
            if ambient.iter().any(|call| line.contains(call)) {
                found.push(format!("{}:{}: {}", source.path.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_file_is_too_long_to_read() {
    let long: Vec<String> = sources()
        .iter()
        .map(|source| (std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(&source.path)).unwrap(), source))
        .filter(|(text, _)| text.lines().count() > MAX_LINES)
        .map(|(text, source)| format!("{}: {} lines", source.path.display(), text.lines().count()))
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

/// What decides is plain: it waits for nothing, asks no clock, opens nothing and logs nothing.
#[test]
fn deciding_code_only_decides() {
    let deciding = [
        "sign",
        "consent",
        "normalise",
        "normalised",
        "validate",
        "validated",
        "search",
        "fhir",
        "definitions",
        "problem",
        "outcome",
        "worklist",
        "person",
    ];
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| deciding.contains(&source.room.as_str())) {
        // Making a package and compiling one are commands, not decisions.
        if source.path.starts_with("definitions/trim")
            || source.path.starts_with("definitions/compile")
            || source.path.ends_with("packages.rs")
        {
            continue;
        }
        for (number, line) in source.lines.iter().enumerate() {
            let acts = ["async fn", ".await", "tracing::", "std::fs", "tokio::", "reqwest::", "rusqlite::", "clock.now()", "metrics::"];
            if acts.iter().any(|act| line.contains(act)) {
                found.push(format!("{}:{}: {}", source.path.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
