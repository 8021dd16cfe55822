//! Bundles as a whole (<https://hl7.org/fhir/R4/bundle.html>): full URLs, search results, and what belongs to a document or message.

mod links;
mod search;
mod signature;

use super::path::Path;
use super::primitives::has_scheme;
use super::references;
use super::report::Rule;
use super::structure::Walk;
use crate::fhir::{Node, Value};
use crate::outcome::{IssueType, Severity};
use std::collections::{HashMap, VecDeque};

const NOT_ABSOLUTE: Rule = Rule::error(IssueType::Invalid, "BUNDLE_ENTRY_URL_ABSOLUTE");
const NOT_THE_ID: Rule = Rule::error(IssueType::Invalid, "BUNDLE_ENTRY_URL_MATCHES_TYPE_ID");
const NO_ID: Rule = Rule::error(IssueType::Invalid, "BUNDLE_ENTRY_URL_MATCHES_NO_ID");
const CANONICAL_ELSEWHERE: Rule = Rule::error(IssueType::Invalid, "Bundle_BUNDLE_Entry_MismatchIdUrl");
const NO_FULL_URL: Rule = Rule::error(IssueType::Invalid, "BUNDLE_BUNDLE_ENTRY_FULLURL_REQUIRED");
const EMPTY: Rule = Rule::error(IssueType::Invalid, "BUNDLE_BUNDLE_ENTRY_NOFIRST");
const NOT_FOUND: Rule = Rule::error(IssueType::NotFound, "Bundle_BUNDLE_Entry_NotFound");
const FOUND_TWICE: Rule = Rule::error(IssueType::Invalid, "BUNDLE_BUNDLE_ENTRY_FOUND_MULTIPLE");
const NO_COMPOSITION: Rule = Rule::error(IssueType::Invalid, "Bundle_BUNDLE_Entry_Document");
const NO_HEADER: Rule = Rule::error(IssueType::Invalid, "Validation_BUNDLE_Message");
const NO_FIRST_RESOURCE: Rule = Rule::error(IssueType::Invalid, "Bundle_BUNDLE_Entry_NoFirstResource");
const ORPHAN_IN_DOCUMENT: Rule = Rule::error(IssueType::Informational, "Bundle_BUNDLE_Entry_Orphan_DOCUMENT");
const ORPHAN_IN_MESSAGE: Rule = Rule::warning(IssueType::Informational, "Bundle_BUNDLE_Entry_Orphan_MESSAGE");
const REACHED_BACKWARDS: Rule = Rule::warning(IssueType::Informational, "BUNDLE_BUNDLE_ENTRY_REVERSE_R4");

/// What a Composition refers to that must be in the document (<https://hl7.org/fhir/R4/documents.html#content>).
const DOCUMENT_MEMBERS: [&str; 6] = ["subject", "encounter", "author", "custodian", "attester", "event"];

/// Bundles whose entries need no fullUrl: what they hold may have no place yet, or is named by its request.
const WITHOUT_FULL_URLS: [&str; 4] = ["transaction", "transaction-response", "batch", "batch-response"];

/// Judges a Bundle.
pub fn check(walk: &mut Walk<'_>, bundle: &Node, path: &Path<'_>) {
    let kind = bundle.text("type").unwrap_or_default();
    let entries = Entries::of(bundle.items("entry"));
    let name = path.name("entry");
    for (index, entry) in entries.all.iter().enumerate() {
        full_url(walk, kind, entry, &name.index(index));
    }
    links::check(walk, bundle, kind, path);
    signature::check(walk, bundle, path);
    match kind {
        "document" | "message" if entries.all.is_empty() => {
            walk.report.add(EMPTY, path, bundle, "A document or message begins with the entry that says what it is");
        }
        "document" => {
            if first_is(walk, &entries, "Composition", NO_COMPOSITION, &name) {
                document(walk, &entries, &name);
            }
            let sheets = links::style_sheets(bundle);
            let is_sheet = |entry: &Node| entry.get("resource").and_then(links::named).is_some_and(|named| sheets.contains(&named));
            orphans(walk, &entries, is_sheet, ORPHAN_IN_DOCUMENT, &name);
        }
        "message" => {
            if first_is(walk, &entries, "MessageHeader", NO_HEADER, &name) {
                message(walk, &entries, &name);
            }
            orphans(walk, &entries, |_| false, ORPHAN_IN_MESSAGE, &name);
        }
        "searchset" => search::check(walk, bundle, path),
        _ => {}
    }
}

