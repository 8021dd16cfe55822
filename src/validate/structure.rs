//! The walk: the document beside the type tables, member by member.

use super::asking::{Answer, Failure, QUESTIONS_MAX, Question};
use super::exhausted::Exhausted;
use super::path::Path;
use super::report::{Report, Rule};
use super::{
    DEPTH_MAX, Options, attachments, bindings, bundle, codings, conformance, contained, extensions, identifiers, invariants, links,
    narrative, primitives, profiles, questionnaire, references, vital_signs,
};
use crate::definitions::Definitions;
use crate::fhir::path::TreeItem;
use crate::fhir::types::{Element, ElementId, MemberUse, TypeTable};
use crate::fhir::{Member, Node, Object, Value};
use crate::outcome::{Finding, IssueType, Severity};
use compact_str::CompactString;
use primitives::has_scheme;
use references::Scope;
use std::collections::HashSet;

const NO_RESOURCE_TYPE: Rule = Rule::error(IssueType::Invalid, "Unable_to_find_resourceType_property");
const UNKNOWN_TYPE: Rule = Rule::error(IssueType::Invalid, "This_does_not_appear_to_be_a_FHIR_resource_unknown_name");
const UNKNOWN_PROPERTY: Rule = Rule::error(IssueType::Structure, "Unrecognised_property_");
const NOT_A_LIST: Rule = Rule::error(IssueType::Invalid, "This_property_must_be_an_Array_not_");
const NOT_AN_OBJECT: Rule = Rule::error(IssueType::Invalid, "This_property_must_be_an_object_not_");
const EMPTY_LIST: Rule = Rule::error(IssueType::Invalid, "ARRAY_CANNOT_BE_EMPTY");
const EMPTY_OBJECT: Rule = Rule::error(IssueType::Invalid, "Object_must_have_some_content");
const NULL: Rule = Rule::error(IssueType::Invalid, "JSON_NULL_NOT_ALLOWED");
const MISALIGNED: Rule = Rule::warning(IssueType::Invalid, "JSON_ARRAYS_NOT_ALIGNED");
const MINIMUM: Rule = Rule::error(IssueType::Structure, "Validation_VAL_Profile_Minimum_one");
const MAXIMUM: Rule = Rule::error(IssueType::Structure, "Validation_VAL_Profile_Maximum_one");
const ID_TWICE: Rule = Rule::error(IssueType::BusinessRule, "DUPLICATE_ID");
const MAX_LENGTH: Rule = Rule::error(IssueType::Invalid, "Type_Specific_Checks_DT_String_Length");
const ACTIVE_CONTENT: Rule = Rule::error(IssueType::Security, "SECURITY_STRING_CONTENT_ERROR");
const HTML_IN_MARKDOWN: Rule = Rule::warning(IssueType::Invalid, "TYPE_SPECIFIC_CHECKS_DT_MARKDOWN_HTML");
const EXAMPLE_URL: Rule = Rule::error(IssueType::Invalid, "TYPE_SPECIFIC_CHECKS_DT_URL_EXAMPLE");
const OLD_COMMENTS: Rule = Rule::error(IssueType::Structure, "ILLEGAL_COMMENT_TYPE");
const OWN_URL: Rule = Rule::error(IssueType::Invalid, "TYPE_SPECIFIC_CHECKS_CANONICAL_ABSOLUTE");
const OWN_URL_CONTAINED: Rule = Rule::error(IssueType::Invalid, "TYPE_SPECIFIC_CHECKS_CANONICAL_CONTAINED");
const TOO_DEEP: Rule = Rule::error(IssueType::TooCostly, "DEPTH_MAX");
const SERVER_AWAY: Rule = Rule::warning(IssueType::Incomplete, "TERMINOLOGY_SERVER_AWAY");

/// The member that held comments in DSTU2.
const COMMENTS: &str = "fhir_comments";

