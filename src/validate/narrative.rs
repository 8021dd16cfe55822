//! Narrative: a well-formed XHTML fragment of the elements and attributes that FHIR allows (<https://hl7.org/fhir/R4/narrative.html>).
//!
//! Nothing active may pass: no scripts, forms, event handlers, or links that run code. Each rule is reported once a narrative.

use super::path::Path;
use super::primitives::is_base64;
use super::report::{Report, Rule};
use crate::fhir::{Node, entities};
use crate::outcome::IssueType;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

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
    Link,
    Url,
    InParagraph,
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
            Defect::Link => Rule::error(IssueType::Security, "XHTML_URL_INVALID"),
            Defect::Url => Rule::error(IssueType::Invalid, "XHTML_URL_INVALID"),
            Defect::InParagraph => Rule::error(IssueType::Invalid, "XHTML_XHTML_ELEMENT_ILLEGAL_IN_PARA"),
            Defect::Doctype => Rule::error(IssueType::Invalid, "XHTML_XHTML_DOCTYPE_Illegal"),
            Defect::TooDeep => Rule::error(IssueType::TooCostly, "XHTML_DEPTH_MAX"),
            Defect::TooManyAttributes => Rule::error(IssueType::TooCostly, "XHTML_ATTRIBUTES_MAX"),
            Defect::TooManyNamespaces => Rule::error(IssueType::TooCostly, "XHTML_NAMESPACES_MAX"),
        }
    }

    fn text(self) -> &'static str {
        match self {
            Defect::NotWellFormed => "The narrative must be one well-formed XML element",
            Defect::Empty => "Rule txt-2: the narrative must hold some text or an image",
            Defect::NotADiv => "The narrative must be a div element",
            Defect::WrongNamespace => "The narrative's div, and all in it, must be in the namespace http://www.w3.org/1999/xhtml",
            Defect::Element => "The narrative has an element that is not allowed in narrative",
            Defect::Attribute => "The narrative has an attribute that is not allowed in narrative",
            Defect::Link => "The narrative has a link that runs code",
            Defect::Url => {
                "The narrative has a link or an image whose URL is empty, holds characters that no URL has, or data that cannot be read"
            }
            Defect::InParagraph => "The narrative has a block (div, p, table, list or quotation) in a paragraph, where HTML allows none",
            Defect::Doctype => "The narrative must not have a document type, an XML declaration or a processing instruction",
            Defect::TooDeep => "The narrative's elements nest too deep to be checked",
            Defect::TooManyAttributes => "An element of the narrative has too many attributes to be checked",
            Defect::TooManyNamespaces => "The narrative declares too many namespaces to be checked",
        }
    }
}

/// Judges the text of a `div`.
pub fn check(text: &str, node: &Node, path: &Path<'_>, report: &mut Report) {
    let mut defects = Vec::new();
    judge(text, &mut defects);
    if defects.contains(&Defect::Element) || defects.contains(&Defect::Attribute) {
        report.add(NOT_LIMITED, path, node, "Rule txt-1: the narrative must hold only what FHIR allows of XHTML");
    }
    for defect in defects {
        report.add(defect.rule(), path, node, defect.text());
    }
}

fn judge(text: &str, defects: &mut Vec<Defect>) {
    let mut reader = Reader::from_str(text.trim());
    let mut depth = 0usize;
    let mut roots = 0usize;
    let mut has_content = false;
    let mut around = Around::default();
    loop {
        match reader.read_event() {
            Ok(event @ (Event::Start(_) | Event::Empty(_))) => {
                let (Event::Start(element) | Event::Empty(element)) = &event else { continue };
                has_content |= element.local_name().as_ref() == "img";
                roots += usize::from(depth == 0);
                if let Err(defect) = around.enter(element) {
                    return add(defects, defect);
                }
                judge_element(element, depth, &around, defects);
                if matches!(event, Event::Start(_)) {
                    depth += 1;
                } else {
                    around.leave();
                }
            }
            Ok(Event::End(_)) => {
                around.leave();
                depth = depth.saturating_sub(1);
            }
            Ok(Event::DocType(_) | Event::Decl(_) | Event::PI(_)) => add(defects, Defect::Doctype),
            Ok(Event::Comment(_)) => {}
            Ok(Event::Eof) => break,
            Ok(Event::Text(text)) if depth > 0 => has_content |= text.chars().any(|letter| !letter.is_whitespace()),
            Ok(Event::GeneralRef(name)) if depth > 0 => {
                has_content = true;
                if entities::character(&name).is_none() {
                    add(defects, Defect::NotWellFormed);
                }
            }
            Ok(_) if depth > 0 => has_content = true,
            Ok(_) | Err(_) => return add(defects, Defect::NotWellFormed),
        }
        if depth > DEPTH_MAX {
            return add(defects, Defect::TooDeep);
        }
    }
    if depth > 0 || roots != 1 {
        return add(defects, Defect::NotWellFormed);
    }
    if !has_content && !defects.contains(&Defect::NotWellFormed) {
        add(defects, Defect::Empty);
    }
}