fn full_url(walk: &mut Walk<'_>, kind: &str, entry: &Node, path: &Path<'_>) {
    let resource = entry.get("resource");
    let Some(url) = entry.text("fullUrl") else {
        let is_required = !WITHOUT_FULL_URLS.contains(&kind) && !kind.is_empty();
        if is_required {
            walk.report.add(NO_FULL_URL, path, entry, "An entry here must have a fullUrl");
        }
        return;
    };
    if !has_scheme(url) {
        return walk.report.add(NOT_ABSOLUTE, path, entry, "The fullUrl of an entry must be absolute");
    }
    let Some(resource) = resource else { return };
    let Some((type_in_url, id_in_url)) = type_and_id(walk, url) else {
        // Definitions of HL7 version 2 and 3 are published under URLs of their own.
        let is_elsewhere = ["http://hl7.org/fhir/v2/", "http://hl7.org/fhir/v3/"].iter().any(|place| url.starts_with(place));
        if resource.text("url") == Some(url) && !is_elsewhere {
            let text = "The fullUrl is the resource's canonical URL, which is no place of the resource: it does not end in type and id";
            walk.report.add(CANONICAL_ELSEWHERE, &path.name("resource"), resource, text);
        }
        return;
    };
    match resource.text("id") {
        Some(id) if id != id_in_url || resource.resource_type() != Some(type_in_url) => {
            walk.report.add(NOT_THE_ID, path, entry, "The fullUrl must end in the resource's type and id");
        }
        Some(_) => {}
        None => walk.report.add(NO_ID, path, entry, "The fullUrl names an id, and the resource has none"),
    }
}

/// The end of a URL that names a resource on a server; other URLs, and those of other schemes, say nothing of type and id. Behind the URL of one version
/// there is more than the id.
fn type_and_id<'u>(walk: &Walk<'_>, url: &'u str) -> Option<(&'u str, &'u str)> {
    let of_any = url.rsplit_once("/_history/").map_or(url, |(of_any, _)| of_any);
    let (front, _) = of_any.rsplit_once('/').filter(|_| url.starts_with("http:") || url.starts_with("https:"))?;
    let (_, type_name) = front.rsplit_once('/')?;
    let id = url.get(front.len() + 1..)?;
    walk.types.resource(type_name).map(|_| (type_name, id))
}

/// The entries, and where each full URL stands.
struct Entries<'a> {
    all: &'a [Node],
    by_url: HashMap<&'a str, Vec<usize>>,
}

/// What a reference in an entry leads to.
enum Target {
    One(usize),
    Several,
    None,
}

impl<'a> Entries<'a> {
    fn of(all: &'a [Node]) -> Entries<'a> {
        let mut by_url: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, entry) in all.iter().enumerate() {
            if let Some(url) = entry.text("fullUrl") {
                by_url.entry(url).or_default().push(index);
            }
        }
        Entries { all, by_url }
    }

    /// Resolves a reference that stands in an entry: relative ones by the base of its full URL.
    fn resolve(&self, reference: &str, from: usize) -> Target {
        let (current, version) =
            reference.split_once("/_history/").map_or((reference, None), |(current, version)| (current, Some(version)));
        let full_url = || self.all.get(from).and_then(|entry| entry.text("fullUrl"));
        let url =
            if has_scheme(current) { Some(current.to_owned()) } else { full_url().and_then(|url| references::absolute(url, current)) };
        let found = url.and_then(|url| self.by_url.get(url.as_str())).map(Vec::as_slice).unwrap_or_default();
        let is_version = |index: &&usize| {
            let stated = self.all.get(**index).and_then(|entry| entry.get("resource")?.text_at(&["meta", "versionId"]));
            version.is_none_or(|version| stated == Some(version))
        };
        let mut fitting = found.iter().filter(is_version);
        match (fitting.next(), fitting.next()) {
            (Some(&one), None) => Target::One(one),
            (Some(_), Some(_)) => Target::Several,
            _ => Target::None,
        }
    }
}

/// Whether the first entry is what the kind of Bundle asks for.
fn first_is(walk: &mut Walk<'_>, entries: &Entries<'_>, type_name: &str, rule: Rule, name: &Path<'_>) -> bool {
    let Some(entry) = entries.all.first() else { return false };
    let at = name.index(0);
    let Some(resource) = entry.get("resource") else {
        walk.report.add(NO_FIRST_RESOURCE, &at, entry, format!("The first entry must hold a {type_name}"));
        return false;
    };
    let is_right = resource.resource_type() == Some(type_name);
    if !is_right {
        walk.report.add(rule, &at.name("resource"), resource, format!("The first entry must hold a {type_name}"));
    }
    is_right
}

/// What a MessageHeader is about must be in the message.
fn message(walk: &mut Walk<'_>, entries: &Entries<'_>, name: &Path<'_>) {
    let Some(header) = entries.all.first().and_then(|entry| entry.get("resource")) else { return };
    let (first, focus) = (name.index(0), "focus");
    let resource = first.name("resource");
    let at = resource.name(focus);
    for (index, reference) in header.items(focus).iter().enumerate() {
        in_document(walk, entries, Some(reference), &at.index(index));
    }
}