/// The type of `Narrative.div`.
const XHTML: &str = "xhtml";

/// Room for the members of the objects around one element; ordinary resources need no more.
const SEEN_CAPACITY: usize = 64;

/// Judges a root resource.
pub fn check(definitions: &Definitions, resource: &Node, options: &Options) -> (Vec<Finding>, Vec<Question>) {
    let Some(mut walk) = Walk::new(definitions, options) else { return (Vec::new(), Vec::new()) };
    // What stands in resourceType is the sender's text until it is known to be a type.
    let path = Path::root(resource.resource_type().filter(|name| walk.types.resource(name).is_some()).unwrap_or_default());
    walk.resource(resource, At { path: &path, depth: 0 }, None, Position::Root);
    if let Some(why) = walk.server_failure {
        let text = format!("The terminology server {why}; codes that only it knows were not checked");
        walk.report.add(SERVER_AWAY, &path, resource, text);
    }
    (walk.report.done(), walk.questions)
}

/// What the walk carries from resource to resource.
pub struct Walk<'a> {
    pub definitions: &'a Definitions,
    pub types: &'a TypeTable,
    pub options: &'a Options,
    pub report: Report,
    /// Root of `Element`: what stands in the `_name` sibling of a primitive.
    element: ElementId,
    /// The members met so far, of the object at hand and of those around it; one buffer spares an allocation per object.
    seen: Vec<MemberUse>,
    /// The elements around the one at hand, from the root.
    pub around: Vec<Surrounding>,
    /// Code systems that were said not to be in hand.
    pub systems_mentioned: Vec<CompactString>,
    /// What a terminology server would have to be asked, each once.
    pub questions: Vec<Question>,
    /// Why the terminology server did not answer what it was asked.
    server_failure: Option<Failure>,
    /// Ids of the elements of the resource at hand.
    ids: HashSet<CompactString>,
    /// Profiles being checked, each with the element it is checked on, by address.
    pub profiles_open: Vec<(usize, usize)>,
    /// How many rules that ask for profiles this walk answers.
    pub conforming: usize,
    /// Expressions that cost all they may.
    pub exhausted: Exhausted,
}

/// What an extension stands in.
#[derive(Debug, Clone)]
pub struct Surrounding {
    /// The element of the type table; none for a resource.
    pub element: Option<ElementId>,
    pub content: ElementId,
    /// The url when it is an extension itself.
    pub extension: Option<CompactString>,
}

/// Where the walk is.
#[derive(Clone, Copy)]
pub struct At<'a> {
    pub path: &'a Path<'a>,
    pub depth: usize,
}

impl<'a> At<'a> {
    fn within<'b>(self, path: &'b Path<'b>) -> At<'b> {
        At { path, depth: self.depth + 1 }
    }
}

/// How a resource stands in its document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    Root,
    /// In a Bundle's entry or a parameter: a root of its own.
    Inside,
    Contained,
}

/// An element as a member name chose it.
#[derive(Clone, Copy)]
struct Chosen<'a> {
    element: &'a Element,
    used: MemberUse,
    /// `Quantity`; empty for content references.
    type_name: &'a str,
}

