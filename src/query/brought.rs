//! What a question brings along, put into the gateway's words, so that it is decided as what is stored here; and what is left of it, put back.
//!
//! Out of scope: what is decided about it (`consult`), and addresses in its texts, which are understood as those in any record are.

use super::consents::BroughtRecord;
use super::{Candidate, reference};
use crate::consent::{Consultation, MADE_UP, Matter, Reference, logical_names};
use crate::fhir::{Node, Value};
use crate::pipeline::Dialect;
use std::collections::HashMap;

/// Under what ids are made for what came without one.
const NAMELESS: &str = "brought along";
/// What ends a reference that is given to something named by its identifier alone, while it is decided. Versions are passed over there.
const BY_IDENTIFIER: &str = "/_history/by-identifier";

/// A question in the gateway's words, and the way back.
pub(super) struct Brought {
    pub question: Consultation,
    /// What it brings along, each with every name by which the rest may point at it.
    pub records: Vec<BroughtRecord>,
    source: String,
    /// By the gateway's name of each resource, the id that it came with.
    ids: HashMap<String, Option<String>>,
    /// By the gateway's reference, how it was written.
    written: HashMap<String, String>,
}

/// How what is brought along is named.
struct Names<'d> {
    dialect: &'d Dialect<'d>,
    /// By the `fullUrl` or as `Type/id`: the gateway's name.
    literal: HashMap<String, String>,
    /// By identifier.
    logical: HashMap<String, String>,
}

impl Brought {
    /// What a question about this patient brings along.
    pub fn with(question: &Consultation, dialect: &Dialect<'_>, patient: &str) -> Brought {
        let entries = match &question.matter {
            Matter::Request => Vec::new(),
            Matter::MadeUp(resource) | Matter::Resource(resource) => vec![(None, resource.clone())],
            Matter::Content(entries) => entries.clone(),
        };
        let of_patient = format!("Patient/{patient}");
        let mut names = Names { dialect, literal: HashMap::from([(MADE_UP.to_owned(), of_patient.clone())]), logical: HashMap::new() };
        let source = dialect.source.unwrap_or_default().to_owned();
        let mut brought = Brought { question: question.clone(), records: Vec::new(), source, ids: HashMap::new(), written: HashMap::new() };
        let named = names.take_in(question, &of_patient, &entries);
        let mut put = Vec::with_capacity(entries.len());
        for ((url, mut resource), (ours, known)) in entries.into_iter().zip(named) {
            brought.put(&mut resource, &ours, &names);
            brought.records.push((brought.candidate(resource.clone()), known));
            put.push((url, resource));
        }
        brought.question.matter = match (&question.matter, put.pop()) {
            (Matter::MadeUp(_), Some((_, resource))) => Matter::MadeUp(resource),
            (Matter::Resource(_), Some((_, resource))) => Matter::Resource(resource),
            (Matter::Content(_), last) => Matter::Content(put.into_iter().chain(last).collect()),
            _ => Matter::Request,
        };
        brought
    }

    /// One of the resources, as what is decided on.
    pub fn candidate(&self, resource: Node) -> Candidate {
        Candidate { resource, source: self.source.clone(), version: None, at: None, elsewhere: None, there: None }
    }

    fn put(&mut self, resource: &mut Node, ours: &str, names: &Names<'_>) {
        let own = resource.text("id").map(str::to_owned);
        if let (Some(object), Some((_, id))) = (resource.as_object_mut(), ours.split_once('/')) {
            object.set("id", id);
        }
        self.ids.insert(ours.to_owned(), own);
        self.put_references(resource, names);
    }

    fn put_references(&mut self, node: &mut Node, names: &Names<'_>) {
        match &mut node.value {
            Value::List(items) => items.iter_mut().for_each(|item| self.put_references(item, names)),
            Value::Object(object) => {
                let written = object.get("reference").and_then(Node::as_text).map(str::to_owned);
                if let Some((written, ours)) = written.and_then(|written| names.meant(&written).map(|ours| (written, ours))) {
                    object.set("reference", ours.as_str());
                    self.written.entry(ours).or_insert(written);
                }
                object.members_mut().iter_mut().for_each(|member| self.put_references(&mut member.node, names));
            }
            _ => {}
        }
        if let Some(ours) = names.meant_by_identifier(node)
            && let Some(object) = node.as_object_mut()
        {
            object.set("reference", format!("{ours}{BY_IDENTIFIER}"));
        }
    }