fn add(defects: &mut Vec<Defect>, defect: Defect) {
    if !defects.contains(&defect) {
        defects.push(defect);
    }
}

/// What an element stands in, itself the last.
#[derive(Default)]
struct Around {
    open: Vec<Open>,
    /// The namespaces in force: prefix and URI, those of inner elements behind those of outer ones.
    declared: Vec<(String, String)>,
}

/// An element that has begun and not ended.
struct Open {
    is_paragraph: bool,
    /// How many namespaces were declared before it.
    declared_before: usize,
}

impl Around {
    /// Goes into an element, unless a limit keeps it from being looked at.
    fn enter(&mut self, element: &BytesStart<'_>) -> Result<(), Defect> {
        self.open.push(Open { is_paragraph: element.local_name().as_ref() == "p", declared_before: self.declared.len() });
        for (number, attribute) in element.attributes().enumerate() {
            if number == ATTRIBUTES_MAX {
                return Err(Defect::TooManyAttributes);
            }
            // One that cannot be read is reported where the element is judged.
            let Ok(attribute) = attribute else { continue };
            let key = attribute.key.as_ref();
            if let Some(prefix) = key.strip_prefix("xmlns").filter(|rest| rest.is_empty() || rest.starts_with(':')) {
                if self.declared.len() == NAMESPACES_MAX {
                    return Err(Defect::TooManyNamespaces);
                }
                self.declared.push((prefix.trim_start_matches(':').to_owned(), attribute.value.to_string()));
            }
        }
        Ok(())
    }

    fn leave(&mut self) {
        if let Some(left) = self.open.pop() {
            self.declared.truncate(left.declared_before);
        }
    }

    fn is_in_paragraph(&self) -> bool {
        self.open.iter().rev().skip(1).any(|open| open.is_paragraph)
    }

    /// The namespace of an element's name.
    fn namespace(&self, element: &BytesStart<'_>) -> Option<&str> {
        let name = element.name();
        let prefix = name.as_ref().split_once(':').map_or("", |(prefix, _)| prefix);
        self.declared.iter().rev().find(|(declared, _)| declared == prefix).map(|(_, uri)| uri.as_str())
    }
}

/// Elements that HTML has nowhere in a paragraph.
const BLOCKS: [&str; 6] = ["blockquote", "div", "ol", "p", "table", "ul"];

fn judge_element(element: &BytesStart<'_>, depth: usize, around: &Around, defects: &mut Vec<Defect>) {
    let name = element.local_name();
    if depth > 0 && around.namespace(element).is_some_and(|found| found != XHTML) {
        add(defects, Defect::WrongNamespace);
    }
    if BLOCKS.contains(&name.as_ref()) && around.is_in_paragraph() {
        add(defects, Defect::InParagraph);
    }
    if depth == 0 && name.as_ref() != "div" {
        add(defects, Defect::NotADiv);
    } else if ELEMENTS.binary_search(&name.as_ref()).is_err() {
        add(defects, Defect::Element);
    }
    let mut has_namespace = false;
    for attribute in element.attributes() {
        let Ok(attribute) = attribute else { return add(defects, Defect::NotWellFormed) };
        let key = attribute.key.as_ref();
        if key == "xmlns" || key.starts_with("xmlns:") {
            has_namespace |= attribute.value.as_ref() == XHTML;
            continue;
        }
        if !has_known_references(&attribute.value) {
            add(defects, Defect::NotWellFormed);
        }
        let name = key.strip_prefix("xml:").unwrap_or(key);
        if ATTRIBUTES.binary_search(&name).is_err() {
            add(defects, Defect::Attribute);
        }
        if matches!(name, "href" | "src" | "cite" | "longdesc") && runs_code(&attribute.value) {
            add(defects, Defect::Link);
        } else if matches!(name, "href" | "src") && !is_url(&attribute.value) {
            add(defects, Defect::Url);
        }
    }
    if depth == 0 && !has_namespace {
        add(defects, Defect::WrongNamespace);
    }
}

