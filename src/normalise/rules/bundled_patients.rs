//! Rule 18 in a Bundle that is kept whole. Its entries name patients in their source's words and stay as they were sent, for signatures are over them;
//! who these patients are here stands in the Bundle's `meta`, which no signature is over. There it is found by whatever asks whose the Bundle is.
//!
//! A name that two entries use for patients of two servers stands for both. One that leads nowhere is left to mean nobody.

use super::super::entries::{Entry, Servers, too_many};
use super::super::ids::is_gateway_id;
use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::REFERENCES;
use super::super::source::plain_url;
use super::super::vocabulary::NAMED_PATIENT;
use super::super::{Context, Links};
use super::{meta, references};
use crate::fhir::{Node, Object, Value};
use crate::outcome::{Finding, IssueType};
use std::collections::BTreeSet;

/// The most names for patients that the entries of one Bundle may use.
const MAX_NAMES: usize = 1_000;
/// What stands before the id in a reference to a patient.
const PATIENT: &str = "Patient/";

/// A name that an entry uses, and the `Patient/gateway-id` it stands for.
type Told = (String, String);

/// Says in `meta` who the patients are that a Bundle's entries name. What its sender says of it there is not taken, whichever rules are on: it is believed
/// wherever it stands.
pub(in super::super) fn apply(bundle: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if bundle.get("resourceType").and_then(Node::as_text) != Some("Bundle") {
        return;
    }
    let told = if work.on(REFERENCES) { told(bundle, work) } else { BTreeSet::new() };
    let claimed = bundle.get("meta").is_some_and(|meta| meta.items("extension").iter().any(is_ours));
    if told.is_empty() && !claimed {
        return;
    }
    meta::place_meta(bundle);
    let Some(meta) = bundle.get_mut("meta").and_then(Node::as_object_mut) else { return };
    let listed = meta.get("extension").and_then(Node::as_list).unwrap_or_default();
    let others = listed.iter().filter(|extension| !is_ours(extension)).cloned();
    let all: Vec<Node> = others.chain(told.into_iter().map(extension)).collect();
    let meta_path = path.member("meta");
    if all.is_empty() {
        work.remove(REFERENCES, meta, &meta_path, "extension");
    } else {
        work.set(REFERENCES, meta, &meta_path, "extension", all);
    }
}

fn is_ours(extension: &Node) -> bool {
    extension.text("url") == Some(NAMED_PATIENT)
}

fn extension((name, patient): Told) -> Node {
    let reference = Object::new().with("reference", patient).with("display", name);
    Object::new().with("url", NAMED_PATIENT).with("valueReference", reference).into()
}

/// The names that entries use which are not the gateway's, each with whom it stands for.
fn told(bundle: &Object, work: &mut Work<'_>) -> BTreeSet<Told> {
    let entries = bundle.get("entry").and_then(Node::as_list).unwrap_or_default();
    let url = |entry: &Node| entry.text("fullUrl").map(|url| plain_url(url.trim()).into_owned());
    let standing: Vec<(Option<String>, &Node)> = entries.iter().filter_map(|entry| Some((url(entry), entry.get("resource")?))).collect();
    let standing = standing.iter().map(|(url, resource)| Entry { full_url: url.as_deref(), resource });
    let Some(servers) = Servers::of(work.context.source, standing.clone()) else {
        work.flag_at(too_many());
        return BTreeSet::new();
    };
    let links = servers.links(work.context.ids, standing.clone());
    let mut told = BTreeSet::new();
    for entry in standing {
        let context = Context { source: servers.rules(entry), links: &links, ..*work.context };
        add_names(entry.resource, &context, work.context.links, &mut told);
        if told.len() > MAX_NAMES {
            let text = format!("the Bundle's entries use more than {MAX_NAMES} names for patients; send it in parts");
            work.flag_at(Finding::error(IssueType::TooCostly, "bundle-too-many-patients", text).at("Bundle.entry"));
            return BTreeSet::new();
        }
    }
    told
}

/// Adds what stands anywhere in a resource. `joined` knows which records are another's.
fn add_names(node: &Node, context: &Context<'_>, joined: &Links, told: &mut BTreeSet<Told>) {
    if told.len() > MAX_NAMES {
        return;
    }
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| add_names(item, context, joined, told)),
        Value::Object(object) => {
            let named = node.text("reference").and_then(|name| Some((name.to_owned(), patient_meant(name, context)?)));
            for (name, patient) in named.into_iter().chain(own_name(node, context)) {
                let patient = joined.get(&patient).map_or(patient.clone(), str::to_owned);
                if name != patient {
                    told.insert((name, patient));
                }
            }
            object.members().iter().for_each(|member| add_names(&member.node, context, joined, told));
        }
        _ => {}
    }
}

/// The patient whom a reference leads to.
fn patient_meant(name: &str, context: &Context<'_>) -> Option<String> {
    let is_linked = || context.links.get(name.trim()).is_some_and(|target| target.starts_with(PATIENT));
    let target = (name.contains(PATIENT) || is_linked()).then(|| references::target(name, context)).flatten();
    target.filter(|target| target.starts_with(PATIENT)).or_else(|| patient_abroad(name.trim(), context))
}

/// Whom another server's entry means by a name of its own: nobody of the source's, even where the two use one id.
fn patient_abroad(name: &str, context: &Context<'_>) -> Option<String> {
    let id = name.strip_prefix(PATIENT).filter(|_| context.source.base_abroad().is_some())?.split('/').next()?;
    Some(format!("{PATIENT}{}", context.ids.id(context.source.id_scope(), "Patient", id)))
}

