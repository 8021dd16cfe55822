//! Rule 3. Opening a search Bundle of an upstream server: what it found, what it said about that, and where it goes on.
//!
//! Totals are ignored, because vendors count a page, guess, or leave them out. Nothing here follows a link: whoever does must check that it
//! still leads to the same server.

use super::duplicates::Batch;
use super::record::Change;
use super::rule::{ENVELOPE, VENDOR_ERRORS};
use super::rules::bytes::Preamble;
use super::source::plain_url;
use super::vendor_error::vendor_error;
use super::{Context, GatewayIds, Links, Normalisation, SourceRules, normalise};
use crate::fhir::types::TypeTable;
use crate::fhir::{Node, Object, Value, json};
use crate::outcome::{Finding, IssueType, Severity};

/// The entries of one page that are taken. Vendors send up to some 1,600; a page beyond this is not a page.
pub const MAX_ENTRIES: usize = 10_000;

/// Security labels of a whole Bundle that are given to each of its resources.
pub const MAX_LABELS: usize = 64;

/// Issues of one OperationOutcome that are reported on.
const MAX_ISSUES: usize = 50;

/// A search Bundle taken apart.
#[derive(Debug, Clone, Default)]
pub struct Searchset {
    /// Resources that answer the search.
    pub matches: Vec<Node>,
    /// Resources that came along (`search.mode` = `include`).
    pub includes: Vec<Node>,
    /// `fullUrl` without default port, and `Type/id` of the resource under it; for [`Links`].
    pub full_urls: Vec<(String, String)>,
    /// What the server said, errors when the answer cannot be trusted.
    pub outcomes: Vec<Finding>,
    /// What of the envelope was left out: outcome entries, totals, URLs put in plain form.
    pub changes: Vec<Change>,
    /// The URL of the next page, without default port.
    pub next: Option<String>,
}

/// Takes a whole document apart: a Bundle of any type, one resource, or a recorded response with either in its `body`.
///
/// A recorded response is `{"_request": {"status": 200, …}, "body": …}`; one that failed becomes what [`vendor_error`] says of it.
pub fn open_document(mut document: Node) -> Searchset {
    if document.resource_type().is_none()
        && let Some(body) = document.as_object_mut().and_then(|object| object.remove("body"))
    {
        let status = document.get("_request").and_then(|request| request.get("status")).and_then(Node::as_number);
        if let Some(status) = status.and_then(|status| status.parse().ok()).filter(|status| *status >= 400) {
            return failed(status, body);
        }
        document = body;
    }
    match document.resource_type() {
        Some("Bundle" | "OperationOutcome") => open_searchset(document),
        Some(_) => Searchset { matches: vec![document], ..Searchset::default() },
        None if !recorded(&document).is_empty() => Searchset { matches: recorded(&document), ..Searchset::default() },
        None => {
            let outcomes = vec![Finding::error(IssueType::Structure, "upstream-no-resource", "the document holds no FHIR resource")];
            Searchset { outcomes, ..Searchset::default() }
        }
    }
}

/// The resources a protocol of several steps holds by the names of its steps.
fn recorded(protocol: &Node) -> Vec<Node> {
    let members = protocol.as_object().map(Object::members).unwrap_or_default();
    members.iter().map(|member| &member.node).filter(|node| node.resource_type().is_some()).cloned().collect()
}

/// A recorded failure. Bodies that were no JSON are recorded as the text they were.
fn failed(status: u16, body: Node) -> Searchset {
    let written = body.text("_non_json_body").or_else(|| body.as_text()).map_or_else(|| json::write(&body), str::to_owned);
    let outcomes = vendor_error(status, None, written.as_bytes());
    let changes = vec![Change { rule: VENDOR_ERRORS, path: "body".to_owned(), before: Some(body), after: None }];
    Searchset { outcomes, changes, ..Searchset::default() }
}

