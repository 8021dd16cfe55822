//! The walk: the document beside the type tables, member by member.

mod primitive;
mod resource;

use super::asking::{Answer, Failure, QUESTIONS_MAX, Question};
use super::exhausted::{self, Budget, Exhausted};
use super::links::Places;
use super::path::Path;
use super::questionnaire::options::Options as AnswerOptions;
use super::report::{Report, Rule};
use super::verdicts::{self, Verdicts};
use super::{DEPTH_MAX, Options, attachments, bindings, codings, extensions, identifiers, invariants, profiles, references, text_links};
use crate::definitions::{Definitions, Expansion};
use crate::fhir::path::TreeItem;
use crate::fhir::types::{Element, ElementId, MemberUse, TypeTable};
use crate::fhir::{Member, Node, Object, Value};
use crate::outcome::{Finding, IssueType};
use compact_str::CompactString;
use references::Scope;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

const UNKNOWN_PROPERTY: Rule = Rule::error(IssueType::Structure, "Unrecognised_property_");
const NOT_A_LIST: Rule = Rule::error(IssueType::Invalid, "This_property_must_be_an_Array_not_");
const NOT_AN_OBJECT: Rule = Rule::error(IssueType::Invalid, "This_property_must_be_an_object_not_");
const EMPTY_LIST: Rule = Rule::error(IssueType::Invalid, "ARRAY_CANNOT_BE_EMPTY");
const EMPTY_OBJECT: Rule = Rule::error(IssueType::Invalid, "Object_must_have_some_content");
const NULL: Rule = Rule::error(IssueType::Invalid, "JSON_NULL_NOT_ALLOWED");
const MINIMUM: Rule = Rule::error(IssueType::Structure, "Validation_VAL_Profile_Minimum_one");
const MAXIMUM: Rule = Rule::error(IssueType::Structure, "Validation_VAL_Profile_Maximum_one");
const ID_TWICE: Rule = Rule::error(IssueType::BusinessRule, "DUPLICATE_ID");
const TOO_DEEP: Rule = Rule::error(IssueType::TooCostly, "DEPTH_MAX");
const SERVER_AWAY: Rule = Rule::warning(IssueType::Incomplete, "TERMINOLOGY_SERVER_AWAY");

/// Room for the members of the objects around one element; ordinary resources need no more.
const SEEN_CAPACITY: usize = 64;

/// Judges a root resource.
pub fn check(definitions: &Definitions, resource: &Node, options: &Options) -> (Vec<Finding>, Vec<Question>) {
    let Some(mut walk) = Walk::new(definitions, options) else { return (Vec::new(), Vec::new()) };
    // What stands in resourceType is the sender's text until it is known to be a type.
    let path = Path::root(name_of(&walk, resource));
    walk.resource(resource, At { path: &path, depth: 0 }, None, Position::Root);
    profiles::say_too_deep(&mut walk, resource, &path);
    exhausted::say(&mut walk, resource, &path);
    if let Some(why) = walk.server_failure {
        let text = format!("The terminology server {why}; codes that only it knows were not checked");
        walk.report.add(SERVER_AWAY, &path, resource, text);
    }
    (walk.report.done(), walk.questions)
}

/// What paths in a document begin with: its type, `$` where it names none. A name that is no type's is the sender's text, so only one that could be is
/// repeated.
fn name_of<'n>(walk: &Walk<'n>, document: &'n Node) -> &'n str {
    match (walk.model_of(document), document.resource_type()) {
        (Some(model), _) => &model.name,
        (None, Some(name)) if is_plain(name) => name,
        (None, Some(_)) => "",
        (None, None) if document.as_object().is_some() => "$",
        (None, None) => "",
    }
}

/// What FHIRPath reads as something else than a name.
const NO_NAMES: [&str; 8] = ["and", "div", "false", "implies", "mod", "or", "true", "xor"];

