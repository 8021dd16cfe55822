//! Accountings whose entries are what their leaves commit to, and such that are not.

use super::super::tests::{KEY, Log, SUBJECT, at, of_older, shortening};
use super::*;
use crate::anchor::{LeafKind, Severed, Tags, accounting_commitment, accounting_key, without_entity};
use crate::audit;
use crate::fhir::Object;

/// The patient's disclosures.
const TOLD: [u64; 4] = [0, 2, 4, 6];

fn event(number: u64) -> Node {
    let text = format!(
        r#"{{"resourceType":"AuditEvent","id":"e{number}","recorded":"{}","purposeOfEvent":[{{"coding":[{{"code":"TREAT"}}]}}],
        "agent":[{{"type":{{"coding":[{{"code":"CST"}}]}},"who":{{"display":"Hospital B"}},"requestor":false}}],
        "entity":[{{"what":{{"reference":"{SUBJECT}"}}}},{{"what":{{"reference":"Group/g"}}}},{{"what":{{"reference":"Consent/c/_history/1"}}}}]}}"#,
        at().to_fhir_instant()
    );
    json::parse(text.as_bytes(), usize::MAX).unwrap()
}

fn told_key() -> [u8; 32] {
    accounting_key(&KEY)
}

/// A log of which these leaves commit to what is told of them.
fn log(committing: &[u64]) -> Log {
    Log::telling(|number| if committing.contains(&number) { commitment(number) } else { [0; 32] })
}

fn commitment(number: u64) -> [u8; 32] {
    accounting_commitment(&told_key(), &audit::Told::of(&event(number), SUBJECT))
}

/// What an accounting is made of, before it is written.
struct Made {
    log: Log,
    events: BTreeMap<u64, Node>,
    keys: BTreeMap<u64, [u8; 32]>,
    erasure: Option<u64>,
    /// A leaf of the patient's that erases, and what opens it.
    eraser: Option<(u64, Option<Severed>)>,
    /// What its own link asks for.
    asked: Option<String>,
}

impl Made {
    fn of(log: Log) -> Made {
        let keys = TOLD.into_iter().map(|number| (number, told_key())).collect();
        Made {
            log,
            events: TOLD.into_iter().map(|number| (number, event(number))).collect(),
            keys,
            erasure: None,
            eraser: None,
            asked: None,
        }
    }

    fn check(&self) -> Account {
        verify_accounting(json::write(&self.bundle()).as_bytes(), &self.log.policy(), &Kept::default())
    }

    fn bundle(&self) -> Node {
        let entry = |url: String, resource: Node| Node::from(Object::new().with("fullUrl", url).with("resource", resource));
        let binary = |url: String, data: &[u8]| entry(url, Object::resource("Binary").with("data", BASE64.encode(data)).into());
        let proof = |position: u64| self.log.told_proof(position, self.keys.get(&position));
        let mut entries = vec![
            binary("urn:hearthgate:completeness".to_owned(), &serde_json::to_vec(&self.log.completeness()).unwrap()),
            binary("urn:hearthgate:leaf:10".to_owned(), proof(10).as_bytes()),
        ];
        entries.extend(self.erasure.map(|position| binary("urn:hearthgate:erasure".to_owned(), proof(position).as_bytes())));
        for position in [0, 2, 4, 6, 8] {
            let event = self.events.get(&position).cloned();
            entries.extend(event.map(|event| entry(format!("urn:hearthgate:disclosure:{position}"), event)));
            entries.push(binary(format!("urn:hearthgate:leaf:{position}"), proof(position).as_bytes()));
        }
        if let Some((position, severed)) = &self.eraser {
            let proof = self.log.erasing_proof(*position, severed.as_ref());
            entries.push(binary(format!("urn:hearthgate:leaf:{position}"), proof.as_bytes()));
        }
        let link = self.asked.as_ref().map(|url| vec![Node::from(Object::new().with("relation", "self").with("url", url.as_str()))]);
        Object::resource("Bundle").with_some("link", link).with("entry", entries).into()
    }

    fn change(&mut self, change: impl FnOnce(&mut Object)) {
        change(self.events.get_mut(&4).unwrap().as_object_mut().unwrap());
    }

    /// Puts something in the place of what the second entity of the event is.
    fn replace(&mut self, other: impl FnOnce(&Node) -> Node) {
        self.replace_at(1, other);
    }

    fn replace_at(&mut self, number: usize, other: impl FnOnce(&Node) -> Node) {
        self.change(|event| {
            let entities = event.get_mut("entity").unwrap().as_list_mut().unwrap();
            entities[number] = other(&entities[number]);
        });
    }
}

