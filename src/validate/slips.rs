//! What is not JSON, or not FHIR's XML, in a document that could be read all the same, as findings at the elements where it is.

use super::path::Path;
use super::report::{Report, Rule};
use crate::fhir::json::{OUTSIDE, SLIPS_MAX, Slip, SlipKind};
use crate::fhir::types::{ElementId, TypeTable};
use crate::fhir::xml::{XmlSlip, XmlSlipKind};
use crate::fhir::{Node, Value};
use crate::outcome::{Finding, IssueType};

const COMMENT: Rule = Rule::error(IssueType::Invalid, "JSON_COMMENTS_NOT_ALLOWED");
const COMMA_MISSING: Rule = Rule::error(IssueType::Invalid, "JSON_COMMA_MISSING");
const COMMA_EXTRA: Rule = Rule::error(IssueType::Invalid, "JSON_COMMA_EXTRA");
const NAME_UNQUOTED: Rule = Rule::error(IssueType::Invalid, "JSON_PROPERTY_NO_QUOTES");
const DUPLICATE: Rule = Rule::error(IssueType::Invalid, "DUPLICATE_JSON_PROPERTY");
/// JSON has them in no string; HL7's validator does not ask it.
const CONTROL_CHARACTER: Rule = Rule::error(IssueType::Invalid, "JSON_CONTROL_CHARACTER");
const UNKNOWN_ELEMENT: Rule = Rule::error(IssueType::Structure, "Undefined_element_");
const UNKNOWN_ATTRIBUTE: Rule = Rule::error(IssueType::Structure, "Undefined_attribute__on__for_type__properties__");
const TEXT: Rule = Rule::error(IssueType::Structure, "Text_should_not_be_present");
const OUT_OF_ORDER: Rule = Rule::error(IssueType::Invalid, "Validation_VAL_Profile_OutOfOrder");
const REPEATED: Rule = Rule::error(IssueType::Structure, "Validation_VAL_Profile_Maximum_one");
const OTHER_NAMESPACE: Rule = Rule::error(IssueType::Invalid, "Wrong_namespace__expected_");
const EMPTY: Rule = Rule::error(IssueType::Invalid, "Element_must_have_some_content");
const ENCODING: Rule = Rule::error(IssueType::Invalid, "XML_ENCODING_INVALID");
const INSTRUCTION: Rule = Rule::error(IssueType::Invalid, "No_processing_instructions_allowed_in_resources");

/// The findings that slips of XML are, each where it stands. What FHIR does not have is named by the steps of the markup, since FHIRPath has no words for it.
pub fn xml_findings(slips: &[XmlSlip]) -> Vec<Finding> {
    let finding = |slip: &XmlSlip| {
        let (rule, text) = xml_words(&slip.kind);
        Finding::new(rule.severity, rule.code, rule.message_id, text).at(slip.place.clone()).at_offset(u32::try_from(slip.offset).ok())
    };
    slips.iter().map(finding).collect()
}

fn xml_words(kind: &XmlSlipKind) -> (Rule, String) {
    match kind {
        XmlSlipKind::UnknownElement { name } => (UNKNOWN_ELEMENT, format!("There is no element '{name}' here; it was passed over")),
        XmlSlipKind::UnknownAttribute { name } => (UNKNOWN_ATTRIBUTE, format!("There is no attribute '{name}' here; it was passed over")),
        XmlSlipKind::Text => (TEXT, "Text stands only in the narrative; it was passed over".to_owned()),
        XmlSlipKind::OutOfOrder { name } => (OUT_OF_ORDER, format!("The element '{name}' must stand before the one in front of it")),
        XmlSlipKind::Repeated { name } => (REPEATED, format!("The element '{name}' may be there once; the first was checked")),
        XmlSlipKind::Namespace { name } => {
            (OTHER_NAMESPACE, format!("The element '{name}' is of another namespace; it was read as FHIR's"))
        }
        XmlSlipKind::Empty => (EMPTY, "An element must have attributes or content".to_owned()),
        XmlSlipKind::Encoding => (ENCODING, "FHIR's XML is UTF-8, and says so or says nothing; it was read as UTF-8".to_owned()),
        XmlSlipKind::ProcessingInstruction => (INSTRUCTION, "FHIR's XML has no processing instructions".to_owned()),
    }
}

/// The findings that slips are, each at the innermost element around it, one of a kind to an element.
pub fn findings(types: &TypeTable, document: &Node, slips: &[Slip], as_hl7: bool) -> Vec<Finding> {
    let mut search = Search { types, slips, as_hl7, report: Report::new(SLIPS_MAX) };
    let type_name = document.resource_type().unwrap_or_default();
    let definition = types.document(type_name);
    let path = Path::root(definition.map_or("", |definition| definition.name.as_str()));
    search.visit(document, definition.map(|definition| definition.root), &path);
    search.report.done()
}

