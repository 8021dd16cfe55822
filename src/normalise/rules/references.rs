//! Rule 18. References lead to gateway ids, or say plainly that they lead nowhere.
//!
//! A reference is never guessed: what neither the source's own ids nor the given links explain stays as written and is flagged, an error when the
//! string could only have meant something inside the message it came in.

use super::super::Context;
use super::super::ids::is_gateway_id;
use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::REFERENCES;
use super::super::source::{Dangling, plain_url};
use super::strings::trimmed;
use crate::fhir::{Node, Object, Value};
use crate::outcome::{IssueType, Severity};

/// What a reference string turned out to be.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// A contained resource, or already the gateway's.
    Kept,
    Rewritten(String),
    /// An absolute URL of a server that is not this source.
    Foreign,
    /// A relative reference of an entry from another server, as the absolute URL it stands for.
    Abroad(String),
    /// An absolute URL of another source of this gateway.
    Anothers,
    /// `urn:uuid:` or `urn:oid:` that nothing in the message answers to.
    UnresolvedUrn,
    /// A search in place of a reference, whose answer is not known.
    UnresolvedCondition,
    /// Not a form that FHIR gives a reference.
    Malformed,
}

/// Settles `Reference.reference`.
pub(in super::super) fn apply(reference: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(REFERENCES) {
        return;
    }
    let Some(literal) = reference.get("reference").and_then(Node::as_text) else { return };
    let written = literal.to_owned();
    let is_odd = names_odd_id(&written, work.context) || is_named_oddly(&written, work.context);
    let literal = if is_known(&written, work.context) { written.as_str() } else { trimmed(&written) };
    let absolute = absolute_abroad(literal, work.context);
    let literal = absolute.as_deref().unwrap_or(literal);
    let settled = match settle(literal, work.context) {
        Outcome::Foreign if absolute.is_some() => Outcome::Abroad(literal.to_owned()),
        Outcome::Kept if literal.len() < written.len() => Outcome::Rewritten(literal.to_owned()),
        settled => settled,
    };
    match literal.strip_prefix('#').filter(|name| !name.is_empty()) {
        Some(name) => work.refer_inside(name, path),
        None if matches!(settled, Outcome::Rewritten(_)) && is_odd => {
            let text = "the reference names an id that FHIR does not allow (blanks around it, another Unicode form, a '/', '?' or '#' in it); it leads to the resource whose id was so sent";
            work.flag(Severity::Warning, IssueType::Value, "reference-id-illegal", &path.member("reference"), text);
        }
        None => {}
    }
    if matches!(settled, Outcome::UnresolvedUrn | Outcome::UnresolvedCondition | Outcome::Foreign | Outcome::Abroad(_) | Outcome::Anothers)
        && work.context.source.dangling == Dangling::Logical
        && make_logical(reference, literal, path, work)
    {
        let text = "the reference leads to nothing that was sent or is known here; it became a logical reference by identifier";
        return work.flag(Severity::Warning, IssueType::NotFound, "reference-logical", path, text);
    }
    report(settled, reference, path, work);
}

/// Whether a reference ends in an id that other text than it would be left of when it was cleaned: ids must not meet by that. Blanks around a
/// reference are the id's only where a resource of the message is so named; else they are padding, and the padded and the plain reference are one.
pub(in super::super) fn names_odd_id(literal: &str, context: &Context<'_>) -> bool {
    let plain = trimmed(literal);
    let is_other = plain.starts_with("urn:") || plain.starts_with('#') || plain.contains('?');
    let is_padded_name = plain.len() < literal.len() && is_known(literal, context);
    !is_other && (is_padded_name || (!plain.is_ascii() && !unicode_normalization::is_nfc(plain)))
}

/// Whether a relative reference is known by all of it, though it has what separates the parts of one.
fn is_named_oddly(literal: &str, context: &Context<'_>) -> bool {
    let id = literal.split_once('/').map(|(_, id)| id).filter(|_| !literal.contains(':'));
    id.is_some_and(|id| id.contains(['/', '?', '#'])) && is_known(literal, context)
}

