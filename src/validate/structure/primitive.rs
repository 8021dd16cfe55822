//! Members of primitive types: their values, and the `_name` beside them with its id and extensions.

use super::super::path::Path;
use super::super::primitives::{self, has_scheme};
use super::super::references::Scope;
use super::super::report::Rule;
use super::super::{bindings, canonicals, links, narrative, plausible};
use super::{At, Chosen, EMPTY_OBJECT, NOT_A_LIST, NOT_AN_OBJECT, NULL, Parent, Shape, Walk, is_empty};
use crate::fhir::types::Element;
use crate::fhir::{Member, Node, Value};
use crate::outcome::IssueType;

const MISALIGNED: Rule = Rule::warning(IssueType::Invalid, "JSON_ARRAYS_NOT_ALIGNED");
const NO_CONTENT: Rule = Rule::error(IssueType::Invariant, "http://hl7.org/fhir/StructureDefinition/Element#ele-1");
const MAX_LENGTH: Rule = Rule::error(IssueType::Invalid, "Type_Specific_Checks_DT_String_Length");
const ACTIVE_CONTENT: Rule = Rule::error(IssueType::Security, "SECURITY_STRING_CONTENT_ERROR");
const HTML_IN_MARKDOWN: Rule = Rule::warning(IssueType::Invalid, "TYPE_SPECIFIC_CHECKS_DT_MARKDOWN_HTML");
const EXAMPLE_URL: Rule = Rule::error(IssueType::Invalid, "TYPE_SPECIFIC_CHECKS_DT_URL_EXAMPLE");
const OWN_URL: Rule = Rule::error(IssueType::Invalid, "TYPE_SPECIFIC_CHECKS_CANONICAL_ABSOLUTE");
const OWN_URL_CONTAINED: Rule = Rule::error(IssueType::Invalid, "TYPE_SPECIFIC_CHECKS_CANONICAL_CONTAINED");

/// Elements whose URIs are judged elsewhere, or lead nowhere by what they are: keys, values that definitions fix, and requests that some servers note.
const NOT_FOLLOWED: [&str; 8] = [
    "Meta.source",
    "Extension.url",
    "Bundle.entry.fullUrl",
    "Bundle.entry.request.url",
    "StructureDefinition.type",
    "ElementDefinition.fixed[x]",
    "ElementDefinition.pattern[x]",
    "ValueSet.compose.include.system",
];

/// The type of `Narrative.div`.
const XHTML: &str = "xhtml";

/// The value that an id and extensions stand beside.
#[derive(Clone, Copy)]
struct Beside<'a> {
    value: Option<&'a Node>,
    is_listed: bool,
}