/// Takes a Bundle of type `searchset` apart. What is no such Bundle gives an error among the outcomes and nothing else.
pub fn open_searchset(mut bundle: Node) -> Searchset {
    let mut opened = Searchset::default();
    match bundle.resource_type() {
        Some("OperationOutcome") => {
            opened.outcomes = upstream_issues(&bundle);
            return opened;
        }
        Some("Bundle") => {}
        _ => {
            let text = "the holder answered a search with something that is no Bundle";
            opened.outcomes.push(Finding::error(IssueType::Structure, "upstream-no-bundle", text));
            return opened;
        }
    }
    opened.next = next_link(&bundle);
    if let Some(total) = bundle.as_object_mut().and_then(|bundle| bundle.remove("total")) {
        opened.left_out("Bundle.total".to_owned(), Some(total), None);
    }
    let labels = bundle.get("meta").map(|meta| meta.items("security").to_vec()).unwrap_or_default();
    if labels.len() > MAX_LABELS {
        let text = format!("the holder's answer carries more than {MAX_LABELS} security labels; it is not used, since none may be lost");
        opened.outcomes.push(Finding::error(IssueType::TooCostly, "upstream-too-many-labels", text));
        return opened;
    }
    let entries = match bundle.get_mut("entry").map(|node| &mut node.value) {
        Some(Value::List(entries)) => std::mem::take(entries),
        _ => Vec::new(),
    };
    if entries.len() > MAX_ENTRIES {
        let text = format!("the holder sent more than {MAX_ENTRIES} entries in one page; those beyond were left out");
        opened.outcomes.push(Finding::error(IssueType::TooCostly, "upstream-page-too-long", text));
    }
    for (index, entry) in entries.into_iter().take(MAX_ENTRIES).enumerate() {
        opened.take_entry(index, entry, &labels);
    }
    opened
}

impl Searchset {
    /// The service base URL that the fullUrls were made from, where they were.
    pub fn base(&self) -> Option<&str> {
        let below = |(url, local): &'_ (String, String)| {
            url.len().checked_sub(local.len() + 1).filter(|_| url.starts_with("http") && url.ends_with(local.as_str()))
        };
        let (index, end) = self.full_urls.iter().enumerate().find_map(|(index, pair)| Some((index, below(pair)?)))?;
        self.full_urls.get(index)?.0.get(..end)
    }

    /// Every resource, normalised in order as one batch. The fullUrls lead from one to the other; the base they were made from is the source's.
    pub fn normalise(
        &mut self,
        source: &SourceRules,
        ids: &GatewayIds,
        types: &TypeTable,
        preamble: &Preamble,
        batch: &mut Batch,
    ) -> Vec<Normalisation> {
        let mut source = source.clone();
        self.base().into_iter().for_each(|base| source.add_base(base));
        let mut links = Links::new();
        for (url, local) in &self.full_urls {
            if let Some((type_name, id)) = local.split_once('/') {
                links.insert(url, &format!("{type_name}/{}", ids.id(source.name(), type_name, id)));
            }
        }
        let context = Context { source: &source, ids, links: &links, types, declared: None };
        let resources = std::mem::take(&mut self.matches).into_iter().chain(std::mem::take(&mut self.includes));
        let one = |resource| {
            let mut done = normalise(resource, &context);
            preamble.before(done.resource.as_object(), &mut done.changes, &mut done.findings);
            batch.examine(&mut done, &context);
            done
        };
        resources.map(one).collect()
    }

    fn left_out(&mut self, path: String, before: Option<Node>, after: Option<Node>) {
        self.changes.push(Change { rule: ENVELOPE, path, before, after });
    }

    fn take_entry(&mut self, index: usize, mut entry: Node, labels: &[Node]) {
        let mode = entry.text_at(&["search", "mode"]).unwrap_or("match").to_owned();
        let full_url = full_url(&entry);
        if let (Some(written), Some(plain)) = (entry.get("fullUrl"), &full_url)
            && written.as_text() != Some(plain)
        {
            let before = Some(written.clone());
            self.left_out(format!("Bundle.entry[{index}].fullUrl"), before, Some(plain.as_str().into()));
        }
        let holds_modifier = |node: &Node| node.get("modifierExtension").is_some();
        if holds_modifier(&entry) || entry.get("search").is_some_and(holds_modifier) {
            let text =
                "an entry has a modifierExtension that is not understood, so it cannot be told what the entry means; it was left out";
            let path = format!("Bundle.entry[{index}]");
            self.outcomes
                .push(Finding::error(IssueType::Extension, "modifier-extension-unknown", text).at(format!("{path}.modifierExtension")));
            return self.left_out(path, Some(entry), None);
        }
        let Some(mut resource) = entry.as_object_mut().and_then(|entry| entry.remove("resource")) else {
            let text = "an entry of the holder's answer has no resource; it was passed over";
            self.outcomes.push(Finding::new(Severity::Warning, IssueType::Structure, "upstream-empty-entry", text));
            return;
        };
        if mode == "outcome" || resource.resource_type() == Some("OperationOutcome") {
            self.outcomes.extend(upstream_issues(&resource));
            self.left_out(format!("Bundle.entry[{index}].resource"), Some(resource), None);
            return;
        }
        if let (Some(url), Some(type_name), Some(id)) = (full_url, resource.resource_type(), resource.text("id")) {
            self.full_urls.push((url, format!("{type_name}/{id}")));
        }
        if let Some(resource) = resource.as_object_mut() {
            add_labels(resource, labels);
        }
        if mode == "include" { self.includes.push(resource) } else { self.matches.push(resource) }
    }
}

