//! Rules 3 and 26 on a whole document: a Bundle, one resource, a recorded response with either in its `body`, or a server's failure.
//!
//! What stands around the resources is on record in [`Searchset::changes`]; nothing of a document is lost by opening it.

use super::envelope::{OpenedResource, Searchset, open_searchset, upstream_issues};
use super::record::Change;
use super::rule::{ENVELOPE, RuleId, VENDOR_ERRORS};
use super::rules::bytes::without_mark;
use super::source::plain_url;
use super::vendor_error::{bare_error, said_status, vendor_error};
use crate::fhir::{Node, Object, Value, json};
use crate::outcome::{Finding, IssueType};

/// Takes a whole document apart.
///
/// A recorded response is `{"_request": {"status": 200, …}, "body": …}` or `{"status": 200, "body": …}`; one that failed becomes what
/// [`vendor_error`] says of it.
pub fn open_document(mut document: Node) -> Searchset {
    if document.resource_type().is_some() {
        return open_resource(document);
    }
    let status = said_status(&document).filter(|status| *status >= 400);
    let Some(sent) = document.as_object_mut().and_then(|object| object.remove("body")) else { return open_bare(document, status) };
    let (body, packed) = unpacked(sent);
    let mut opened = match status {
        Some(status) => failed(vendor_error(status, None, written(&body).as_bytes()), body),
        None if body.resource_type().is_some() => open_resource(body),
        None => {
            let status = said_status(&body).filter(|status| *status >= 400);
            open_bare(body, status)
        }
    };
    opened.changes.extend(packed.map(|text| left_out(ENVELOPE, "body", text)));
    opened.requested_base = requested_base(&document, &opened);
    if document.as_object().is_some_and(|recording| !recording.is_empty()) {
        opened.changes.push(left_out(ENVELOPE, "recording", document));
    }
    opened
}

/// The service base URL in what was asked for (`https://h/r4/Patient/1`, `https://h/r4/Patient?name=x`), by the type that came.
fn requested_base(recording: &Node, opened: &Searchset) -> Option<String> {
    let request = ["_request", "request"].iter().find_map(|name| recording.get(name)).unwrap_or(recording);
    let url = request.text("url").filter(|url| url.starts_with("http"))?;
    let type_name = opened.matches.iter().chain(&opened.includes).find_map(|opened| opened.resource.resource_type())?;
    let asked = url.split(['?', '#']).next()?;
    let (base, rest) = asked.rsplit_once(&format!("/{type_name}"))?;
    (rest.is_empty() || rest.starts_with('/')).then(|| plain_url(base).into_owned())
}

/// A body that was recorded as a text of JSON, and that text.
fn unpacked(body: Node) -> (Node, Option<Node>) {
    let is_json = |text: &&str| text.trim_start().starts_with(['{', '[']);
    match body.as_text().filter(is_json).and_then(|text| json::parse(text.as_bytes(), json::DEFAULT_DEPTH).ok()) {
        Some(read) => (read, Some(body)),
        None => (body, None),
    }
}

/// What a file holds that is neither JSON nor FHIR in XML, as a server sent it: an HTML page, XML of its own. `None` for anything else.
pub fn open_foreign(bytes: &[u8]) -> Option<Searchset> {
    let text = without_mark(bytes).trim_ascii_start();
    let head = text.get(..1024.min(text.len()))?;
    let is_fhir = head.windows(19).any(|window| window == b"http://hl7.org/fhir");
    if is_fhir || !head.starts_with(b"<") {
        return None;
    }
    let findings = bare_error(bytes)?;
    // Such pages are often in the older encoding of one byte a letter, whose letters are Unicode's first 256.
    let page = String::from_utf8(bytes.to_vec()).unwrap_or_else(|_| bytes.iter().map(|&byte| char::from(byte)).collect());
    Some(failed(findings, page.as_str().into()))
}

fn open_resource(resource: Node) -> Searchset {
    match resource.resource_type() {
        Some("OperationOutcome") if is_own_outcome(&resource) => {
            Searchset { outcomes: upstream_issues(&resource), outcome: Some(resource), ..Searchset::default() }
        }
        Some("Bundle" | "OperationOutcome") => open_searchset(resource),
        _ => Searchset { matches: vec![OpenedResource { resource, full_url: None, changes: Vec::new() }], ..Searchset::default() },
    }
}