fn is_known(literal: &str, context: &Context<'_>) -> bool {
    context.links.get(literal).is_some()
}

/// Settles a `uri` or `url` that leads to a resource: the fullUrl of another entry (R4 §3.1.0.11.2), and as a `url` also `Type/id`. Others stay.
pub(in super::super) fn apply_to_uri(node: &mut Node, type_name: &str, path: &Path<'_>, work: &mut Work<'_>) {
    let Some(literal) = node.as_text().filter(|_| work.on(REFERENCES)) else { return };
    let context = work.context;
    let linked = literal.starts_with("urn:").then(|| context.links.get(literal)).flatten().map(str::to_owned);
    let local = || match relative(literal, literal, context) {
        Outcome::Rewritten(target) if type_name == "url" && !literal.contains("://") => match absolute_abroad(literal, context) {
            Some(absolute) => context.links.get(&absolute).map(str::to_owned),
            None => Some(target),
        },
        _ => None,
    };
    let Some(target) = linked.or_else(local) else { return };
    let before = node.clone();
    node.value = Value::Text(target.into());
    work.changed(REFERENCES, path, Some(before), Some(node.clone()));
}

fn report(settled: Outcome, reference: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    let (severity, code, message_id, text) = match settled {
        Outcome::Kept => return,
        Outcome::Rewritten(target) => return work.set(REFERENCES, reference, path, "reference", target),
        Outcome::Abroad(url) => {
            work.set(REFERENCES, reference, path, "reference", url);
            return report(Outcome::Foreign, reference, path, work);
        }
        Outcome::Foreign => (
            Severity::Warning,
            IssueType::Informational,
            "reference-foreign",
            "the reference points to another server; it was kept as written and is not followed",
        ),
        Outcome::Anothers => (
            Severity::Error,
            IssueType::BusinessRule,
            "reference-cross-source",
            "the reference leads into the system of another source of this gateway; refer to the record by identifier, or by the gateway's id for it",
        ),
        Outcome::UnresolvedUrn => (
            Severity::Error,
            IssueType::NotFound,
            "reference-unresolved-urn",
            "the reference names a Bundle entry by its fullUrl, and no entry has that fullUrl; send both in one Bundle, or refer by type and id",
        ),
        Outcome::UnresolvedCondition => (
            Severity::Error,
            IssueType::NotFound,
            "reference-unresolved-condition",
            "the conditional reference does not lead to exactly one resource known here; send that resource first, or refer by type and id",
        ),
        Outcome::Malformed => (
            Severity::Warning,
            IssueType::Value,
            "reference-malformed",
            "the reference is neither relative (Type/id), absolute, contained (#id) nor a URN; it was kept as written",
        ),
    };
    work.flag(severity, code, message_id, &path.member("reference"), text);
}

/// Says by identifier what a reference meant that is not followed: the URN or URL itself, or what a condition `Type?identifier=system|value` asked for.
fn make_logical(reference: &mut Object, literal: &str, path: &Path<'_>, work: &mut Work<'_>) -> bool {
    let is_url = literal.split('?').next().is_some_and(|target| target.contains("://"));
    let (type_name, system, value) = if literal.starts_with("urn:") || is_url {
        (None, "urn:ietf:rfc:3986", literal)
    } else {
        let Some((type_name, token)) = literal.split_once("?identifier=").filter(|(_, token)| !token.contains(['&', '%', ','])) else {
            return false;
        };
        let Some((system, value)) = token.split_once('|').filter(|(system, value)| !system.is_empty() && !value.is_empty()) else {
            return false;
        };
        (Some(type_name), system, value)
    };
    work.remove(REFERENCES, reference, path, "reference");
    if let Some(type_name) = type_name.filter(|_| reference.get("type").is_none()) {
        work.set(REFERENCES, reference, path, "type", type_name);
    }
    if reference.get("identifier").is_none() {
        work.set(REFERENCES, reference, path, "identifier", Object::new().with("system", system).with("value", value));
    }
    true
}