struct Search<'a> {
    types: &'a TypeTable,
    slips: &'a [Slip],
    as_hl7: bool,
    report: Report,
}

impl Search<'_> {
    /// Looks for the objects that slips stand in. Nesting is bounded by the reader.
    fn visit(&mut self, node: &Node, content: Option<ElementId>, path: &Path<'_>) {
        let Value::Object(object) = &node.value else { return };
        // What stands before or after the document is said of the whole.
        let is_root = path.container().is_none();
        let place = node.place().map(|place| place as usize);
        for slip in self.slips.iter().filter(|slip| Some(slip.within) == place || is_root && slip.within == OUTSIDE) {
            let (rule, text) = words(slip.kind);
            let is_grave = slip.kind != SlipKind::ControlCharacter || !self.as_hl7;
            self.report.add_at(rule.grave_if(is_grave), path, u32::try_from(slip.at).ok(), text);
        }
        for member in object.members() {
            let used = content.and_then(|content| self.types.member(content, member.name.strip_prefix('_').unwrap_or(&member.name)));
            let element = used.map(|used| self.types.element(used.element));
            let type_use = used.zip(element).and_then(|(used, element)| element.types.get(used.type_index));
            let named = path.name(element.map_or(member.name.as_str(), |element| element.name.as_str()));
            let typed = named.of_type(type_use.map(|one| one.code.as_str()).unwrap_or_default());
            let at = if element.is_some_and(|element| element.is_choice) { &typed } else { &named };
            let inside = |node: &Node| match node.resource_type().and_then(|name| self.types.resource(name)) {
                Some(definition) => Some(definition.root),
                None => used.map(|used| self.types.content(used.element, used.type_index)),
            };
            match &member.node.value {
                Value::List(items) => {
                    let contents: Vec<_> = items.iter().map(inside).collect();
                    for (index, (item, content)) in items.iter().zip(contents).enumerate() {
                        self.visit(item, content, &at.index(index));
                    }
                }
                _ => {
                    let content = inside(&member.node);
                    self.visit(&member.node, content, at);
                }
            }
        }
    }
}

