//! Rule 3. Opening a Bundle of an upstream server: what it found, what it said about that, and where it goes on.
//!
//! Totals are ignored, because vendors count a page, guess, or leave them out. Nothing here follows a link: whoever does must check that it
//! still leads to the same server. What is left of the Bundle when its resources are out is one [`Change`], so that no leaf of it is lost.

use super::duplicates::Batch;
use super::entries::{Entry, Servers, common_base, too_many};
use super::patients::flag_several;
use super::record::Change;
use super::rule::ENVELOPE;
use super::rules::bytes::Preamble;
use super::source::plain_url;
use super::{Context, GatewayIds, Normalisation, SourceRules, normalise};
use crate::fhir::types::TypeTable;
use crate::fhir::{Node, Object, Value};
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
    pub matches: Vec<OpenedResource>,
    /// Resources that came along (`search.mode` = `include`).
    pub includes: Vec<OpenedResource>,
    /// The service base URL that the document was asked for by, where it was recorded.
    pub(super) requested_base: Option<String>,
    /// What the server said, errors when the answer cannot be trusted.
    pub outcomes: Vec<Finding>,
    /// The OperationOutcome of `outcomes`, where the gateway has told them so before; it stays as it is.
    pub outcome: Option<Node>,
    /// What of the envelope was left out: outcome entries, totals, and last the envelope itself.
    pub changes: Vec<Change>,
    /// The URL of the next page, without default port.
    pub next: Option<String>,
}

/// A resource out of its entry, if it was in one.
#[derive(Debug, Clone)]
pub struct OpenedResource {
    pub resource: Node,
    /// The entry's `fullUrl`, without default port.
    pub full_url: Option<String>,
    /// What was done to the entry: its URL put in plain form, the id taken from it.
    pub(super) changes: Vec<Change>,
}

impl OpenedResource {
    fn entry(&self) -> Entry<'_> {
        Entry { full_url: self.full_url.as_deref(), resource: &self.resource }
    }
}

/// Takes a Bundle of type `searchset` apart. What is no such Bundle gives an error among the outcomes and nothing else.
pub fn open_searchset(mut bundle: Node) -> Searchset {
    let mut opened = Searchset::default();
    match bundle.resource_type() {
        Some("OperationOutcome") => {
            opened.outcomes = upstream_issues(&bundle);
            opened.left_out("OperationOutcome".to_owned(), Some(bundle), None);
            return opened;
        }
        Some("Bundle") => {}
        _ => {
            let text = "the holder answered a search with something that is no Bundle";
            opened.outcomes.push(Finding::error(IssueType::Structure, "upstream-no-bundle", text));
            return opened;
        }
    }
    if bundle.get("implicitRules").is_some() {
        let text = "the holder's answer says that it was made by rules (implicitRules) this gateway does not know; it is not used";
        opened.outcomes.push(Finding::error(IssueType::NotSupported, "implicit-rules-unknown", text));
        opened.left_out("Bundle".to_owned(), Some(bundle), None);
        return opened;
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
    let emptied: Vec<Node> = entries.into_iter().enumerate().map(|(index, entry)| opened.take_entry(index, entry, &labels)).collect();
    if !emptied.is_empty()
        && let Some(bundle) = bundle.as_object_mut()
    {
        bundle.set("entry", emptied);
    }
    opened.left_out("Bundle".to_owned(), Some(bundle), None);
    opened
}

impl Searchset {
    /// The service base URL that most of the fullUrls were made from, where they were, else the one that was asked.
    pub fn base(&self) -> Option<&str> {
        common_base(self.entries()).or(self.requested_base.as_deref())
    }

    fn entries(&self) -> impl Iterator<Item = Entry<'_>> + Clone {
        self.matches.iter().chain(&self.includes).map(OpenedResource::entry)
    }

    /// Leaves out what its fullUrl puts on another server than the one that was asked and the one most of the answer is from: a reference in it to
    /// `Patient/3` is to that server's. Answers how many.
    pub fn leave_out_foreign(&mut self, asked: &str) -> usize {
        let own = common_base(self.entries()).map(str::to_owned);
        let before = self.matches.len();
        let is_own = |base: &str| base == asked || Some(base) == own.as_deref();
        self.matches.retain(|opened| opened.entry().read_url().is_none_or(|url| is_own(url.base)));
        before - self.matches.len()
    }

    /// Adds what another document holds.
    pub(super) fn absorb(&mut self, other: Searchset) {
        self.matches.extend(other.matches);
        self.includes.extend(other.includes);
        self.outcomes.extend(other.outcomes);
        self.changes.extend(other.changes);
    }

    /// Every resource, normalised in order as one batch. The fullUrls lead from one to the other; the base most of them were made from is the
    /// source's, where none is configured.
    pub fn normalise(
        &mut self,
        source: &SourceRules,
        ids: &GatewayIds,
        types: &TypeTable,
        preamble: &Preamble,
        batch: &mut Batch,
    ) -> Vec<Normalisation> {
        let mut source = source.clone();
        self.base().filter(|_| !source.has_base()).into_iter().for_each(|base| source.add_base(base));
        let Some(servers) = Servers::of(&source, self.entries()) else {
            self.outcomes.push(too_many());
            return Vec::new();
        };
        let links = servers.links(ids, self.entries());
        let opened = std::mem::take(&mut self.matches).into_iter().chain(std::mem::take(&mut self.includes));
        let one = |opened: OpenedResource| {
            let rules = servers.rules(opened.entry());
            let context = Context { source: rules, ids, links: &links, types, declared: None };
            let finding = opened.entry().name_finding(rules);
            let mut done = normalise(opened.resource, &context);
            done.changes.splice(0..0, opened.changes);
            done.findings.extend(finding);
            preamble.before(done.resource.as_object(), &mut done.changes, &mut done.findings);
            batch.examine(&mut done, &context);
            done
        };
        let mut all: Vec<Normalisation> = opened.map(one).collect();
        flag_several(all.iter_mut().map(|done| (&done.resource, &mut done.findings)), types);
        all
    }

    fn left_out(&mut self, path: String, before: Option<Node>, after: Option<Node>) {
        self.changes.push(Change { rule: ENVELOPE, path, before, after });
    }

    /// Takes the resource out of an entry; answers what is left of the entry.
    fn take_entry(&mut self, index: usize, mut entry: Node, labels: &[Node]) -> Node {
        let path = format!("Bundle.entry[{index}]");
        if index >= MAX_ENTRIES {
            return entry;
        }
        if holds_modifier(&entry) || entry.get("search").is_some_and(holds_modifier) {
            let text =
                "an entry has a modifierExtension that is not understood, so it cannot be told what the entry means; it was left out";
            let place = format!("{path}.modifierExtension");
            self.outcomes.push(Finding::error(IssueType::Extension, "modifier-extension-unknown", text).at(place));
            return entry;
        }
        if let Some(outcome) = entry.get("response").and_then(|response| response.get("outcome")) {
            self.outcomes.extend(upstream_issues(outcome));
        }
        let Some(resource) =
            entry.as_object_mut().and_then(|entry| entry.remove("resource")).filter(|resource| resource.value != Value::Null)
        else {
            // A deletion, or the answer to one, has nothing else to say.
            if entry.get("request").is_none() && entry.get("response").is_none() {
                let text = "an entry of the holder's answer has no resource; it was passed over";
                self.outcomes.push(Finding::new(Severity::Warning, IssueType::Structure, "upstream-empty-entry", text));
            }
            return entry;
        };
        let mode = entry.text_at(&["search", "mode"]).unwrap_or("match");
        if mode == "outcome" || resource.resource_type() == Some("OperationOutcome") {
            self.outcomes.extend(upstream_issues(&resource));
            self.left_out(format!("{path}.resource"), Some(resource), None);
            return entry;
        }
        let is_include = mode == "include";
        self.take_resource(is_include, resource, &entry, &path, labels);
        entry
    }

    fn take_resource(&mut self, is_include: bool, mut resource: Node, entry: &Node, path: &str, labels: &[Node]) {
        let mut changes = Vec::new();
        let full_url = full_url(entry);
        if let Some(full_url) = &full_url {
            let written = entry.get("fullUrl").cloned();
            if written.as_ref().and_then(Node::as_text) != Some(full_url) {
                let after = Some(full_url.as_str().into());
                changes.push(Change { rule: ENVELOPE, path: format!("{path}.fullUrl"), before: written, after });
            }
            changes.extend(name_by_url(&mut resource, full_url, path));
        }
        if let Some(resource) = resource.as_object_mut() {
            add_labels(resource, labels);
        }
        let opened = if is_include { &mut self.includes } else { &mut self.matches };
        opened.push(OpenedResource { resource, full_url, changes });
    }
}