/// Whether an OperationOutcome has the form in which the gateway tells findings, and nothing that rule 26 would put into other words.
fn is_own_outcome(outcome: &Node) -> bool {
    const MESSAGE_ID: &str = "http://hl7.org/fhir/StructureDefinition/operationoutcome-message-id";
    let is_word = |word: &str| word.contains('-') && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let has_only = |node: &Node, names: &[&str]| {
        node.as_object().is_some_and(|object| object.members().iter().all(|member| names.contains(&member.name.as_str())))
    };
    let is_own = |issue: &Node| {
        let named = matches!(issue.items("extension"), [one] if one.text("url") == Some(MESSAGE_ID) && one.text("valueString").is_some_and(is_word));
        let told = issue.get("details").is_some_and(|details| details.text("text").is_some() && has_only(details, &["text"]));
        named && told && has_only(issue, &["extension", "severity", "code", "details", "expression"])
    };
    let issues = outcome.items("issue");
    !issues.is_empty() && issues.iter().all(is_own) && has_only(outcome, &["resourceType", "issue"])
}

/// What has no type: resources in a list or by the names of a protocol's steps, a server's failure, or nothing that is known.
fn open_bare(mut document: Node, status: Option<u16>) -> Searchset {
    let resources = resources(&mut document);
    if resources.is_empty() {
        let body = written(&document);
        let told = match status {
            Some(status) => Some(vendor_error(status, None, body.as_bytes())),
            None => bare_error(body.as_bytes()).filter(|_| is_failure(&document)),
        };
        return match told {
            Some(findings) => failed(findings, document),
            None => nothing(document),
        };
    }
    let mut opened = Searchset::default();
    resources.into_iter().for_each(|resource| opened.absorb(open_resource(resource)));
    if !matches!(&document.value, Value::Object(rest) if rest.is_empty())
        && !matches!(&document.value, Value::List(rest) if rest.is_empty())
    {
        opened.changes.push(left_out(ENVELOPE, "recording", document));
    }
    opened
}

/// Takes the resources out of a list or an object.
fn resources(document: &mut Node) -> Vec<Node> {
    let mut found = Vec::new();
    let mut take = |node: &Node| {
        let is_resource = node.resource_type().is_some();
        found.extend(is_resource.then(|| node.clone()));
        !is_resource
    };
    match &mut document.value {
        Value::Object(object) => object.retain(|member| take(&member.node)),
        Value::List(items) => items.retain(|item| take(item)),
        _ => {}
    }
    found
}

fn nothing(document: Node) -> Searchset {
    let outcomes = vec![Finding::error(IssueType::Structure, "upstream-no-resource", "the document holds no FHIR resource")];
    Searchset { outcomes, changes: vec![left_out(ENVELOPE, "document", document)], ..Searchset::default() }
}

fn failed(outcomes: Vec<Finding>, body: Node) -> Searchset {
    Searchset { outcomes, changes: vec![left_out(VENDOR_ERRORS, "body", body)], ..Searchset::default() }
}

fn left_out(rule: RuleId, path: &str, before: Node) -> Change {
    Change { rule, path: path.to_owned(), before: Some(before), after: None }
}

/// Text, or an object with a member that vendors' servers explain failures by.
fn is_failure(body: &Node) -> bool {
    const TELLING: [&str; 10] =
        ["_non_json_body", "detail", "details", "error", "errorCode", "errorMessage", "errors", "exception", "fault", "message"];
    let tells = |name: &str| TELLING.iter().any(|telling| telling.eq_ignore_ascii_case(name));
    body.as_text().is_some() || body.as_object().is_some_and(|object: &Object| object.members().iter().any(|member| tells(&member.name)))
}