fn words(kind: SlipKind) -> (Rule, &'static str) {
    match kind {
        SlipKind::Comment => (COMMENT, "JSON has no comments; leave them out"),
        SlipKind::CommaMissing => (COMMA_MISSING, "A comma is missing between two members or items"),
        SlipKind::CommaExtra => (COMMA_EXTRA, "A comma stands after the last member or item"),
        SlipKind::NameUnquoted => (NAME_UNQUOTED, "The name of a member must stand in double quotes"),
        SlipKind::Duplicate => (DUPLICATE, "A member is there twice; the first was checked"),
        SlipKind::ControlCharacter => {
            (CONTROL_CHARACTER, "A control character, such as a tab or the end of a line, must be escaped in JSON")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definitions::Definitions;
    use crate::fhir::json;

    #[test]
    fn slips() {
        let check = |document: &str, expected: &[&str]| {
            let (node, slips) = json::parse_leniently(document.as_bytes(), 16).unwrap();
            let found = findings(Definitions::embedded().types(), &node, &slips, false);
            let found: Vec<String> = found.iter().map(|one| format!("{} {}", one.message_id, one.expression)).collect();
            assert_eq!(found, expected, "{document}");
        };
        check(r#"{"resourceType": "Patient", "name": [{"text": "a"}]}"#, &[]);
        check(r#"{"resourceType": "Patient", /* a */ "active": true} // b"#, &["JSON_COMMENTS_NOT_ALLOWED Patient"]);
        check(r#"{"resourceType": "Patient", "name": [{"family": "a" "given": ["b" "c"]}]}"#, &["JSON_COMMA_MISSING Patient.name[0]"]);
        check(
            r#"{"resourceType": "Patient", "name": [{"given": ["b",],}],}"#,
            &["JSON_COMMA_EXTRA Patient", "JSON_COMMA_EXTRA Patient.name[0]"],
        );
        check("// a\n{\"resourceType\": \"Patient\"}", &["JSON_COMMENTS_NOT_ALLOWED Patient"]);
        check("{\"resourceType\": \"Patient\"} // b", &["JSON_COMMENTS_NOT_ALLOWED Patient"]);
        check(r#"{resourceType: "Patient"}"#, &["JSON_PROPERTY_NO_QUOTES Patient"]);
        check("{\"resourceType\": \"Patient\", \"name\": [{\"text\": \"a\tb\\\\\nc\"}]}", &["JSON_CONTROL_CHARACTER Patient.name[0]"]);
        let twice = r#"{"resourceType": "Observation", "valueQuantity": {"value": 1, "value": 2}}"#;
        check(twice, &["DUPLICATE_JSON_PROPERTY Observation.value.ofType(Quantity)"]);
    }

    #[test]
    fn slips_of_xml() {
        let check = |body: &str, expected: &[&str]| {
            let document = format!("<Patient xmlns='http://hl7.org/fhir' xmlns:x='urn:x'>{body}</Patient>");
            let (node, slips) = crate::fhir::xml::parse_leniently(document.as_bytes(), 16, Definitions::embedded().types()).unwrap();
            assert_eq!(node.resource_type(), Some("Patient"));
            let found: Vec<String> = xml_findings(&slips).iter().map(|one| format!("{} {}", one.message_id, one.expression)).collect();
            assert_eq!(found, expected, "{body}");
        };
        check("<active value='true'/><name><family value='a'/></name>", &[]);
        check("<name><age value='1'><b>c</b></age><family value='a'/></name>", &["Undefined_element_ /f:Patient/f:name"]);
        check("<x:active value='true'/>", &["Wrong_namespace__expected_ /f:Patient/?:active"]);
        check("<x:frob value='true'/>", &["Undefined_element_ /f:Patient"]);
        check("<text><status value='empty'/><div>a</div></text>", &[]);
        check("<active/>", &["Element_must_have_some_content /f:Patient/f:active"]);
        check(
            "<active></active><active id='a'/>",
            &["Element_must_have_some_content /f:Patient/f:active", "Validation_VAL_Profile_Maximum_one Patient"],
        );
        check("<name><period> </period></name>", &["Element_must_have_some_content /f:Patient/f:name/f:period"]);
        check("<name><text id='a'/><period>a</period></name>", &["Text_should_not_be_present /f:Patient/f:name/f:period"]);
        check("<contact xmlns:y='urn:y'/>", &["Element_must_have_some_content /f:Patient/f:contact"]);
        check("", &["Element_must_have_some_content /f:Patient"]);
        check("<active value='true' note='x'/>", &["Undefined_attribute__on__for_type__properties__ /f:Patient/f:active"]);
        check("<active value='true'/>stray", &["Text_should_not_be_present /f:Patient"]);
        check("<gender value='male'/><active value='true'/>", &["Validation_VAL_Profile_OutOfOrder Patient.active"]);
        check(
            "<name/><gender value='male'/><name id='x'/>",
            &["Element_must_have_some_content /f:Patient/f:name", "Validation_VAL_Profile_OutOfOrder Patient.name[1]"],
        );
        check("<gender value='male'/><gender value='male'/>", &["Validation_VAL_Profile_Maximum_one Patient"]);
        check(
            "<contained><Basic><id value='a'/><code other='b'/></Basic></contained>",
            &["Undefined_attribute__on__for_type__properties__ Basic/f:code"],
        );
        let late = "<contained><Observation><valueQuantity><unit value='a'/><value value='1'/></valueQuantity></Observation></contained>";
        check(late, &["Validation_VAL_Profile_OutOfOrder Patient.contained[0].value.ofType(Quantity).value"]);
        check("<?a b?><active value='true'/>", &["No_processing_instructions_allowed_in_resources (document)"]);
    }

    /// What is UTF-8, whatever it says.
    #[test]
    fn the_encoding_that_is_named() {
        let table = Definitions::embedded().types();
        for (name, expected) in [("UTF-8", None), ("utf-8", None), ("ISO-8859-1", Some(("XML_ENCODING_INVALID", "XML")))] {
            let document =
                format!("<?xml version='1.0' encoding='{name}'?><Patient xmlns='http://hl7.org/fhir'><active value='true'/></Patient>");
            let (node, slips) = crate::fhir::xml::parse_leniently(document.as_bytes(), 16, table).unwrap();
            let found = xml_findings(&slips);
            assert_eq!(found.first().map(|one| (one.message_id, one.expression.as_str())), expected, "{name}");
            assert_eq!(node.get("active").and_then(Node::as_bool), Some(true));
        }
    }

    #[test]
    fn too_many_end_the_reading() {
        let document = |commas: usize| format!("[{}]", vec!["\"a\""; commas + 1].join(" "));
        assert_eq!(json::parse_leniently(document(SLIPS_MAX).as_bytes(), 4).map(|read| read.1.len()), Ok(SLIPS_MAX));
        assert!(json::parse_leniently(document(SLIPS_MAX + 1).as_bytes(), 4).is_err());
        // However many lines a text has, they are one slip.
        let lines = format!(r#"{{"resourceType": "Patient", "name": [{{"text": "a{}"}}]}}"#, "\n".repeat(SLIPS_MAX + 1));
        assert_eq!(json::parse_leniently(lines.as_bytes(), 8).map(|read| read.1.len()), Ok(1));
        assert!(json::parse(lines.as_bytes(), 8).is_err(), "what is stored is JSON");
        assert!(json::parse(b"[1 2]", 4).is_err() && json::parse(b"[1,]", 4).is_err() && json::parse(b"[] // a", 4).is_err());
    }
}