/// Whether a name is one that an element or a type could have.
fn is_plain(name: &str) -> bool {
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    begins && name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && !NO_NAMES.contains(&name)
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
    /// The language that displays are checked in here: the resource's own, or that which is asked for; any when none is.
    pub language: Option<CompactString>,
    /// Code systems that were said not to be in hand.
    pub systems_mentioned: Vec<CompactString>,
    /// What a terminology server would have to be asked, each once.
    pub questions: Vec<Question>,
    /// Why the terminology server did not answer what it was asked.
    server_failure: Option<Failure>,
    /// Ids of the elements of the resource at hand.
    ids: HashSet<CompactString>,
    /// The places that URIs may lead to in a resource, with its address; none has the address 0.
    pub places: (usize, Places),
    /// The expansions of value sets that the document contains, by their addresses.
    pub contained_sets: HashMap<usize, Expansion>,
    /// The options of questions that have many, by the addresses of the questions.
    pub answer_options: HashMap<usize, AnswerOptions>,
    /// Profiles being checked, each with the element it is checked on, by address.
    pub profiles_open: Vec<verdicts::Question>,
    /// What was found out of such questions.
    pub verdicts: Verdicts,
    /// How many rules that ask for profiles this walk answers.
    pub conforming: usize,
    /// Expressions that cost all they may.
    pub exhausted: Exhausted,
    /// What the document may still cost.
    pub budget: Rc<Budget>,
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
            language: options.language.as_deref().map(CompactString::from),
            systems_mentioned: Vec::new(),
            questions: Vec::new(),
            server_failure: None,
            ids: HashSet::new(),
            places: Default::default(),
            profiles_open: Vec::new(),
            contained_sets: HashMap::new(),
            answer_options: HashMap::new(),
            verdicts: Verdicts::default(),
            conforming: 0,
            exhausted: Exhausted::default(),
            budget: Rc::default(),
        })
    }

    /// A rule of the specification that HL7's validator asks where `is_asked`; where it does not, what breaks the rule is warned of if the options want
    /// that.
    pub fn as_hl7_asks(&self, rule: Rule, is_asked: bool) -> Rule {
        rule.grave_if(is_asked || !self.options.as_hl7)
    }

    /// Goes over to the language of a resource, where displays are checked in one; the language before comes back.
    fn speak(&mut self, resource: &Node) -> Option<CompactString> {
        let before = self.language.clone();
        if let (Some(language), Some(own)) = (&mut self.language, resource.text("language")) {
            *language = own.into();
        }
        before
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
        let has_own_id = !shape.is_document && shape.type_name != "ElementDefinition";
        if let Some(id) = object.get("id").filter(|_| has_own_id).and_then(Node::as_text)
            && !self.ids.insert(id.into())
        {
            self.report.add(ID_TWICE, at.path, node, "Another element of the resource has this id");
        }
        let extension = (shape.type_name == "Extension").then(|| node.text("url").unwrap_or_default().into());
        self.around.push(Surrounding { element: shape.stands_at, content: shape.content, extension });
        for member in object.members() {
            match member.name.as_str() {
                "resourceType" if shape.is_document => {}
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

    fn unknown(&mut self, member: &Member, at: At<'_>) {
        // A name is free text until it is known, so only one that could be an element's is repeated.
        let text = if is_plain(&member.name) {
            format!("There is no element '{}' here", member.name)
        } else {
            "There is no such element here".to_owned()
        };
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
                        is_document: false,
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
                    "Coding" => codings::check(self, node, chosen.element.path != codings::OF_A_CONCEPT, at.path),
                    "Quantity" | "Age" | "Count" | "Distance" | "Duration" => codings::check_unit(self, node, at.path),
                    "Attachment" => attachments::check(self, node, at.path),
                    "Narrative" => text_links::check(self, node, scope, at.path),
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
    /// A resource or an instance of a logical model.
    is_document: bool,
}

/// An id alone is no content (rule ele-1).
fn is_empty(object: &Object) -> bool {
    object.members().iter().all(|member| member.name == "id")
}