/// Whether whatever looks like a character reference is one. A bare `&`, as links often have it, is let pass.
fn has_known_references(value: &str) -> bool {
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'#');
    value.split('&').skip(1).filter_map(|rest| rest.split_once(';')).all(|(name, _)| !is_name(name) || entities::character(name).is_some())
}

/// Whether a link or an image has a URL: not an empty one, and data that can be read.
fn is_url(value: &str) -> bool {
    match value.strip_prefix("data:") {
        Some(data) => is_data(data),
        None => !value.is_empty() && value.chars().all(is_of_url),
    }
}

/// Whether the rest of a `data:` URL holds what it says: a media type, and Base64 (RFC 2397).
fn is_data(rest: &str) -> bool {
    let Some((media_type, data)) = rest.split_once(',') else { return false };
    let Some((kind, format)) = media_type.strip_suffix(";base64").and_then(|media_type| media_type.trim().split_once('/')) else {
        return false;
    };
    !kind.is_empty() && !format.is_empty() && !data.is_empty() && is_base64(data)
}

/// Whether a URL may hold a character (RFC 3986 §2, and letters of other scripts as RFC 3987 has them). A `|` stands before a version in FHIR's own URLs.
fn is_of_url(letter: char) -> bool {
    letter.is_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%|".contains(letter)
}

/// Whether a link's scheme is one that runs code. Browsers pass over white space and control characters in a scheme, and read
/// character references, so a scheme that has any of them counts as one too.
fn runs_code(value: &str) -> bool {
    let (scheme, has_colon) = value.split_once(':').map_or((value, false), |(scheme, _)| (scheme, true));
    match scheme.chars().find(|letter| matches!(letter, '/' | '?' | '#' | '&')) {
        Some('&') => true,
        // A path, query or fragment has begun, so the colon ends no scheme.
        Some(_) => false,
        None => {
            has_colon
                && (scheme.contains(|letter| letter <= ' ')
                    || ["javascript", "vbscript"].iter().any(|code| scheme.eq_ignore_ascii_case(code)))
        }
    }
}

/// Sorted, to be searched.
#[rustfmt::skip]
const ELEMENTS: [&str; 53] = [
    "a", "abbr", "acronym", "address", "area", "b", "bdo", "big", "blockquote", "br", "caption", "cite", "code", "col", "colgroup", "dd", "dfn",
    "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "kbd", "li", "map", "ol", "p", "pre", "q", "samp", "small",
    "span", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt", "ul", "var",
];