impl<'a> Walk<'a> {
    /// `None` for definitions without `Element`, which define nothing.
    pub fn new(definitions: &'a Definitions, options: &'a Options) -> Option<Walk<'a>> {
        let types = definitions.types();
        let element = types.type_named("Element")?.root;
        Some(Walk {
            definitions,
            types,
            options,
            report: Report::new(options.findings_max),
            element,
            seen: Vec::with_capacity(SEEN_CAPACITY),
            around: Vec::with_capacity(SEEN_CAPACITY),
            systems_mentioned: Vec::new(),
            questions: Vec::new(),
            server_failure: None,
            ids: HashSet::new(),
            profiles_open: Vec::new(),
            conforming: 0,
            exhausted: Exhausted::default(),
        })
    }

    /// What a terminology server has answered; a question that has no answer yet is kept.
    pub fn ask(&mut self, question: Question) -> Option<Answer> {
        let answer = self.options.answers.get(&question);
        if let Some(Answer::Away(why)) = answer {
            self.server_failure.get_or_insert(why);
        }
        if answer.is_none() && self.questions.len() < QUESTIONS_MAX && !self.questions.contains(&question) {
            self.questions.push(question);
        }
        answer
    }

    fn resource(&mut self, node: &Node, at: At<'_>, outer: Option<&Scope<'_>>, position: Position) {
        let Some(object) = node.as_object() else {
            return self.report.add(NOT_AN_OBJECT, at.path, node, "A resource must be an object");
        };
        let Some(type_name) = object.get("resourceType").and_then(Node::as_text) else {
            return self.report.add(NO_RESOURCE_TYPE, at.path, node, "A resource must name its type in the member resourceType");
        };
        let Some(definition) = self.types.resource(type_name) else {
            let text = format!("The type named in resourceType is not a resource type of FHIR {}", self.types.version);
            return self.report.add(UNKNOWN_TYPE, at.path, node, text);
        };
        if position == Position::Contained {
            contained::check(self, node, object, at.path);
        }
        let mut scope = Scope::of(node, type_name, outer, position == Position::Contained);
        if outer.is_none() {
            let options: &Options = self.options;
            scope.neighbours = options.neighbours.as_ref();
        }
        let ids = (position != Position::Contained).then(|| std::mem::take(&mut self.ids));
        self.object(
            node,
            object,
            Shape { element: None, stands_at: None, content: definition.root, type_name, is_resource: true },
            at,
            &scope,
        );
        if position != Position::Contained {
            contained::check_all(self, node, at.path);
        }
        self.profiles(node, definition.root, at.path, &scope, position);
        if let Some(ids) = ids {
            self.ids = ids;
        }
        match type_name {
            "Bundle" => bundle::check(self, node, at.path),
            "Questionnaire" => questionnaire::check_form(self, node, at.path),
            "QuestionnaireResponse" => {
                let found = profiles::Found::root(TreeItem { node: Some(node), sibling: None, content: definition.root });
                questionnaire::check_response(self, found, at.path);
            }
            name => conformance::check(self, name, node, at.path),
        }
    }

    /// The profiles a resource claims, and for a root those that are asked of it.
    fn profiles(&mut self, node: &Node, root: ElementId, path: &Path<'_>, scope: &Scope<'_>, position: Position) {
        let found = profiles::Found::root(TreeItem { node: Some(node), sibling: None, content: root });
        let claimed = node.get("meta").map(|meta| meta.items("profile")).unwrap_or_default();
        let (meta, name);
        if !claimed.is_empty() {
            meta = path.name("meta");
            name = meta.name("profile");
            for (index, url) in claimed.iter().enumerate().filter_map(|(index, url)| Some((index, url.as_text()?))) {
                profiles::check_claimed(self, url, found, scope, path, &name.index(index));
            }
        }
        if type_is(self.types, root, "Observation") {
            for url in vital_signs::profiles(node).filter(|url| !claimed.iter().any(|claimed| claimed.as_text() == Some(url))) {
                profiles::check_url(self, url, found, scope, path, path);
            }
            let related = vital_signs::related(node).filter(|_| self.options.related_vital_signs);
            let is_asked =
                |url: &String| claimed.iter().any(|one| one.as_text() == Some(url)) || vital_signs::profiles(node).any(|one| one == url);
            if let Some(url) = related.filter(|url| !is_asked(url)) {
                profiles::check_url(self, &url, found, scope, path, path);
            }
        }
        let definitions = self.definitions;
        if position != Position::Contained {
            for url in definitions.global_profiles(&self.types.element(root).path) {
                profiles::check_url(self, url, found, scope, path, path);
            }
        }
        if position == Position::Root {
            let options = self.options;
            for url in &options.profiles {
                profiles::check_requested(self, url, found, scope, path);
            }
        }
    }

    fn object(&mut self, node: &Node, object: &Object, shape: Shape<'_>, at: At<'_>, scope: &Scope<'_>) {
        if at.depth >= DEPTH_MAX {
            return self.report.add(
                TOO_DEEP,
                at.path,
                node,
                format!("Elements nest more than {DEPTH_MAX} levels deep; the rest was not checked"),
            );
        }
        let parent = Parent { node, object, shape, at, start: self.seen.len() };
        // An ElementDefinition has the id of its element in the snapshot as well as in the differential.
        let has_own_id = !shape.is_resource && shape.type_name != "ElementDefinition";
        if let Some(id) = object.get("id").filter(|_| has_own_id).and_then(Node::as_text)
            && !self.ids.insert(id.into())
        {
            self.report.add(ID_TWICE, at.path, node, "Another element of the resource has this id");
        }
        let extension = (shape.type_name == "Extension").then(|| node.text("url").unwrap_or_default().into());
        self.around.push(Surrounding { element: shape.stands_at, content: shape.content, extension });
        for member in object.members() {
            match member.name.as_str() {
                "resourceType" if shape.is_resource => {}
                COMMENTS if self.options.report_undecided => self.comments(&member.node, at),
                _ => self.member(member, parent, scope),
            }
        }
        self.around.pop();
        self.missing(parent);
        self.seen.truncate(parent.start);
        if shape.type_name == "Extension" {
            extensions::check(self, node, shape.content, scope, at.path);
        }
        invariants::check(self, shape.element, TreeItem { node: Some(node), sibling: None, content: shape.content }, scope, at.path);
    }

    fn member(&mut self, member: &Member, parent: Parent<'_>, scope: &Scope<'_>) {
        let (name, is_sibling) = match member.name.strip_prefix('_') {
            Some(name) => (name, true),
            None => (member.name.as_str(), false),
        };
        let Some(used) = self.types.member(parent.shape.content, name) else { return self.unknown(member, parent.at) };
        let element = self.types.element(used.element);
        let type_name = element.types.get(used.type_index).map(|one| one.code.as_str()).unwrap_or_default();
        let chosen = Chosen { element, used, type_name };
        // Names of primitive types begin in lower case, those of all others in upper case.
        let is_primitive = type_name.starts_with(|first: char| first.is_ascii_lowercase());
        if is_sibling && !is_primitive {
            return self.unknown(member, parent.at);
        }
        self.note(chosen, parent);
        let named = parent.at.path.name(&element.name);
        let typed = named.of_type(type_name);
        let at = parent.at.within(if element.is_choice { &typed } else { &named });
        match (is_primitive, is_sibling) {
            (true, false) => self.primitive(member, chosen, parent, at, scope),
            (true, true) => self.sibling(&member.node, parent.object.get(name), chosen, at, scope),
            _ => self.complex(&member.node, chosen, at, scope),
        }
    }

    /// Comments as DSTU2 had them: HL7's validator passes over them, so whoever asks is only told; what is to be kept must not have any.
    fn comments(&mut self, node: &Node, at: At<'_>) {
        if node.as_list().is_some_and(|comments| comments.iter().all(|comment| comment.as_text().is_some())) {
            let rule = Rule { severity: Severity::Information, ..UNKNOWN_PROPERTY };
            return self.report.add(rule, at.path, node, "Comments are of an older release; they were passed over");
        }
        self.report.add(OLD_COMMENTS, at.path, node, "Comments of the older release must be a list of strings");
    }

    fn unknown(&mut self, member: &Member, at: At<'_>) {
        // A name is free text until it is known, so only one that could be an element's is repeated.
        let is_plain = member.name.len() <= 64 && member.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let text =
            if is_plain { format!("There is no element '{}' here", member.name) } else { "There is no such element here".to_owned() };
        self.report.add(UNKNOWN_PROPERTY, at.path, &member.node, text);
    }

    /// Remembers that an element is there, and refuses a choice made twice.
    fn note(&mut self, chosen: Chosen<'_>, parent: Parent<'_>) {
        let mut others = self.seen.get(parent.start..).unwrap_or_default().iter().filter(|other| other.element == chosen.used.element);
        if others.any(|other| other.type_index != chosen.used.type_index) {
            let text = format!("{} has more than one type here; it may have one", chosen.element.path);
            self.report.add(MAXIMUM, parent.at.path, parent.node, text);
        }
        self.seen.push(chosen.used);
    }

    fn missing(&mut self, parent: Parent<'_>) {
        for &id in &self.types.element(parent.shape.content).children {
            let child = self.types.element(id);
            let is_there = || self.seen.get(parent.start..).unwrap_or_default().iter().any(|used| used.element == id);
            // An extension's URL has a rule of its own.
            if child.min > 0 && !is_there() && child.path != "Extension.url" {
                self.report.add(
                    MINIMUM,
                    parent.at.path,
                    parent.node,
                    format!("{}: at least {} is required, none is there", child.path, child.min),
                );
            }
        }
    }

    fn complex(&mut self, node: &Node, chosen: Chosen<'_>, at: At<'_>, scope: &Scope<'_>) {
        match (&node.value, chosen.element.repeats()) {
            (Value::List(items), true) => {
                self.count(items, chosen, node, at);
                for (index, item) in items.iter().enumerate() {
                    let path = at.path.index(index);
                    self.item(item, chosen, At { path: &path, ..at }, scope);
                }
            }
            (_, true) => {
                self.report.add(NOT_A_LIST, at.path, node, format!("{} repeats, so it must be a list", chosen.element.path));
                let path = at.path.index(0);
                self.item(node, chosen, At { path: &path, ..at }, scope);
            }
            (_, false) => self.item(node, chosen, at, scope),
        }
    }

    fn count(&mut self, items: &[Node], chosen: Chosen<'_>, node: &Node, at: At<'_>) {
        let element = chosen.element;
        if items.is_empty() {
            self.report.add(EMPTY_LIST, at.path, node, "A list must not be empty; leave the element out instead");
        }
        if items.len() > element.max as usize {
            self.report.add(MAXIMUM, at.path, node, format!("{}: at most {} may be there, {} are", element.path, element.max, items.len()));
        }
    }

    fn item(&mut self, node: &Node, chosen: Chosen<'_>, at: At<'_>, scope: &Scope<'_>) {
        if chosen.type_name == "Resource" {
            let position = if chosen.element.name == "contained" { Position::Contained } else { Position::Inside };
            return self.resource(node, at, Some(scope), position);
        }
        match &node.value {
            Value::Object(object) if is_empty(object) => {
                self.report.add(EMPTY_OBJECT, at.path, node, "An element must have a value or children")
            }
            Value::Object(object) => {
                let content = self.types.content(chosen.used.element, chosen.used.type_index);
                self.object(
                    node,
                    object,
                    Shape {
                        element: Some(chosen.used.element),
                        stands_at: Some(chosen.used.element),
                        content,
                        type_name: chosen.type_name,
                        is_resource: false,
                    },
                    at,
                    scope,
                );
                if let Some(binding) = &chosen.element.binding {
                    bindings::check(self, binding, chosen.type_name, node, at.path);
                }
                match chosen.type_name {
                    "Identifier" => identifiers::check(self, node, at.path),
                    "Meta" => identifiers::check_labels(self, node, at.path),
                    "Coding" => codings::check(self, node, at.path),
                    "Quantity" | "Age" | "Count" | "Distance" | "Duration" => codings::check_unit(self, node, at.path),
                    "Attachment" => attachments::check(self, node, at.path),
                    _ => {}
                }
                if let Some(type_use) = chosen.element.types.get(chosen.used.type_index) {
                    if chosen.type_name == "Reference" {
                        references::check(self, &type_use.targets, node, scope, at.path);
                    }
                    if let Some(url) = &type_use.profile {
                        let item = TreeItem { node: Some(node), sibling: None, content };
                        profiles::check_url(self, url, profiles::Found::root(item), scope, at.path, at.path);
                    }
                }
            }
            Value::Null => self.report.add(NULL, at.path, node, "Null stands for nothing here; leave the element out instead"),
            _ => self.report.add(NOT_AN_OBJECT, at.path, node, format!("{} must be an object", chosen.element.path)),
        }
    }

    fn primitive(&mut self, member: &Member, chosen: Chosen<'_>, parent: Parent<'_>, at: At<'_>, scope: &Scope<'_>) {
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
        if shape.is_resource && chosen.element.name == "id" {
            return primitives::check_resource_id(node, path, &mut self.report);
        }
        primitives::check(chosen.type_name, node, path, &mut self.report);
        if shape.is_resource && chosen.element.name == "url" && node.as_text().is_some_and(|url| !url.is_empty() && !has_scheme(url)) {
            self.own_url(node, chosen.element, path, scope);
        }
        if let (XHTML, Some(text)) = (chosen.type_name, node.as_text().filter(|text| !text.is_empty())) {
            narrative::check(text, node, path, &mut self.report);
            links::check(self, text, node, scope, path);
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
    fn sibling(&mut self, node: &Node, values: Option<&Node>, chosen: Chosen<'_>, at: At<'_>, scope: &Scope<'_>) {
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
                    let has_value = values.get(index).is_some();
                    self.sibling_item(item, has_value, chosen.used.element, At { path: &path, ..at }, scope);
                }
            }
            (_, true) => {
                self.report.add(NOT_A_LIST, at.path, node, format!("{} repeats, so its extensions must be in a list", chosen.element.path))
            }
            (_, false) => self.sibling_item(node, false, chosen.used.element, at, scope),
        }
    }

    /// `may_be_null` where a value stands at the same index: the value's own check sees to nulls on both sides.
    fn sibling_item(&mut self, node: &Node, may_be_null: bool, stands_at: ElementId, at: At<'_>, scope: &Scope<'_>) {
        match &node.value {
            Value::Null if may_be_null => {}
            Value::Null => self.report.add(NULL, at.path, node, "Null stands for nothing here; leave the element out instead"),
            Value::Object(object) if object.is_empty() => {
                self.report.add(EMPTY_OBJECT, at.path, node, "An element must have a value or children")
            }
            Value::Object(object) => {
                let shape =
                    Shape { element: None, stands_at: Some(stands_at), content: self.element, type_name: "Element", is_resource: false };
                self.object(node, object, shape, at, scope);
            }
            _ => self.report.add(NOT_AN_OBJECT, at.path, node, "The id and extensions of a primitive must be in an object"),
        }
    }
}

/// The object whose members are being looked at.
#[derive(Clone, Copy)]
struct Parent<'a> {
    node: &'a Node,
    object: &'a Object,
    shape: Shape<'a>,
    at: At<'a>,
    /// Where its members begin in [`Walk::seen`].
    start: usize,
}

/// What an object is to be.
#[derive(Clone, Copy)]
struct Shape<'a> {
    /// Where it is used; none for a resource and for what stands beside a primitive.
    element: Option<ElementId>,
    /// The same, and for what stands beside a primitive the primitive's.
    stands_at: Option<ElementId>,
    content: ElementId,
    type_name: &'a str,
    is_resource: bool,
}

fn type_is(types: &TypeTable, root: ElementId, name: &str) -> bool {
    types.element(root).path == name
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

/// An id alone is no content (rule ele-1).
fn is_empty(object: &Object) -> bool {
    object.members().iter().all(|member| member.name == "id")
}