/// What a relative reference in an entry of another server stands for there.
fn absolute_abroad(literal: &str, context: &Context<'_>) -> Option<String> {
    let base = context.source.base_abroad().filter(|_| !literal.starts_with('#') && !literal.contains(':'))?;
    match relative(literal, literal, context) {
        Outcome::Rewritten(_) => Some(format!("{base}/{}", literal.split_once("/_history/").map_or(literal, |(target, _)| target))),
        _ => None,
    }
}

/// What a reference leads to here, as `Type/gateway-id`.
pub(super) fn target(written: &str, context: &Context<'_>) -> Option<String> {
    let literal = if is_known(written, context) { written } else { trimmed(written) };
    let absolute = absolute_abroad(literal, context);
    let literal = absolute.as_deref().unwrap_or(literal);
    match settle(literal, context) {
        Outcome::Rewritten(target) => Some(target),
        Outcome::Kept if !literal.starts_with('#') => Some(literal.to_owned()),
        _ => None,
    }
}

fn settle(literal: &str, context: &Context<'_>) -> Outcome {
    if literal.starts_with('#') {
        return Outcome::Kept;
    }
    if let Some(target) = context.links.get(literal) {
        return rewritten(literal, target.to_owned());
    }
    if literal.starts_with("urn:") {
        return Outcome::UnresolvedUrn;
    }
    // A condition may hold a URL in its query, as `Practitioner?identifier=http://…`.
    if !literal.split('?').next().is_some_and(|target| target.contains("://")) {
        return relative(literal, literal, context);
    }
    let plain = plain_url(literal);
    if let Some(target) = context.links.get(&plain) {
        return rewritten(literal, target.to_owned());
    }
    let is_whole = |rest: &&str| !rest.starts_with('/');
    let below_base = |url: &str| context.source.below_base(url).filter(is_whole).map(|rest| relative(literal, rest, context));
    match below_base(&plain).or_else(|| context.source.below_base_otherwise_written(&plain).map(|rest| relative(literal, &rest, context))) {
        Some(settled) => settled,
        None if context.source.is_anothers(&plain) => Outcome::Anothers,
        None => Outcome::Foreign,
    }
}

/// `Type/id`, with or without a version, which is dropped: the gateway numbers its versions itself.
fn relative(literal: &str, relative: &str, context: &Context<'_>) -> Outcome {
    let (target, question) = relative.split_once('?').map_or((relative, false), |(target, _)| (target, true));
    if question {
        return if is_type(target, context) { Outcome::UnresolvedCondition } else { Outcome::Malformed };
    }
    let mut segments = target.split('/');
    let (Some(type_name), Some(id)) = (segments.next(), segments.next()) else { return Outcome::Malformed };
    let version_only =
        matches!((segments.next(), segments.next(), segments.next()), (None, None, None) | (Some("_history"), Some(_), None));
    if !version_only || id.is_empty() || id.contains('#') || !is_type(type_name, context) {
        return Outcome::Malformed;
    }
    let mut local = String::with_capacity(type_name.len() + 30);
    local.push_str(type_name);
    local.push('/');
    if is_gateway_id(id) {
        local.push_str(id);
    } else {
        local.push_str(&context.ids.id(context.source.name(), type_name, id));
    }
    let joined = context.links.get(&local).map(str::to_owned);
    rewritten(literal, joined.unwrap_or(local))
}

fn rewritten(literal: &str, target: String) -> Outcome {
    if target == literal { Outcome::Kept } else { Outcome::Rewritten(target) }
}