/// Everything a document's Composition speaks of must be in the document.
fn document(walk: &mut Walk<'_>, entries: &Entries<'_>, name: &Path<'_>) {
    let Some(composition) = entries.all.first().and_then(|entry| entry.get("resource")) else { return };
    let first = name.index(0);
    let path = first.name("resource");
    for member in DOCUMENT_MEMBERS {
        let Some(node) = composition.get(member) else { continue };
        let at = path.name(member);
        let references = node.as_list().unwrap_or(std::slice::from_ref(node));
        for (index, reference) in references.iter().enumerate() {
            let indexed = at.index(index);
            let at = if node.as_list().is_some() { &indexed } else { &at };
            match member {
                "attester" => in_document(walk, entries, reference.get("party"), at),
                "event" => {
                    let name = at.name("detail");
                    for (index, detail) in reference.items("detail").iter().enumerate() {
                        in_document(walk, entries, Some(detail), &name.index(index));
                    }
                }
                _ => in_document(walk, entries, Some(reference), at),
            }
        }
    }
    sections(walk, entries, composition, &path, 0);
}

fn sections(walk: &mut Walk<'_>, entries: &Entries<'_>, parent: &Node, path: &Path<'_>, depth: usize) {
    if depth == super::DEPTH_MAX {
        return;
    }
    let name = path.name("section");
    for (index, section) in parent.items("section").iter().enumerate() {
        let at = name.index(index);
        in_document(walk, entries, section.get("focus"), &at.name("focus"));
        let author = at.name("author");
        for (index, reference) in section.items("author").iter().enumerate() {
            in_document(walk, entries, Some(reference), &author.index(index));
        }
        let entry = at.name("entry");
        for (index, reference) in section.items("entry").iter().enumerate() {
            in_document(walk, entries, Some(reference), &entry.index(index));
        }
        sections(walk, entries, section, &at, depth + 1);
    }
}

fn in_document(walk: &mut Walk<'_>, entries: &Entries<'_>, reference: Option<&Node>, path: &Path<'_>) {
    let Some((node, literal)) = reference.and_then(|node| Some((node, node.text("reference")?))) else { return };
    if literal.starts_with('#') {
        return;
    }
    match entries.resolve(literal, 0) {
        Target::One(_) => {}
        Target::Several => walk.report.add(FOUND_TWICE, path, node, "More than one entry of the Bundle has the URL of this reference"),
        Target::None => walk.report.add(NOT_FOUND, path, node, "No entry of the Bundle has the URL of this reference"),
    }
}

/// Every entry of a document or message must be reached from the first, or from one that the Bundle itself leads to, along references or against them.
fn orphans(walk: &mut Walk<'_>, entries: &Entries<'_>, is_led_to: impl Fn(&Node) -> bool, rule: Rule, name: &Path<'_>) {
    let starts = || entries.all.iter().enumerate().filter(|(index, entry)| *index == 0 || is_led_to(entry)).map(|(index, _)| index);
    let links: Vec<Vec<usize>> = entries.all.iter().enumerate().map(|(index, entry)| targets(entries, entry, index)).collect();
    let forward = reach(&links, starts());
    let mut both = links.clone();
    for (from, targets) in links.iter().enumerate() {
        for &target in targets {
            if let Some(back) = both.get_mut(target) {
                back.push(from);
            }
        }
    }
    let either = reach(&both, starts());
    for (index, entry) in entries.all.iter().enumerate() {
        match (forward.get(index), either.get(index)) {
            (Some(true), _) => {}
            (_, Some(true)) if rule.severity == Severity::Error => {
                let text = "This entry is not reached from the first along references, only against them";
                walk.report.add(REACHED_BACKWARDS, &name.index(index), entry, text);
            }
            (_, Some(true)) => {}
            _ => walk.report.add(rule, &name.index(index), entry, "No chain of references leads from the first entry to this one"),
        }
    }
}

fn targets(entries: &Entries<'_>, entry: &Node, from: usize) -> Vec<usize> {
    let mut found = Vec::new();
    let mut open: Vec<(&str, &Node)> = vec![("", entry)];
    while let Some((name, node)) = open.pop() {
        match &node.value {
            Value::Text(text) if name != "fullUrl" => {
                let is_link = name == "reference" || has_scheme(text);
                if let Target::One(target) = if is_link { entries.resolve(text, from) } else { Target::None } {
                    found.push(target);
                }
            }
            Value::List(items) => open.extend(items.iter().map(|item| (name, item))),
            Value::Object(object) => open.extend(object.members().iter().map(|member| (member.name.as_str(), &member.node))),
            _ => {}
        }
    }
    found
}

fn reach(links: &[Vec<usize>], starts: impl Iterator<Item = usize>) -> Vec<bool> {
    let mut reached = vec![false; links.len()];
    let mut open: VecDeque<usize> = starts.collect();
    while let Some(index) = open.pop_front() {
        if let Some(seen) = reached.get_mut(index).filter(|seen| !**seen) {
            *seen = true;
            open.extend(links.get(index).into_iter().flatten());
        }
    }
    reached
}