/// `entry.fullUrl`, also when a vendor wraps it in a list.
fn full_url(entry: &Node) -> Option<String> {
    let node = entry.get("fullUrl")?;
    let text = node.as_text().or_else(|| node.as_list()?.first()?.as_text())?;
    Some(plain_url(text.trim()).into_owned())
}

fn next_link(bundle: &Node) -> Option<String> {
    let next = bundle.items("link").iter().find(|link| link.text("relation") == Some("next"))?;
    Some(plain_url(next.text("url")?.trim()).into_owned())
}

/// Labels of the whole answer hold for every part of it.
fn add_labels(resource: &mut Object, labels: &[Node]) {
    if labels.is_empty() {
        return;
    }
    let mut meta = resource.get("meta").and_then(Node::as_object).cloned().unwrap_or_default();
    let mut security = meta.get("security").and_then(Node::as_list).unwrap_or_default().to_vec();
    for label in labels {
        if !security.contains(label) {
            security.push(label.clone());
        }
    }
    meta.set("security", security);
    resource.set("meta", meta);
}

/// The issues of an upstream OperationOutcome as findings. Their texts are ours: the server's own may name patients.
pub(super) fn upstream_issues(outcome: &Node) -> Vec<Finding> {
    outcome.items("issue").iter().take(MAX_ISSUES).map(upstream_issue).collect()
}