/// A resource type of the release; when no type table is loaded, anything that looks like one.
pub(super) fn is_type(name: &str, context: &Context<'_>) -> bool {
    if context.types.types().is_empty() {
        return name.starts_with(|c: char| c.is_ascii_uppercase()) && name.bytes().all(|b| b.is_ascii_alphabetic());
    }
    context.types.resource(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::run;
    use super::super::super::{Context, GatewayIds, Links, SourceRules};
    use super::*;
    use crate::fhir::types::TypeTable;

    #[test]
    fn dangling_references() {
        let source = |dangling| {
            let mut source = super::super::super::tests::source();
            source.dangling = dangling;
            source.set_others(&["https://lab.example:443/fhir/"]);
            source
        };
        for (literal, logical) in [
            ("urn:uuid:1", Some(r#"{"identifier":{"system":"urn:ietf:rfc:3986","value":"urn:uuid:1"}}"#)),
            ("Practitioner?identifier=http://s|1", Some(r#"{"type":"Practitioner","identifier":{"system":"http://s","value":"1"}}"#)),
            ("Practitioner?name=x", None),
            (
                "https://lab.example/fhir/Patient/1",
                Some(r#"{"identifier":{"system":"urn:ietf:rfc:3986","value":"https://lab.example/fhir/Patient/1"}}"#),
            ),
        ] {
            let text = format!(r#"{{"resourceType":"X","a":{{"reference":"{literal}"}}}}"#);
            assert!(run(&text, &source(Dangling::Refuse)).is_refused());
            let done = run(&text, &source(Dangling::Logical));
            assert_eq!(done.is_refused(), logical.is_none());
            if let Some(logical) = logical {
                assert_eq!(crate::fhir::json::write(done.resource.get("a").unwrap()), logical);
            }
        }
    }

    /// Blanks around a reference change nothing of where it leads, with rule 5 or without.
    #[test]
    fn padded_references_lead_where_the_plain_ones_do() {
        let mut untrimmed = super::super::super::tests::source();
        untrimmed.switches.set(super::super::super::rule::STRINGS, false);
        for source in [super::super::super::tests::source(), untrimmed] {
            let lead = |literal: &str| {
                let done = run(&format!(r#"{{"resourceType":"X","a":{{"reference":"{literal}"}}}}"#), &source);
                done.resource.get("a").unwrap().text("reference").unwrap().to_owned()
            };
            for literal in
                ["Patient/p1", "https://epic.example/api/FHIR/R4/Patient/p1", "https://other.example/Patient/1", "Patient/p1/_history/2"]
            {
                for padded in
                    [format!(" {literal}"), format!("{literal}  "), format!("\\t{literal}\\n"), format!("\u{a0}{literal}\u{feff}")]
                {
                    let expected = if literal.contains("other") && !source.switches.is_on(super::super::super::rule::STRINGS) {
                        padded.replace("\\t", "\t").replace("\\n", "\n")
                    } else {
                        lead(literal)
                    };
                    assert_eq!(lead(&padded), expected, "{padded:?}");
                }
            }
        }
    }

    /// A `/`, `?` or `#` in an id is the id's own where a resource of the document has it, whether it is named by type and id or by fullUrl.
    #[test]
    fn what_separates_parts_may_be_an_ids_own() {
        let id = "id with space/and.slash?";
        let text = format!(
            r#"{{"resourceType":"Bundle","type":"collection","entry":[
            {{"fullUrl":"https://epic.example/api/FHIR/R4/Patient/{id}","resource":{{"resourceType":"Patient","id":"{id}"}}}},
            {{"resource":{{"resourceType":"Patient","id":"p1"}}}},
            {{"resource":{{"resourceType":"Observation","subject":{{"reference":"Patient/{id}"}}}}}},
            {{"resource":{{"resourceType":"Observation","subject":{{"reference":"https://epic.example/api/FHIR/R4/Patient/{id}"}}}}}},
            {{"resource":{{"resourceType":"Observation","subject":{{"reference":"Patient/other/slash"}}}}}},
            {{"resource":{{"resourceType":"Observation","subject":{{"reference":"Patient/p1/_history/2"}}}}}}]}}"#
        );
        let mut opened = super::super::super::open_document(crate::fhir::json::parse(text.as_bytes(), 32).unwrap());
        let (ids, types) = (GatewayIds::new([1; 32]), TypeTable::default());
        let preamble = super::super::super::Preamble::default();
        let source = super::super::super::tests::source();
        let all = opened.normalise(&source, &ids, &types, &preamble, &mut super::super::super::Batch::new());
        let lead = |index: usize| all[index].resource.text_at(&["subject", "reference"]).unwrap().to_owned();
        let name = |index: usize| format!("Patient/{}", all[index].resource.text("id").unwrap());
        assert_eq!([lead(2), lead(3), lead(4), lead(5)], [name(0), name(0), "Patient/other/slash".to_owned(), name(1)]);
        let said = |index: usize, id: &str| all[index].findings.iter().any(|finding| finding.message_id == id);
        assert!(said(2, "reference-id-illegal") && said(4, "reference-malformed") && !said(5, "reference-id-illegal"));
    }

    /// An id of blanks is another id, where a resource has it.
    #[test]
    fn blanks_that_are_the_ids_own_are_told_apart() {
        let text = r#"{"resourceType":"Bundle","type":"collection","entry":[
            {"resource":{"resourceType":"Patient","id":"p1 "}},{"resource":{"resourceType":"Patient","id":"p1"}},
            {"resource":{"resourceType":"Observation","subject":{"reference":"Patient/p1 "}}},
            {"resource":{"resourceType":"Observation","subject":{"reference":"Patient/p1"}}},
            {"resource":{"resourceType":"Observation","subject":{"reference":" Patient/p1"}}}]}"#;
        let mut opened = super::super::super::open_document(crate::fhir::json::parse(text.as_bytes(), 32).unwrap());
        let (ids, types) = (GatewayIds::new([1; 32]), TypeTable::default());
        let preamble = super::super::super::Preamble::default();
        let source = super::super::super::tests::source();
        let all = opened.normalise(&source, &ids, &types, &preamble, &mut super::super::super::Batch::new());
        let name = |index: usize| format!("Patient/{}", all[index].resource.text("id").unwrap());
        let lead = |index: usize| all[index].resource.text_at(&["subject", "reference"]).unwrap().to_owned();
        assert_eq!([lead(2), lead(3), lead(4)], [name(0), name(1), name(1)]);
        assert_ne!(name(0), name(1));
    }

    #[test]
    fn settling() {
        let mut source = SourceRules::new("epic", &["https://epic.example/R4"]);
        source.set_others(&["https://lab.example/R4", "https://epic.example/R4"]);
        let ids = GatewayIds::new([1; 32]);
        let patient = format!("Patient/{}", ids.id("epic", "Patient", "p1"));
        let joined = format!("Patient/{}", ids.id("epic", "Patient", "p2"));
        let golden = format!("Patient/{}", ids.fresh(crate::clock::Instant::EPOCH, [9; 10]));
        let mut links = Links::new();
        links.insert("urn:uuid:1", &patient);
        links.insert("Practitioner?identifier=s|1", &patient);
        links.insert(&joined, &golden);
        let types = TypeTable::default();
        let context = Context { source: &source, ids: &ids, links: &links, types: &types, declared: None };
        let to = |target: &str| Outcome::Rewritten(target.to_owned());
        for (literal, outcome) in [
            ("Patient/p1", to(&patient)),
            ("Patient/p1/_history/3", to(&patient)),
            ("https://epic.example/R4/Patient/p1", to(&patient)),
            ("https://EPIC.example:443/R4/Patient/p1", to(&patient)),
            ("https://epic.example/R4/Patient/p1/_history/2", to(&patient)),
            ("urn:uuid:1", to(&patient)),
            ("Practitioner?identifier=s|1", to(&patient)),
            ("Patient/p2", to(&golden)),
            (patient.as_str(), Outcome::Kept),
            (golden.as_str(), Outcome::Kept),
            (joined.as_str(), to(&golden)),
            ("#c", Outcome::Kept),
            ("#", Outcome::Kept),
            ("urn:uuid:2", Outcome::UnresolvedUrn),
            ("Practitioner?identifier=s|2", Outcome::UnresolvedCondition),
            ("https://other.example/R4/Patient/p1", Outcome::Foreign),
            ("https://lab.example:443/R4/Patient/p1", Outcome::Anothers),
            ("https://lab.example/R4B/Patient/p1", Outcome::Foreign),
            ("https://epic.example/R4B/Patient/p1", Outcome::Foreign),
            ("p1", Outcome::Malformed),
            ("a/b/c", Outcome::Malformed),
            ("Patient/p1/name", Outcome::Malformed),
            ("", Outcome::Malformed),
        ] {
            assert_eq!(settle(literal, &context), outcome, "{literal}");
        }
    }
}