/// The body as it was sent. Bodies that were no JSON are recorded as the text they were.
fn written(body: &Node) -> String {
    body.text("_non_json_body").or_else(|| body.as_text()).map_or_else(|| json::write(body), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{open_document, open_foreign};
    use crate::fhir::json;

    #[test]
    fn documents() {
        for (text, matches, base) in [
            (
                r#"{"body":{"resourceType":"Bundle","entry":[{"fullUrl":"https://h:443/r4/Patient/1","resource":{"resourceType":"Patient","id":"1"}}]}}"#,
                1,
                Some("https://h/r4"),
            ),
            (r#"{"_request":{},"body":{"resourceType":"Patient"}}"#, 1, None),
            (
                r#"{"_request":{"url":"https://h:443/r4/Patient/1?_pretty=true"},"body":{"resourceType":"Patient"}}"#,
                1,
                Some("https://h/r4"),
            ),
            (
                r#"{"url":"https://h/r4/Patient","body":{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient"}}]}}"#,
                1,
                Some("https://h/r4"),
            ),
            (r#"{"url":"https://h/r4/PatientList/1","body":{"resourceType":"Patient"}}"#, 1, None),
            (r#"{"resourceType":"Patient"}"#, 1, None),
            (r#"{"resourceType":"OperationOutcome","issue":[{"code":"x"}]}"#, 0, None),
            (r#"{"body":"<html>"}"#, 0, None),
            (r#"{"_request":{"status":200},"body":{"detail":"Unauthorized"}}"#, 0, None),
            (r#"{"resource":"v1","detail":"Unauthorized"}"#, 0, None),
            (r#"{"issuer":"https://x","token_endpoint":"https://x/token"}"#, 0, None),
            (r#"[{"resourceType":"Patient"},{"resourceType":"Patient"}]"#, 2, None),
            (r#"{"_sent":{"resourceType":"Patient"},"_read":{"resourceType":"Patient"},"_created":{}}"#, 2, None),
            (r#"{"_request":{"status":404},"body":{"_non_json_body":"<html></html>"}}"#, 0, None),
            (r#"{"status":503,"body":"<html></html>"}"#, 0, None),
            (r#"{"status":"200 OK","body":"{\"resourceType\":\"Patient\"}"}"#, 1, None),
            (r#"{"_request":{"status":403},"body":{"resourceType":"OperationOutcome","issue":[{"code":"forbidden"}]}}"#, 0, None),
            (r#"{"_request":{"status":200},"body":{"resourceType":"Patient"}}"#, 1, None),
        ] {
            let opened = open_document(json::parse(text.as_bytes(), 64).unwrap());
            assert_eq!((opened.matches.len(), opened.base()), (matches, base), "{text}");
            assert_eq!(opened.outcomes.is_empty(), matches > 0);
        }
    }

    /// Every text of a document is in a resource, or in what was left out.
    #[test]
    fn nothing_of_a_document_is_lost() {
        for text in [
            r#"{"_request":{"url":"u1"},"body":{"resourceType":"Bundle","id":"b1","type":"history","link":[{"url":"l1"}],"total":7,
                "entry":[{"fullUrl":"https://h:443/Patient/p1","resource":{"resourceType":"Patient","id":"p1"},"request":{"url":"q1"}},
                         {"request":{"method":"DELETE","url":"q2"}},{"response":{"status":"404","outcome":{"resourceType":"OperationOutcome","issue":[]}}}]}}"#,
            r#"{"_sent":{"resourceType":"Patient","id":"p1"},"_steps":["s1"]}"#,
            r#"{"resource":"v1","detail":"Unauthorized"}"#,
            r#"[{"resourceType":"Patient","id":"p1"},{"x":"s1"}]"#,
            r#"{"_created":{"resourceType":"OperationOutcome","issue":[{"diagnostics":"d1"}]},"_read":{"resourceType":"Bundle","id":"b1",
                "entry":[{"fullUrl":"https://h/Patient/p1","resource":{"resourceType":"Patient","id":"p1"}}]}}"#,
            r#"{"issuer":"https://x"}"#,
            r#"{"status":"503","body":"b1"}"#,
            r#"{"status":"200","body":"{\"resourceType\":\"Patient\",\"id\":\"p1\"}"}"#,
        ] {
            let document = json::parse(text.as_bytes(), 64).unwrap();
            let mut texts = Vec::new();
            collect(&document, &mut texts);
            let opened = open_document(document);
            let changes = opened.changes.iter().filter_map(|change| change.before.as_ref());
            let kept: String = opened.matches.iter().map(|opened| &opened.resource).chain(changes).map(json::write).collect();
            assert!(texts.iter().all(|leaf| kept.contains(leaf.as_str())), "{texts:?} of {kept}");
        }
    }

    fn collect(node: &crate::fhir::Node, texts: &mut Vec<String>) {
        texts.extend(node.as_text().map(str::to_owned));
        node.as_list().unwrap_or_default().iter().for_each(|item| collect(item, texts));
        node.as_object().map_or(&[][..], |object| object.members()).iter().for_each(|member| collect(&member.node, texts));
    }

    #[test]
    fn pages_and_foreign_xml_are_failures() {
        for (body, message) in [
            (&b"<!DOCTYPE html><html><title>404 - Not Found</title></html>"[..], Some("it does not have what was asked for")),
            (b"\xEF\xBB\xBF <html>M\xFCller</html>", Some("an HTML page")),
            (b"<?xml version=\"1.0\"?><Error>Access denied</Error>", Some("it does not allow the request")),
            (b"<Patient xmlns=\"http://hl7.org/fhir\">", None),
            (b"{", None),
            (b"", None),
        ] {
            let opened = open_foreign(body);
            assert_eq!(opened.is_some(), message.is_some());
            let Some((opened, message)) = opened.zip(message) else { continue };
            assert!(opened.outcomes[0].is_error() && opened.outcomes[0].text.contains(message), "{}", opened.outcomes[0].text);
            assert_eq!(opened.changes.len(), 1);
        }
    }
}