fn upstream_issue(issue: &Node) -> Finding {
    if is_ignored_parameter(issue) {
        let text = "the holder ignored a search parameter, so its answer may hold more than was asked for; it is not used";
        return Finding::error(IssueType::NotSupported, "upstream-parameter-ignored", text);
    }
    let severity = match issue.text("severity") {
        Some("information") => Severity::Information,
        Some("warning") => Severity::Warning,
        Some("fatal") => Severity::Fatal,
        _ => Severity::Error,
    };
    let word = issue
        .text("code")
        .filter(|code| code.len() <= 20 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
        .unwrap_or("unknown");
    let (code, meaning) = match word {
        "suppressed" => (IssueType::Incomplete, "left out results that this client or user may not see there"),
        "not-found" => (IssueType::NotFound, "does not have what was asked for"),
        "security" | "forbidden" => (IssueType::Forbidden, "does not allow the request"),
        "login" | "expired" | "unknown-login" => (IssueType::Login, "does not accept the gateway's credentials"),
        "not-supported" => (IssueType::NotSupported, "does not support the request"),
        "throttled" => (IssueType::Throttled, "answers fewer requests than were sent"),
        "timeout" | "transient" | "lock-error" | "no-store" => (IssueType::Transient, "could not answer at this time"),
        "too-costly" => (IssueType::TooCostly, "finds the request too costly"),
        "informational" => (IssueType::Informational, "remarked on the answer"),
        _ => (IssueType::Processing, "reported a problem"),
    };
    Finding::new(severity, code, "upstream-issue", format!("the holder {meaning} (its issue code: {word})"))
}

/// Epic answers an unknown search parameter with everything and a remark of severity information. Whoever filtered by it must not use the answer.
fn is_ignored_parameter(issue: &Node) -> bool {
    let said = [issue.text_at(&["details", "text"]), issue.text("diagnostics")];
    said.into_iter().flatten().any(|text| {
        let text = text.to_ascii_lowercase();
        text.contains("parameter") && (text.contains("ignored") || text.contains("ignoring"))
    })
}

#[cfg(test)]
mod tests {
    use super::{MAX_ENTRIES, MAX_LABELS, open_document, open_searchset};
    use crate::fhir::json;
    use crate::outcome::Severity;

    #[test]
    fn opening() {
        let text = r#"{"resourceType":"Bundle","type":"searchset","total":1000,
            "meta":{"security":[{"code":"R"}]},
            "link":[{"relation":"self","url":"https://h:443/a"},{"relation":"next","url":"https://h:443/a?continue=x"}],
            "entry":[
              {"fullUrl":["https://h:443/r4/Patient/1"],"resource":{"resourceType":"Patient","id":"1"}},
              {"resource":{"resourceType":"Organization","id":"2"},"search":{"mode":"include"}},
              {"fullUrl":"urn:uuid:1","resource":{"resourceType":"OperationOutcome","issue":[
                {"severity":"warning","code":"suppressed","diagnostics":"Jane Doe"},
                {"severity":"information","code":"informational","diagnostics":"Parameter has been ignored: foo"}]},"search":{"mode":"outcome"}},
              {"search":{"mode":"match"}}]}"#;
        let opened = open_searchset(json::parse(text.as_bytes(), 64).unwrap());
        assert_eq!((opened.matches.len(), opened.includes.len()), (1, 1));
        assert_eq!(opened.next.as_deref(), Some("https://h/a?continue=x"));
        assert_eq!(opened.full_urls, [("https://h/r4/Patient/1".to_owned(), "Patient/1".to_owned())]);
        assert_eq!(opened.matches[0].get("meta").unwrap().items("security").len(), 1);
        let severities: Vec<Severity> = opened.outcomes.iter().map(|finding| finding.severity).collect();
        assert_eq!(severities, [Severity::Warning, Severity::Error, Severity::Warning]);
        assert!(opened.outcomes.iter().all(|finding| !finding.text.contains("Doe")));
    }

    #[test]
    fn an_entry_that_may_mean_its_opposite_is_left_out() {
        for entry in [
            r#"{"modifierExtension":[{"url":"u"}],"resource":{"resourceType":"Patient","id":"1"}}"#,
            r#"{"search":{"mode":"match","modifierExtension":[{"url":"u"}]},"resource":{"resourceType":"Patient","id":"1"}}"#,
        ] {
            let opened = open_document(
                json::parse(format!(r#"{{"resourceType":"Bundle","type":"collection","entry":[{entry}]}}"#).as_bytes(), 64).unwrap(),
            );
            assert!(opened.matches.is_empty() && opened.outcomes[0].is_error());
            assert_eq!((opened.outcomes[0].message_id, opened.changes.len()), ("modifier-extension-unknown", 1));
        }
    }

    #[test]
    fn documents() {
        for (text, matches, base) in [
            (
                r#"{"body":{"resourceType":"Bundle","entry":[{"fullUrl":"https://h:443/r4/Patient/1","resource":{"resourceType":"Patient","id":"1"}}]}}"#,
                1,
                Some("https://h/r4"),
            ),
            (r#"{"_request":{},"body":{"resourceType":"Patient"}}"#, 1, None),
            (r#"{"resourceType":"Patient"}"#, 1, None),
            (r#"{"resourceType":"OperationOutcome","issue":[{"code":"x"}]}"#, 0, None),
            (r#"{"body":"<html>"}"#, 0, None),
            (r#"{"_sent":{"resourceType":"Patient"},"_read":{"resourceType":"Patient"},"_created":{}}"#, 2, None),
            (r#"{"_request":{"status":404},"body":{"_non_json_body":"<html></html>"}}"#, 0, None),
            (r#"{"_request":{"status":403},"body":{"resourceType":"OperationOutcome","issue":[{"code":"forbidden"}]}}"#, 0, None),
            (r#"{"_request":{"status":200},"body":{"resourceType":"Patient"}}"#, 1, None),
        ] {
            let opened = open_document(json::parse(text.as_bytes(), 64).unwrap());
            assert_eq!((opened.matches.len(), opened.base()), (matches, base), "{text}");
            assert_eq!(opened.outcomes.is_empty(), matches > 0);
        }
    }

    #[test]
    fn limits() {
        let list = |item: &str, count: usize| vec![item; count].join(",");
        let labels = format!(
            r#"{{"resourceType":"Bundle","meta":{{"security":[{}]}},"entry":[{{"resource":{{"resourceType":"X"}}}}]}}"#,
            list("{}", MAX_LABELS + 1)
        );
        let entries = format!(r#"{{"resourceType":"Bundle","entry":[{}]}}"#, list(r#"{"resource":{"resourceType":"X"}}"#, MAX_ENTRIES + 1));
        for (text, matches) in [(labels, 0), (entries, MAX_ENTRIES)] {
            let opened = open_searchset(json::parse(text.as_bytes(), 64).unwrap());
            assert_eq!(opened.matches.len(), matches);
            assert!(opened.outcomes.iter().any(|finding| finding.is_error()));
        }
    }

    #[test]
    fn what_is_no_searchset() {
        for (text, outcomes, errors) in [
            (r#"{"resourceType":"Bundle"}"#, 0, 0),
            (r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"login"}]}"#, 1, 1),
            (r#"{"detail":"Unauthorized"}"#, 1, 1),
            ("[]", 1, 1),
        ] {
            let opened = open_searchset(json::parse(text.as_bytes(), 64).unwrap());
            assert_eq!(opened.outcomes.len(), outcomes, "{text}");
            assert_eq!(opened.outcomes.iter().filter(|finding| finding.is_error()).count(), errors);
            assert!(opened.matches.is_empty() && opened.next.is_none());
        }
    }
}