impl Walk<'_> {
    pub(super) fn primitive(&mut self, member: &Member, chosen: Chosen<'_>, parent: Parent<'_>, at: At<'_>, scope: &Scope<'_>) {
        let (node, shape) = (&member.node, parent.shape);
        let beside = |other: &&Member| other.name.strip_prefix('_') == Some(member.name.as_str());
        let sibling = parent.object.members().iter().find(beside).map(|other| &other.node);
        match (&node.value, chosen.element.repeats()) {
            (Value::List(items), true) => {
                self.count(items, chosen, node, at);
                for (index, item) in items.iter().enumerate() {
                    let path = at.path.index(index);
                    let has_extension =
                        sibling.and_then(Node::as_list).and_then(|list| list.get(index)).is_some_and(|one| one.as_object().is_some());
                    self.value(item, has_extension, chosen, shape, &path, scope);
                }
            }
            (_, true) => {
                self.report.add(NOT_A_LIST, at.path, node, format!("{} repeats, so it must be a list", chosen.element.path));
                let path = at.path.index(0);
                self.value(node, sibling.is_some(), chosen, shape, &path, scope);
            }
            (_, false) => self.value(node, sibling.is_some(), chosen, shape, at.path, scope),
        }
    }

    fn value(&mut self, node: &Node, has_extension: bool, chosen: Chosen<'_>, shape: Shape<'_>, path: &Path<'_>, scope: &Scope<'_>) {
        if node.value == Value::Null {
            if !has_extension {
                self.report.add(NULL, path, node, "Null needs an extension beside it that says why; otherwise leave the element out");
            }
            return;
        }
        if shape.is_document && chosen.element.name == "id" {
            return primitives::check_resource_id(node, path, &mut self.report);
        }
        primitives::check(chosen.type_name, node, self.options.from_xml, path, &mut self.report);
        plausible::check(self, chosen.type_name, node, path);
        if shape.is_document && chosen.element.name == "url" && node.as_text().is_some_and(|url| !url.is_empty() && !has_scheme(url)) {
            self.own_url(node, chosen.element, path, scope);
        }
        if let (XHTML, Some(text)) = (chosen.type_name, node.as_text().filter(|text| !text.is_empty())) {
            narrative::check(text, node, path, &mut self.report);
            links::check(self, text, node, scope, path);
        }
        if let ("uri" | "url", Some(uri)) = (chosen.type_name, node.as_text())
            && !NOT_FOLLOWED.contains(&chosen.element.path.as_str())
        {
            links::check_uri(self, uri, node, scope, path);
        }
        if chosen.type_name == "canonical" {
            let targets = chosen.element.types.get(chosen.used.type_index).map(|one| one.targets.as_slice());
            let is_followed = scope.neighbours.is_some() || !canonicals::has_rule(&chosen.element.path);
            canonicals::check(self, targets.unwrap_or_default(), is_followed, node, scope, path);
        }
        if self.options.refuse_example_urls
            && matches!(chosen.type_name, "uri" | "url" | "canonical")
            && node.as_text().is_some_and(primitives::is_example_url)
        {
            self.report.add(EXAMPLE_URL, path, node, "A URL of a domain that is kept for examples stands for nothing real");
        }
        if chosen.type_name == "markdown" && self.options.report_undecided && node.as_text().is_some_and(holds_tags) {
            self.report.add(HTML_IN_MARKDOWN, path, node, "Markdown should hold no HTML; a '<' that begins no tag is written '\\<'");
        }
        if self.options.security_checks
            && let Some(text) = node.as_text().filter(|_| chosen.type_name != XHTML)
            && looks_active(text)
        {
            self.report.add(ACTIVE_CONTENT, path, node, "The text holds what looks like markup, which may run where it is shown");
        }
        let too_long = |max: u32| node.as_text().is_some_and(|text| text.len() > max as usize && text.chars().count() > max as usize);
        if let Some(max) = chosen.element.max_length.filter(|max| too_long(*max)) {
            self.report.add(MAX_LENGTH, path, node, format!("{} must not be longer than {max} characters", chosen.element.path));
        }
        if let Some(binding) = &chosen.element.binding {
            bindings::check(self, binding, chosen.type_name, node, path);
        }
    }

    /// The URL by which a definition is known must be absolute (<https://hl7.org/fhir/R4/resource.html#canonical>).
    fn own_url(&mut self, node: &Node, element: &Element, path: &Path<'_>, scope: &Scope<'_>) {
        let name = element.path.split('.').next().unwrap_or_default();
        let Some(root) = self.types.resource(name).map(|definition| definition.root) else { return };
        // What has a URL, a version and a status is a definition; a Contract is none, and a Device has versions of its parts.
        let has = |member: &str, type_name: &str| {
            let child = self.types.child_named(root, member).map(|id| self.types.element(id));
            child.is_some_and(|child| child.types.iter().any(|one| one.code == type_name))
        };
        let is_definition = has("version", "string") && has("status", "code") && name != "Contract";
        let is_contained = !std::ptr::eq(scope.resource, scope.container);
        if is_definition {
            let rule = if is_contained { OWN_URL_CONTAINED } else { OWN_URL };
            self.report.add(rule, path, node, "The URL of a definition must be absolute");
        }
    }

    /// The `_name` beside a primitive: its id and extensions.
    pub(super) fn sibling(&mut self, node: &Node, values: Option<&Node>, chosen: Chosen<'_>, at: At<'_>, scope: &Scope<'_>) {
        match (&node.value, chosen.element.repeats()) {
            (Value::List(items), true) => {
                let values = values.and_then(Node::as_list).unwrap_or_default();
                if !values.is_empty() && values.len() != items.len() {
                    let text = format!(
                        "{} and its extensions should have the same number of items, null where there is none",
                        chosen.element.path
                    );
                    self.report.add(MISALIGNED, at.path, node, text);
                }
                for (index, item) in items.iter().enumerate() {
                    let path = at.path.index(index);
                    let beside = Beside { value: values.get(index), is_listed: true };
                    self.sibling_item(item, beside, chosen, At { path: &path, ..at }, scope);
                }
            }
            (_, true) => {
                self.report.add(NOT_A_LIST, at.path, node, format!("{} repeats, so its extensions must be in a list", chosen.element.path))
            }
            (_, false) => self.sibling_item(node, Beside { value: values, is_listed: false }, chosen, at, scope),
        }
    }

    /// What stands beside a value, at its index in a list, where either may be null: the value's own check sees to nulls on both sides.
    fn sibling_item(&mut self, node: &Node, beside: Beside<'_>, chosen: Chosen<'_>, at: At<'_>, scope: &Scope<'_>) {
        let has_value = beside.value.is_some_and(|value| value.value != Value::Null);
        if !has_value && node.as_object().is_some() {
            let binding = chosen.element.binding.as_ref();
            bindings::check_missing(self, binding, node.place(), at.path);
        }
        let stands_at = chosen.used.element;
        match &node.value {
            Value::Null if beside.is_listed && beside.value.is_some() => {}
            Value::Null => self.report.add(NULL, at.path, node, "Null stands for nothing here; leave the element out instead"),
            Value::Object(object) if object.is_empty() => {
                self.report.add(EMPTY_OBJECT, at.path, node, "An element must have a value or children")
            }
            Value::Object(object) => {
                if is_empty(object) && !has_value {
                    self.report.add(
                        NO_CONTENT,
                        at.path,
                        node,
                        "Rule ele-1: an element must have a value or children; an id alone is neither",
                    );
                }
                let shape =
                    Shape { element: None, stands_at: Some(stands_at), content: self.element, type_name: "Element", is_document: false };
                self.object(node, object, shape, at, scope);
            }
            _ => self.report.add(NOT_AN_OBJECT, at.path, node, "The id and extensions of a primitive must be in an object"),
        }
    }
}

/// Whether Markdown holds an HTML tag that is not escaped.
fn holds_tags(text: &str) -> bool {
    let begins_tag =
        |at: usize| text.get(at + 1..).is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/'));
    let is_escaped = |at: usize| text.get(..at).is_some_and(|before| before.ends_with(['\\', '`']));
    // What stands between angle brackets with a scheme or an address is a link.
    let is_link = |at: usize| text.get(at + 1..).and_then(|rest| rest.split('>').next()).is_some_and(|inside| inside.contains([':', '@']));
    text.match_indices('<')
        .any(|(at, _)| begins_tag(at) && !is_escaped(at) && !is_link(at) && text.get(at..).is_some_and(|rest| rest.contains('>')))
}

/// Whether a text holds an opening tag or a comment.
fn looks_active(text: &str) -> bool {
    let begins_tag = |rest: &str| rest.starts_with(|first: char| first.is_ascii_alphabetic() || matches!(first, '/' | '!'));
    text.split('<').skip(1).any(|rest| begins_tag(rest) && rest.contains('>'))
}