/// What a Patient among the entries is called by itself.
fn own_name(node: &Node, context: &Context<'_>) -> Option<Told> {
    let id = node.text("id").filter(|id| node.resource_type() == Some("Patient") && !is_gateway_id(id))?;
    Some((format!("{PATIENT}{id}"), format!("{PATIENT}{}", context.ids.id(context.source.id_scope(), "Patient", id))))
}

#[cfg(test)]
mod tests {
    use super::super::super::rule::REFERENCES;
    use super::super::super::tests::{run, source};
    use super::super::super::{GatewayIds, Switches};
    use super::MAX_NAMES;
    use crate::fhir::json;

    const OWN: &str = "https://epic.example/api/FHIR/R4";

    fn bundle(meta: &str, entries: &[(&str, &str)]) -> String {
        let entries: Vec<String> =
            entries.iter().map(|(url, resource)| format!(r#"{{"fullUrl":"{url}","resource":{resource}}}"#)).collect();
        format!(r#"{{"resourceType":"Bundle","type":"collection",{meta}"entry":[{}]}}"#, entries.join(","))
    }

    fn about(subject: &str) -> String {
        format!(r#"{{"resourceType":"Observation","subject":{{"reference":"{subject}"}}}}"#)
    }

    /// What a Bundle's meta tells: by name, whom it stands for.
    fn told(text: &str) -> Vec<(String, String)> {
        let mut source = source();
        source.switches = Switches::default();
        let done = run(text, &source);
        assert!(!done.is_refused(), "{:?}", done.findings);
        let again = run(&json::write(&done.resource), &source);
        assert_eq!(again.resource, done.resource, "once is as good as twice");
        let meta = done.resource.get("meta").unwrap().clone();
        let said = meta.items("extension").iter().map(|one| one.get("valueReference").unwrap());
        said.map(|one| (one.text("display").unwrap().to_owned(), one.text("reference").unwrap().to_owned())).collect()
    }

    #[test]
    fn patients_of_entries_are_told_and_entries_stay() {
        let ids = GatewayIds::new([7; 32]);
        let of = |scope: &str, id: &str| format!("Patient/{}", ids.id(scope, "Patient", id));
        let own = of("epic", "p");
        let other = "https://other.example/fhir";
        let abroad = of(&format!("epic\n{other}"), "p");
        let observation = format!("{OWN}/Observation/o");
        for (name, expected) in [
            ("Patient/p".to_owned(), Some(&own)),
            (format!("{OWN}/Patient/p/_history/3"), Some(&own)),
            (format!("{}/Patient/p", OWN.replace("https", "http")), Some(&own)),
            (format!("{OWN}//Patient/p"), Some(&own)),
            (own.clone(), None),
            (format!("{other}/Patient/p"), None),
            ("Practitioner/p".to_owned(), None),
            ("urn:uuid:1".to_owned(), None),
        ] {
            let expected: Vec<_> = expected.map(|patient| (name.clone(), patient.clone())).into_iter().collect();
            let text = bundle("", &[(&observation, &about(&name))]);
            assert_eq!(told(&text), expected, "{name}");
        }
        let patient = r#"{"resourceType":"Patient","id":"p"}"#;
        let by_url = [("urn:uuid:1", patient), ("urn:uuid:2", &about("urn:uuid:1"))];
        assert_eq!(told(&bundle("", &by_url)), [("Patient/p".to_owned(), own.clone()), ("urn:uuid:1".to_owned(), own.clone())]);
        let two = [(format!("{other}/Observation/o"), about("Patient/p")), (observation, about("Patient/p"))];
        let two: Vec<(&str, &str)> = two.iter().map(|(url, resource)| (url.as_str(), resource.as_str())).collect();
        let mut both = [("Patient/p".to_owned(), own), ("Patient/p".to_owned(), abroad)];
        both.sort();
        assert_eq!(told(&bundle("", &two)), both);
    }

    #[test]
    fn what_a_sender_says_of_it_is_not_taken() {
        let meta = r#""meta":{"extension":[{"url":"urn:x"},{"url":"urn:hearthgate:fhir:named-patient","valueReference":{"reference":"Patient/hg-00000000000000000000000000","display":"Patient/p"}}]},"#;
        let mut source = source();
        for is_on in [true, false] {
            source.switches = Switches::default();
            source.switches.set(REFERENCES, is_on);
            let done = run(&bundle(meta, &[("urn:uuid:1", &about("urn:uuid:2"))]), &source);
            assert_eq!(json::write(done.resource.get("meta").unwrap().get("extension").unwrap()), r#"[{"url":"urn:x"}]"#, "{is_on}");
            assert!(done.changes.iter().any(|change| change.path == "Bundle.meta.extension" && change.before.is_some()), "{is_on}");
        }
    }

    #[test]
    fn a_bundle_of_too_many_names_is_refused() {
        let named = |count: usize| {
            let results: Vec<String> = (0..count).map(|number| about(&format!("Patient/p{number}"))).collect();
            let entries: Vec<(&str, &str)> = results.iter().map(|result| ("urn:uuid:1", result.as_str())).collect();
            bundle("", &entries)
        };
        assert_eq!(told(&named(MAX_NAMES)).len(), MAX_NAMES);
        let mut source = source();
        source.switches = Switches::default();
        let done = run(&named(MAX_NAMES + 1), &source);
        assert!(done.is_refused());
        assert!(done.findings.iter().any(|finding| finding.message_id == "bundle-too-many-patients"), "{:?}", done.findings);
    }
}