fn holds_modifier(node: &Node) -> bool {
    node.get("modifierExtension").is_some()
}

/// Gives a resource without an id the one in its entry's `urn:uuid:` or `urn:oid:`, which is all that names it, so that others' references find it.
fn name_by_url(resource: &mut Node, full_url: &str, path: &str) -> Option<Change> {
    let name = full_url.strip_prefix("urn:uuid:").or_else(|| full_url.strip_prefix("urn:oid:")).filter(|name| !name.is_empty())?;
    let resource = resource.as_object_mut().filter(|resource| resource.get("id").is_none() && resource.get("resourceType").is_some())?;
    resource.set_at(1, "id", name);
    Some(Change { rule: ENVELOPE, path: format!("{path}.resource.id"), before: None, after: Some(name.into()) })
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
    use super::super::open_document;
    use super::{MAX_ENTRIES, MAX_LABELS, open_searchset};
    use crate::fhir::json;
    use crate::outcome::Severity;

    #[test]
    fn an_entry_whose_resource_is_null_has_none() {
        let text = r#"{"resourceType":"Bundle","type":"searchset","entry":[{"fullUrl":"https://h/Patient/1","resource":null}]}"#;
        let opened = open_searchset(json::parse(text.as_bytes(), 16).unwrap());
        assert!(opened.matches.is_empty());
        assert_eq!(opened.outcomes.iter().map(|finding| finding.message_id).collect::<Vec<_>>(), ["upstream-empty-entry"]);
    }

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
        assert_eq!(opened.matches[0].full_url.as_deref(), Some("https://h/r4/Patient/1"));
        assert_eq!(opened.matches[0].resource.get("meta").unwrap().items("security").len(), 1);
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
            assert!(json::write(opened.changes[0].before.as_ref().unwrap()).contains("\"Patient\""), "the entry is on record");
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
            (r#"{"resourceType":"Bundle","implicitRules":"http://x","entry":[{"resource":{"resourceType":"Patient"}}]}"#, 1, 1),
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