/// Sorted, to be searched.
#[rustfmt::skip]
const ATTRIBUTES: [&str; 56] = [
    "abbr", "accesskey", "align", "alt", "axis", "bgcolor", "border", "cellhalign", "cellpadding", "cellspacing", "cellvalign", "char", "charoff",
    "charset", "cite", "class", "colspan", "compact", "coords", "dir", "frame", "headers", "height", "href", "hreflang", "hspace", "id", "idref",
    "lang",     "longdesc", "name", "nohref", "noshade", "nowrap", "rel", "rev", "rowspan", "rules", "scope", "shape", "size", "space", "span", "src", "start",
    "style", "summary", "tabindex", "target", "title", "type", "usemap", "valign", "value", "vspace", "width",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        assert!(ELEMENTS.is_sorted() && ATTRIBUTES.is_sorted());
    }

    #[test]
    fn narratives() {
        let check = |inner: &str, expected: &[Defect]| {
            let mut found = Vec::new();
            judge(inner, &mut found);
            assert_eq!(found, expected, "{inner}");
        };
        let div = |inner: &str| format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{inner}</div>");
        check(&div("a <b>b</b> &amp; &nbsp;<br/><!-- c --><a href=\"#x\" onclick=\"go()\">l</a>"), &[Defect::Attribute]);
        check(&div("<table class=\"x\"><tr><td colspan=\"2\" style=\"a\" xml:lang=\"de\">x</td></tr></table>"), &[]);
        check(&div("<script>x</script><script>y</script>"), &[Defect::Element]);
        check(&div("&eacute;&#233;&#xE9;"), &[]);
        check(&div("a &bogus; b"), &[Defect::NotWellFormed]);
        check(&div("&bogus;"), &[Defect::NotWellFormed]);
        check(&div("a &#xZZ; b"), &[Defect::NotWellFormed]);
        check(&div("a &#0; b"), &[Defect::NotWellFormed]);
        check(&div("<p title=\"&bogus;\">a</p>"), &[Defect::NotWellFormed]);
        check(&div("<p title=\"&eacute;\">a</p>"), &[]);
        check(&div("<p>"), &[Defect::NotWellFormed]);
        check(&div("a").replace("</div>", ""), &[Defect::NotWellFormed]);
        check(&div("<br class=a/>"), &[Defect::NotWellFormed]);
        check(&format!("{0}{0}", div("a")), &[Defect::NotWellFormed]);
        check("text", &[Defect::NotWellFormed]);
        check("<div>x</div>", &[Defect::WrongNamespace]);
        check("<p xmlns=\"http://www.w3.org/1999/xhtml\">x</p>", &[Defect::NotADiv]);
        check(&format!("<!DOCTYPE div>{}", div("x")), &[Defect::Doctype]);
        check(&div("<n:p xmlns:n=\"urn:x\">x</n:p><p>y</p>"), &[Defect::WrongNamespace]);
        check(&div("<p xmlns=\"urn:x\">x</p>"), &[Defect::WrongNamespace]);
        check(&div("<p>x <b><p>y</p></b></p>"), &[Defect::InParagraph]);
        check(&div("<p>x</p><div><p>y</p></div><p><span>z</span></p>"), &[]);
        check(&div("<a href=\"http://a.test/{b}\">x</a><img src=\"a b.png\"/>"), &[Defect::Url]);
        check(&div("<a href=\"http://a.test/b?c=d&amp;e=%20#f|1\">x</a>"), &[]);
        check(&format!("<h:div xmlns:h=\"http://www.w3.org/1999/xhtml\">{}</h:div>", "<h:p>x</h:p>"), &[]);
        for (link, runs) in [
            ("http://example.org/a:b", false),
            ("a?b=javascript:c", false),
            ("#a", false),
            ("a?b&amp;c", false),
            ("a?b&#38;c", false),
            ("JavaScript:alert(1)", true),
            ("java\tscript:alert(1)", true),
            ("javascript&#58;alert(1)", true),
            ("&#106;avascript:alert(1)", true),
            ("vbscript:x", true),
        ] {
            check(&div(&format!("<a href=\"{link}\">x</a>")), if runs { &[Defect::Link] } else { &[] });
        }
        check(&div(&format!("{}{}", "<b>".repeat(DEPTH_MAX), "</b>".repeat(DEPTH_MAX))), &[Defect::TooDeep]);
        let spaces = |count: usize| (0..count).map(|at| format!(" xmlns:n{at}=\"urn:n\"")).collect::<String>();
        let holding = |spaces: &str| div(&format!("<b{spaces}>x</b><i{spaces}>y</i>"));
        check(&holding(&spaces(NAMESPACES_MAX - 1)), &[]);
        check(&div(&format!("<b{}><i{}/></b>", spaces(NAMESPACES_MAX - 1), spaces(1))), &[Defect::TooManyNamespaces]);
        check(&holding(&spaces(ATTRIBUTES_MAX)), &[Defect::TooManyNamespaces]);
        let unknown: String = (0..=ATTRIBUTES_MAX).map(|at| format!(" a{at}=\"\"")).collect();
        check(&div(&format!("<b{unknown}>x</b>")), &[Defect::TooManyAttributes]);
    }
}
