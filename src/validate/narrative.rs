//! Narrative: a well-formed XHTML fragment of the elements and attributes that FHIR allows (<https://hl7.org/fhir/R4/narrative.html>).
//!
//! Nothing active may pass: no scripts, forms, event handlers, or links that run code. Each rule is reported once a narrative, those about
//! an element's place once for each kind of element.

mod around;
mod urls;

use super::path::Path;
use super::report::{Report, Rule};
use crate::fhir::xhtml::{Form, Holds, is_common_attribute};
use crate::fhir::{Node, entities};
use crate::outcome::IssueType;
use around::Around;
use quick_xml::Reader;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesStart, Event};
use std::borrow::Cow;
use std::collections::HashSet;

/// How deep the elements of a narrative may nest.
const DEPTH_MAX: usize = 128;

/// How many attributes one element may have; fewer than half as many names are allowed.
const ATTRIBUTES_MAX: usize = 128;

/// How many namespaces may be declared on an element and those around it. Each element's own is looked for among them.
const NAMESPACES_MAX: usize = 128;

const XHTML: &str = "http://www.w3.org/1999/xhtml";

const NOT_LIMITED: Rule = Rule::error(IssueType::Invariant, "http://hl7.org/fhir/StructureDefinition/Narrative#txt-1");

/// What can be wrong with a narrative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    NotWellFormed,
    Empty,
    NotADiv,
    WrongNamespace,
    Element,
    Attribute,
    /// `xml:space`, which HL7's validator lets pass and remarks.
    Spacing,
    Link,
    /// A link whose URL names something and leads nowhere.
    NameForLink,
    Url,
    InParagraph,
    /// It does not stand in what it must stand in.
    OutOfPlace(&'static Form),
    /// It holds something else than it may.
    NotForIt(&'static Form),
    NotEmpty(&'static Form),
    InItself(&'static Form),
    BlockInText(&'static Form),
    IdTwice,
    Doctype,
    TooDeep,
    TooManyAttributes,
    TooManyNamespaces,
}

impl Defect {
    fn rule(self) -> Rule {
        match self {
            Defect::NotWellFormed => Rule::error(IssueType::Invalid, "XHTML_XHTML_Not_Well_Formed"),
            Defect::Empty => Rule::error(IssueType::Invariant, "http://hl7.org/fhir/StructureDefinition/Narrative#txt-2"),
            Defect::NotADiv => Rule::error(IssueType::Invalid, "XHTML_XHTML_Name_Invalid"),
            Defect::WrongNamespace => Rule::error(IssueType::Invalid, "XHTML_XHTML_NS_InValid"),
            Defect::Element => Rule::error(IssueType::Invalid, "XHTML_XHTML_Element_Illegal"),
            Defect::Attribute => Rule::error(IssueType::Invalid, "XHTML_XHTML_Attribute_Illegal"),
            Defect::Spacing => Rule::information(IssueType::Invalid, "XHTML_XHTML_ATTRIBUTE_XML_SPACE"),
            Defect::Link => Rule::error(IssueType::Security, "XHTML_URL_INVALID"),
            Defect::NameForLink => Rule::error(IssueType::Invalid, "TYPE_SPECIFIC_CHECKS_DT_XHTML_LITERAL_HREF"),
            Defect::Url => Rule::error(IssueType::Invalid, "XHTML_URL_INVALID"),
            Defect::InParagraph => Rule::error(IssueType::Invalid, "XHTML_XHTML_ELEMENT_ILLEGAL_IN_PARA"),
            Defect::OutOfPlace(_) => Rule::error(IssueType::Structure, "XHTML_XHTML_OUT_OF_PLACE"),
            Defect::NotForIt(_) => Rule::error(IssueType::Structure, "XHTML_XHTML_ILLEGAL_CHILDREN"),
            Defect::NotEmpty(_) => Rule::error(IssueType::Structure, "XHTML_XHTML_NO_CHILDREN"),
            Defect::InItself(_) => Rule::error(IssueType::Structure, "XHTML_XHTML_NO_RECURSION"),
            Defect::BlockInText(_) => Rule::error(IssueType::Structure, "XHTML_XHTML_BLOCK_IN_PARA"),
            Defect::IdTwice => Rule::warning(IssueType::BusinessRule, "XHTML_XHTML_DUPLICATE_IDS"),
            Defect::Doctype => Rule::error(IssueType::Invalid, "XHTML_XHTML_DOCTYPE_Illegal"),
            Defect::TooDeep => Rule::error(IssueType::TooCostly, "XHTML_DEPTH_MAX"),
            Defect::TooManyAttributes => Rule::error(IssueType::TooCostly, "XHTML_ATTRIBUTES_MAX"),
            Defect::TooManyNamespaces => Rule::error(IssueType::TooCostly, "XHTML_NAMESPACES_MAX"),
        }
    }

    fn text(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Defect::NotWellFormed => "The narrative must be one well-formed XML element",
            Defect::Empty => "Rule txt-2: the narrative must hold some text or an image",
            Defect::NotADiv => "The narrative must be a div element",
            Defect::WrongNamespace => "The narrative's div, and all in it, must be in the namespace http://www.w3.org/1999/xhtml",
            Defect::Element => "The narrative has an element that is not allowed in narrative",
            Defect::Attribute => "The narrative has an attribute that is not allowed in narrative, or not on its element",
            Defect::Spacing => "The narrative has xml:space, which says nothing in XHTML that a style could not say",
            Defect::Link => "The narrative has a link that runs code",
            Defect::NameForLink => "The narrative has a link with a URL that only names something (urn:, cid:), so it leads nowhere",
            Defect::Url => {
                "The narrative has a link or an image whose URL is empty, holds characters that no URL has, or data that cannot be read"
            }
            Defect::InParagraph => "The narrative has a block (div, p, table, list or quotation) in a paragraph, where HTML allows none",
            Defect::OutOfPlace(form) => return format!("In narrative, {} stands directly in {}", form.name, one_of(form.within)).into(),
            Defect::NotForIt(Form { name, holds: Holds::Only(inner), .. }) => {
                return format!("In narrative, {name} holds {} directly, and neither text nor anything else", one_of(inner)).into();
            }
            Defect::NotForIt(form) => return format!("In narrative, {} holds something that it may not", form.name).into(),
            Defect::NotEmpty(form) => return format!("In narrative, {} holds neither text nor elements", form.name).into(),
            Defect::InItself(form) => return format!("In narrative, {0} does not stand in another {0}", form.name).into(),
            Defect::BlockInText(form) => {
                return format!("In narrative, {} holds text: no div, pre, table or list may stand in it", form.name).into();
            }
            Defect::IdTwice => "Several elements of the narrative have the same id or are the same anchor",
            Defect::Doctype => "The narrative must not have a document type, an XML declaration or a processing instruction",
            Defect::TooDeep => "The narrative's elements nest too deep to be checked",
            Defect::TooManyAttributes => "An element of the narrative has too many attributes to be checked",
            Defect::TooManyNamespaces => "The narrative declares too many namespaces to be checked",
        })
    }
}

fn one_of(names: &[&str]) -> String {
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => names.concat(),
    }
}

/// Judges the text of a `div`.
pub fn check(text: &str, node: &Node, path: &Path<'_>, report: &mut Report) {
    let defects = judge(text);
    if defects.contains(&Defect::Element) || defects.contains(&Defect::Attribute) {
        report.add(NOT_LIMITED, path, node, "Rule txt-1: the narrative must hold only what FHIR allows of XHTML");
    }
    for defect in defects {
        report.add(defect.rule(), path, node, defect.text());
    }
}

fn judge(text: &str) -> Vec<Defect> {
    let mut judgement = Judgement::default();
    judgement.read(text.trim());
    judgement.defects
}

/// A narrative as far as it was read.
#[derive(Default)]
struct Judgement {
    defects: Vec<Defect>,
    around: Around,
    /// Elements that have begun and not ended.
    depth: usize,
    roots: usize,
    has_content: bool,
    /// The ids of elements and the names of anchors.
    places: HashSet<String>,
}

impl Judgement {
    fn add(&mut self, defect: Defect) {
        if !self.defects.contains(&defect) {
            self.defects.push(defect);
        }
    }

    fn read(&mut self, text: &str) {
        let mut reader = Reader::from_str(text);
        loop {
            let event = reader.read_event();
            match event {
                Ok(Event::Eof) => break,
                Ok(event) => {
                    if let Err(defect) = self.event(event) {
                        return self.add(defect);
                    }
                }
                Err(_) => return self.add(Defect::NotWellFormed),
            }
            if self.depth > DEPTH_MAX {
                return self.add(Defect::TooDeep);
            }
        }
        if self.depth > 0 || self.roots != 1 {
            return self.add(Defect::NotWellFormed);
        }
        if !self.has_content && !self.defects.contains(&Defect::NotWellFormed) {
            self.add(Defect::Empty);
        }
    }

    /// What keeps the rest from being read is the error.
    fn event(&mut self, event: Event<'_>) -> Result<(), Defect> {
        match event {
            Event::Start(element) => {
                self.element(&element)?;
                self.depth += 1;
            }
            Event::Empty(element) => {
                self.element(&element)?;
                self.around.leave();
            }
            Event::End(_) => {
                self.around.leave();
                self.depth = self.depth.saturating_sub(1);
            }
            Event::DocType(_) | Event::Decl(_) | Event::PI(_) => self.add(Defect::Doctype),
            Event::Comment(_) => {}
            Event::Text(text) if self.depth > 0 => self.text(text.chars().all(char::is_whitespace)),
            Event::GeneralRef(name) if self.depth > 0 => {
                let character = entities::character(&name);
                if character.is_none() {
                    self.add(Defect::NotWellFormed);
                }
                self.has_content = true;
                self.placed(character.is_some_and(|character| character <= ' '));
            }
            Event::CData(text) if self.depth > 0 => {
                self.has_content = true;
                self.placed(text.chars().all(|character| character <= ' '));
            }
            _ if self.depth > 0 => self.text(false),
            _ => return Err(Defect::NotWellFormed),
        }
        Ok(())
    }

    fn text(&mut self, is_blank: bool) {
        self.has_content |= !is_blank;
        self.placed(is_blank);
    }

    /// What stands here: nothing but white space, however it is written, may stand between the rows of a table.
    fn placed(&mut self, is_blank: bool) {
        if let Some(defect) = self.around.misplaced_text(is_blank) {
            self.add(defect);
        }
    }

    fn element(&mut self, element: &BytesStart<'_>) -> Result<(), Defect> {
        let local_name = element.local_name();
        let name = local_name.as_ref();
        self.has_content |= name == "img";
        self.roots += usize::from(self.depth == 0);
        self.around.enter(element)?;
        if self.depth > 0 && self.around.namespace(element).is_some_and(|found| found != XHTML) {
            self.add(Defect::WrongNamespace);
        }
        if BLOCKS.contains(&name) && self.around.is_in_paragraph() {
            self.add(Defect::InParagraph);
        }
        let form = self.around.form();
        if self.depth == 0 && name != "div" {
            self.add(Defect::NotADiv);
        } else if form.is_none() {
            self.add(Defect::Element);
        }
        self.around.misplacements(name).into_iter().for_each(|defect| self.add(defect));
        self.attributes(element, form);
        Ok(())
    }

    fn attributes(&mut self, element: &BytesStart<'_>, form: Option<&'static Form>) {
        let (mut has_namespace, mut id) = (false, None);
        for attribute in element.attributes() {
            let Ok(attribute) = attribute else { return self.add(Defect::NotWellFormed) };
            let key = attribute.key.as_ref();
            if key == "xmlns" || key.starts_with("xmlns:") {
                has_namespace |= attribute.value.as_ref() == XHTML;
                continue;
            }
            self.attribute(&attribute, form);
            // An anchor may bear its own id as its name.
            let names_place = key == "id" || key == "name" && form.is_some_and(|form| form.name == "a");
            if names_place && self.depth > 0 && id.as_ref() != Some(&attribute.value) {
                if !self.places.insert(attribute.value.to_string()) {
                    self.add(Defect::IdTwice);
                }
                id = Some(attribute.value);
            }
        }
        if self.depth == 0 && !has_namespace {
            self.add(Defect::WrongNamespace);
        }
    }

    fn attribute(&mut self, attribute: &Attribute<'_>, form: Option<&'static Form>) {
        let (key, value) = (attribute.key.as_ref(), attribute.value.as_ref());
        if !has_known_references(value) {
            self.add(Defect::NotWellFormed);
        }
        if key == "xml:space" {
            self.add(Defect::Spacing);
        } else if !form.map_or_else(|| is_common_attribute(key), |form| form.has_attribute(key)) {
            self.add(Defect::Attribute);
        }
        if key == "href" && form.is_some_and(|form| form.name == "a") && urls::only_names(value) {
            self.add(Defect::NameForLink);
        }
        let is_link = matches!(key, "href" | "cite" | "longdesc");
        if (is_link || key == "src") && urls::runs_code(value) || is_link && urls::opens_active_data(value) {
            self.add(Defect::Link);
        } else if matches!(key, "href" | "src") && !urls::is_url(value) {
            self.add(Defect::Url);
        }
    }
}

/// Elements that HTML has nowhere in a paragraph.
const BLOCKS: [&str; 6] = ["blockquote", "div", "ol", "p", "table", "ul"];

/// Whether whatever looks like a character reference is one. A bare `&`, as links often have it, is let pass.
fn has_known_references(value: &str) -> bool {
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'#');
    value.split('&').skip(1).filter_map(|rest| rest.split_once(';')).all(|(name, _)| !is_name(name) || entities::character(name).is_some())
}

#[cfg(test)]
mod tests;
