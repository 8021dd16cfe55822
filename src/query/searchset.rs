//! A search's answer as a Bundle: one page of what may be shown, what came along, and what must be said about it.

use super::linked::Along;
use super::page::{self, ConsentState};
use super::{QUERY, QueryPath, reference};
use crate::clock::Instant;
use crate::consent::{HighWater, Notice, Permitted};
use crate::fhir::{Node, Object};
use crate::identity::Caller;
use crate::outcome::{Finding, IssueType, Severity};
use crate::problem::outcome_node;
use crate::search::{Projection, Query, Total, project};
use percent_encoding::utf8_percent_encode;

/// What a search answers, before it is written as a Bundle.
pub(super) struct Page {
    pub shown: Vec<Permitted>,
    pub total: usize,
    pub next: Option<String>,
    /// What the total, or the link to the next page, tells of without showing it.
    pub beyond: Vec<Permitted>,
}

impl QueryPath {
    pub(super) fn page(
        &self,
        caller: &Caller,
        query: &Query,
        permitted: Vec<Permitted>,
        from: usize,
        consents: ConsentState,
        now: Instant,
    ) -> Page {
        let total = permitted.len();
        let size = query.count().map_or(page::DEFAULT_PAGE, |count| usize::try_from(count).unwrap_or(usize::MAX)).min(page::MAX_PAGE);
        let size = if query.is_count_only() { 0 } else { size };
        let (mut before, shown, mut after) = page::cut(permitted, from, size);
        let end = from + shown.len();
        let next = (size > 0 && !after.is_empty()).then(|| self.pager.seal(caller, query, end, consents, now));
        let beyond = if query.total() == Some(Total::None) {
            // Without a total, a link tells that there is one more.
            after.truncate(usize::from(next.is_some()));
            after
        } else {
            before.append(&mut after);
            before
        };
        Page { shown, total, next, beyond }
    }

    pub(super) fn searchset(&self, query: &Query, page: Page, along: Along, mut unanswered: Vec<Node>) -> Node {
        let base = &self.base_url;
        let type_name = query.type_name();
        let mut links = vec![link("self", &self_url(base, type_name, query))];
        if let Some(token) = &page.next {
            links.push(link("next", &format!("{base}/{type_name}?{}={token}", page::PARAMETER)));
        }
        unanswered.extend(ignored_outcome(query));
        self.bundle(links, page, along, query.projection(), query.total() != Some(Total::None), unanswered)
    }

    /// The Bundle of a page: what was found, what came along, and what must be said about it.
    pub(super) fn bundle(
        &self,
        links: Vec<Node>,
        page: Page,
        along: Along,
        projection: &Projection,
        wants_total: bool,
        outcomes: Vec<Node>,
    ) -> Node {
        let noticed = page.shown.iter().chain(&along.resources).flat_map(|permitted| permitted.notices()).next().copied();
        let meta = self.label_of(page.shown.iter().chain(&along.resources));
        let mut entries: Vec<Node> = page.shown.into_iter().map(|permitted| self.entry(permitted, projection, "match")).collect();
        // What comes along comes whole: `_elements` and `_summary` speak of the type searched (R4 §3.1.1.5.9).
        let whole = Projection::default();
        entries.extend(along.resources.into_iter().map(|permitted| self.entry(permitted, &whole, "include")));
        entries.extend(along.is_cut.then(cut_outcome).map(outcome_entry));
        entries.extend(outcomes.into_iter().map(outcome_entry));
        entries.extend(noticed.map(|notice| outcome_entry(notice_outcome(notice))));
        Object::resource("Bundle")
            .with_some("meta", meta)
            .with("type", "searchset")
            .with_some("total", wants_total.then_some(page.total as u64))
            .with("link", links)
            .with_some("entry", (!entries.is_empty()).then_some(entries))
            .into()
    }

    /// The label of what is shown together.
    pub(super) fn label_of<'p>(&self, shown: impl Iterator<Item = &'p Permitted>) -> Option<Node> {
        let mut label = HighWater::new(&self.pipeline.labeller);
        for permitted in shown {
            label.add(permitted.resource());
            label.add_setting(permitted.setting());
        }
        label.meta()
    }

    pub(super) fn entry(&self, permitted: Permitted, projection: &Projection, mode: &str) -> Node {
        let resource = permitted.into_resource();
        let full_url = reference(&resource).map(|reference| format!("{}/{reference}", self.base_url));
        let resource = project(self.pipeline.definitions, &resource, projection);
        Object::new().with_some("fullUrl", full_url).with("resource", resource).with("search", Object::new().with("mode", mode)).into()
    }
}

pub(super) fn link(relation: &str, url: &str) -> Node {
    Object::new().with("relation", relation).with("url", url).into()
}

fn self_url(base: &str, type_name: &str, query: &Query) -> String {
    let escape = |text: &str| utf8_percent_encode(text, QUERY).to_string();
    let used: Vec<String> = query.used().iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    if used.is_empty() { format!("{base}/{type_name}") } else { format!("{base}/{type_name}?{}", used.join("&")) }
}

pub(super) fn outcome_entry(outcome: Node) -> Node {
    Object::new().with("resource", outcome).with("search", Object::new().with("mode", "outcome")).into()
}

/// The notice that goes with what is shown.
fn notice_outcome(notice: Notice) -> Node {
    let finding = Finding::new(Severity::Information, IssueType::Informational, notice.code(), notice.text());
    outcome_node(&[finding])
}

/// Says that something could not be read.
pub(super) fn damaged_outcome(count: usize) -> Option<Node> {
    let text = format!(
        "{count} record(s) that may be of what was asked for are damaged and are not shown, nor counted. The operator finds their names in the log."
    );
    let finding = Finding::new(Severity::Warning, IssueType::Exception, "damaged-records", text);
    (count > 0).then(|| outcome_node(&[finding]))
}

/// Says that more would have come along.
fn cut_outcome() -> Node {
    let text = "More resources would have been included than one page holds. Ask for smaller pages with _count.";
    outcome_node(&[Finding::new(Severity::Warning, IssueType::TooCostly, "included-cut", text)])
}

/// Says which parameters lenient handling passed over.
fn ignored_outcome(query: &Query) -> Option<Node> {
    let names = query.ignored();
    if names.is_empty() {
        return None;
    }
    let text = format!("These parameters are not known for {} and were not used: {}.", query.type_name(), names.join(", "));
    Some(outcome_node(&[Finding::new(Severity::Warning, IssueType::NotSupported, "ignored-parameter", text)]))
}