#[test]
fn entries_are_opened_by_leaves_that_commit_to_them() {
    for (committing, opened, is_sound) in
        [(&TOLD[..], 4, true), (&[], 0, true), (&[4, 6], 2, true), (&[0], 1, false), (&[0, 4, 6], 3, false)]
    {
        let account = Made::of(log(committing)).check();
        assert_eq!((account.opened, account.unopened, account.shortened), (opened, 4 - opened, 0), "{committing:?}");
        assert_eq!(account.report.problems.is_empty(), is_sound, "{committing:?}: {:?}", account.report.problems);
    }
}

#[test]
fn an_entry_that_was_altered_does_not_open_its_leaf() {
    let parse = |text: &str| json::parse(text.as_bytes(), usize::MAX).unwrap();
    type Change = (&'static str, fn(&mut Made));
    let changes: [Change; 12] = [
        ("who", |made| made.change(|event| event.set("agent", event_with("Hospital B", "Hospital C", "agent")))),
        ("nobody", |made| made.change(|event| drop(event.remove("agent")))),
        ("when", |made| made.change(|event| event.set("recorded", "2026-01-01T00:00:00Z"))),
        ("why", |made| made.change(|event| event.set("purposeOfEvent", event_with("TREAT", "HRESCH", "purposeOfEvent")))),
        ("consent", |made| made.change(|event| event.set("entity", event_with("Consent/c/", "Consent/d/", "entity")))),
        ("nothing", |made| made.change(|event| drop(event.remove("entity")))),
        ("which", |made| made.change(|event| event.set("id", "e2"))),
        ("more than is committed to", |made| made.change(|event| event.set("outcomeDesc", "all is well"))),
        ("a person", |made| made.change(|event| event.set("entity", with_another(event.get("entity").unwrap())))),
        ("another's key", |made| {
            made.keys.insert(4, accounting_key(&[1; 32]));
        }),
        ("the record's key", |made| {
            made.keys.insert(4, KEY);
        }),
        ("no key", |made| {
            made.keys.remove(&4);
        }),
    ];
    for (what, change) in changes {
        let mut made = Made::of(log(&TOLD));
        change(&mut made);
        let account = made.check();
        assert!(matches!(&account.report.problems[..], [only] if only.starts_with("entry 4 is not what")), "{what}: {account:?}");
        assert_eq!(account.opened, 3, "{what}");
        // Of a leaf that does not commit to it, nobody can tell.
        let mut older = Made::of(log(&[]));
        change(&mut older);
        assert_eq!(older.check().report.problems, Vec::<String>::new(), "{what}");
    }
    let mut other = Made::of(log(&TOLD));
    other.replace(|_| parse(r#"{"what":{"reference":"Group/h"}}"#));
    assert_eq!(other.check().opened, 3);
}

/// An element of an event that says something else.
fn event_with(said: &str, instead: &str, element: &str) -> Node {
    let text = json::write(&event(4)).replace(said, instead);
    json::parse(text.as_bytes(), usize::MAX).unwrap().get(element).unwrap().clone()
}

fn with_another(entities: &Node) -> Node {
    let another: Node = Object::new().with("what", Object::new().with("reference", "Patient/q")).into();
    let entities: Vec<Node> = entities.as_list().unwrap().iter().cloned().chain([another]).collect();
    entities.into()
}

/// What led to an erased person goes, and the rest still opens; that it went is borne out by an erasure that came later, and by nothing else. So it was before
/// leaves named what was shortened.
#[test]
fn what_was_erased_from_an_entry_is_borne_out_by_the_log() {
    let erased = |erasure: Option<u64>| {
        let mut made = Made::of(Log::of_older(commitment));
        for record in [None, Some("Patient/q")] {
            let tags = Tags { record: record.map(|_| crate::ledger::index::Tag([3; 16])), ..Tags::default() };
            made.log.append(of_older(Leaf::new(LeafKind::Erase, at(), tags, [0; 32], [0; 32])).encode());
        }
        made.replace(|entity| without_entity(&KEY, entity));
        made.erasure = erasure;
        made.check()
    };
    let account = erased(Some(11));
    assert_eq!(account.report.problems, Vec::<String>::new());
    assert_eq!((account.opened, account.shortened), (3, 1));
    for (erasure, said) in [(None, "nothing in the log bears that out"), (Some(2), "it proves no erasure")] {
        let problems = erased(erasure).report.problems;
        assert!(problems.iter().any(|problem| problem.contains(said)), "{erasure:?}: {problems:?}");
    }
    // Of whom it tells is never what led to somebody else.
    let mut nobodys = Made::of(Log::of_older(commitment));
    nobodys.log.append(of_older(Leaf::new(LeafKind::Erase, at(), Tags::default(), [0; 32], [0; 32])).encode());
    nobodys.erasure = Some(11);
    nobodys.replace_at(0, |entity| without_entity(&KEY, entity));
    assert!(matches!(&nobodys.check().report.problems[..], [only] if only.starts_with("entry 4 says no more of whom it is")));
    let mut forged = Made::of(log(&TOLD));
    forged.replace(|entity| without_entity(&[1; 32], entity));
    assert!(forged.check().report.problems.iter().any(|problem| problem.starts_with("entry 4 is not what")));
}

/// After one erasure, only the entries lack something that a leaf of the patient's names.
#[test]
fn what_was_erased_from_an_entry_is_named_by_a_leaf() {
    let (named, others) = (shortening(&[4]), shortening(&[2]));
    for (severed, opening, is_sound) in [
        (Some(&named), Some(&named), true),
        (Some(&others), Some(&others), false),
        (Some(&others), Some(&named), false),
        (Some(&named), None, false),
        (None, None, false),
    ] {
        let mut made = Made::of(log(&TOLD));
        made.replace(|entity| without_entity(&KEY, entity));
        made.eraser = Some((made.log.erase(severed, |leaf| leaf), opening.cloned()));
        // An erasure that is somebody else's bears out nothing, whatever gateway wrote it.
        made.erasure = Some(made.log.erase(None, of_older));
        let account = made.check();
        assert_eq!(account.report.problems.is_empty(), is_sound, "{severed:?} {opening:?}: {:?}", account.report.problems);
        assert_eq!(account.report.shortened.len(), usize::from(is_sound));
    }
}

#[test]
fn an_accounting_tells_of_its_subject_from_a_time_it_is_complete_from() {
    for (asked, is_sound) in [
        (format!("{SUBJECT}/$disclosures?_since=2020-01-01T00:00:00Z"), true),
        (format!("{SUBJECT}/$disclosures?_since=2099-01-01T00:00:00Z"), false),
        ("Patient/q/$disclosures?_since=2020-01-01T00:00:00Z".to_owned(), false),
    ] {
        let account = Made { asked: Some(asked.clone()), ..Made::of(log(&TOLD)) }.check();
        assert_eq!(account.report.problems.is_empty(), is_sound, "{asked}: {:?}", account.report.problems);
    }
}

/// Whoever hands an accounting on can narrow it; who asked for it knows since when.
#[test]
fn an_accounting_tells_since_it_was_asked_for() {
    let made = Made { asked: Some(format!("{SUBJECT}/$disclosures?_since=2020-01-01T00:00:00Z")), ..Made::of(log(&TOLD)) };
    for (since, is_sound) in [("2020-01-01T00:00:00Z", true), ("2024-01-01T00:00:00Z", true), ("2019-12-31T23:59:59Z", false)] {
        let kept = Kept { asked_since: Instant::from_fhir_instant(since), ..Kept::default() };
        let account = verify_accounting(json::write(&made.bundle()).as_bytes(), &made.log.policy(), &kept);
        assert_eq!(account.report.problems.is_empty(), is_sound, "{since}: {:?}", account.report.problems);
    }
}

/// What stands beside what is proved might be believed with it.
#[test]
fn an_accounting_says_nothing_that_nothing_proves() {
    let made = Made::of(log(&TOLD));
    let check = |change: &dyn Fn(&mut Object)| {
        let mut bundle = made.bundle();
        change(bundle.as_object_mut().unwrap());
        verify_accounting(json::write(&bundle).as_bytes(), &made.log.policy(), &Kept::default()).report.problems
    };
    assert_eq!(check(&|_| ()), Vec::<String>::new());
    let of_entry = |number: usize, member: &'static str, bundle: &mut Object| {
        let entry = &mut bundle.get_mut("entry").unwrap().as_list_mut().unwrap()[number];
        entry.as_object_mut().unwrap().set(member, "said");
    };
    let of_proof = |bundle: &mut Object| {
        let entry = &mut bundle.get_mut("entry").unwrap().as_list_mut().unwrap()[0];
        entry.as_object_mut().unwrap().get_mut("resource").unwrap().as_object_mut().unwrap().set("text", "said");
    };
    let changes: [&dyn Fn(&mut Object); 4] = [
        &|bundle| bundle.set("meta", "said"),
        &|bundle| of_entry(2, "response", bundle),
        &|bundle| of_entry(0, "search", bundle),
        &of_proof,
    ];
    for change in changes {
        let problems = check(change);
        assert!(problems.len() == 1 && problems[0].contains("that nothing proves"), "{problems:?}");
    }
}