    /// What is left of one of the resources, as it was written.
    pub fn in_their_words(&self, mut resource: Node) -> Node {
        let own = reference(&resource).and_then(|ours| self.ids.get(&ours));
        if let (Some(own), Some(object)) = (own, resource.as_object_mut()) {
            match own {
                Some(id) => object.set("id", id.as_str()),
                None => _ = object.remove("id"),
            }
        }
        self.put_back(&mut resource);
        resource
    }

    fn put_back(&self, node: &mut Node) {
        match &mut node.value {
            Value::List(items) => items.iter_mut().for_each(|item| self.put_back(item)),
            Value::Object(object) => {
                let ours = object.get("reference").and_then(Node::as_text).unwrap_or_default();
                if ours.ends_with(BY_IDENTIFIER) {
                    object.remove("reference");
                } else if let Some(written) = self.written.get(ours) {
                    object.set("reference", written.as_str());
                }
                object.members_mut().iter_mut().for_each(|member| self.put_back(&mut member.node));
            }
            _ => {}
        }
    }
}

impl Names<'_> {
    /// Takes in what every resource may be named by; answers its name and all of them, for each.
    fn take_in(&mut self, question: &Consultation, of_patient: &str, entries: &[(Option<String>, Node)]) -> Vec<(String, Vec<String>)> {
        let mut named = Vec::with_capacity(entries.len());
        for (index, (url, resource)) in entries.iter().enumerate() {
            let is_patient = resource.resource_type() == Some("Patient") && question.is_named_by(resource);
            let ours = if is_patient { of_patient.to_owned() } else { self.of((index, url.as_deref()), resource) };
            let known = self.add(&ours, url.as_deref(), resource);
            named.push((ours, known));
        }
        named
    }

    /// The gateway's name for a resource.
    fn of(&self, (index, url): (usize, Option<&str>), resource: &Node) -> String {
        let type_name = resource.resource_type().unwrap_or_default();
        let written = resource.text("id").map(|id| format!("{type_name}/{id}"));
        if let Some(known) = written.as_ref().and_then(|written| self.literal.get(written)) {
            return known.clone();
        }
        let id = match resource.text("id") {
            Some(id) => self.dialect.id(type_name, id),
            None => self.dialect.ids.id(NAMELESS, type_name, url.unwrap_or(&index.to_string())),
        };
        format!("{type_name}/{id}")
    }

    /// Takes in how a resource may be named; answers all its names.
    fn add(&mut self, ours: &str, url: Option<&str>, resource: &Node) -> Vec<String> {
        let url = url.and_then(Reference::new);
        let by_urn = url.as_ref().and_then(Reference::by_urn).map(|name| name.as_str().to_owned());
        let type_name = resource.resource_type().unwrap_or_default();
        let written = resource.text("id").map(|id| format!("{type_name}/{id}"));
        for name in url.iter().map(|url| url.as_str().to_owned()).chain(written.clone()) {
            self.literal.entry(name).or_insert_with(|| ours.to_owned());
        }
        let logical: Vec<String> = logical_names(resource).map(|name| name.as_str().to_owned()).collect();
        if type_name != "Patient" {
            logical.iter().for_each(|name| _ = self.logical.entry(name.clone()).or_insert_with(|| ours.to_owned()));
        }
        std::iter::once(ours.to_owned()).chain(written).chain(by_urn).chain(logical).collect()
    }

    /// What a reference means in the gateway's words, where it is written in others.
    fn meant(&self, written: &str) -> Option<String> {
        let reference = Reference::new(written)?;
        let current = reference.as_str();
        let ours = self.literal.get(current).cloned().unwrap_or_else(|| self.dialect.reference(current, None, &[]).into_owned());
        (ours != current).then_some(ours)
    }

    /// What an element names by an identifier alone.
    fn meant_by_identifier(&self, node: &Node) -> Option<&String> {
        if node.resource_type().is_some() || node.get("reference").is_some() {
            return None;
        }
        self.logical.get(Reference::logical(node)?.as_str())
    }
}
