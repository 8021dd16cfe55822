//! The properties that a CodeSystem defines and gives its concepts (<https://hl7.org/fhir/R4/codesystem.html#properties>).

use super::super::DEPTH_MAX;
use super::super::path::Path;
use super::super::primitives::has_scheme;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::{choice, is_type};
use crate::definitions::{Membership, Standing};
use crate::fhir::Node;
use crate::outcome::IssueType;
use std::collections::{HashMap, HashSet};

const NOT_ABSOLUTE: Rule = Rule::error(IssueType::BusinessRule, "CODESYSTEM_PROPERTY_ABSOLUTE_URI");
const URI_TWICE: Rule = Rule::error(IssueType::BusinessRule, "CODESYSTEM_PROPERTY_DUPLICATE_URI");
const CODE_TWICE: Rule = Rule::error(IssueType::BusinessRule, "CODESYSTEM_PROPERTY_DUPLICATE_CODE");
const OTHER_CODE: Rule = Rule::error(IssueType::BusinessRule, "CODESYSTEM_PROPERTY_URI_CODE_MISMATCH");
const OTHER_TYPE: Rule = Rule::error(IssueType::BusinessRule, "CODESYSTEM_PROPERTY_URI_TYPE_MISMATCH");
const UNKNOWN_URI: Rule = Rule::error(IssueType::BusinessRule, "CODESYSTEM_PROPERTY_BAD_HL7_URI");
const NO_URI: Rule = Rule::warning(IssueType::BusinessRule, "CODESYSTEM_PROPERTY_KNOWN_CODE_SUGGESTIVE");
const OTHER_TYPE_WITHOUT_URI: Rule = Rule::warning(IssueType::BusinessRule, "CODESYSTEM_PROPERTY_CODE_TYPE_MISMATCH");
const UNDEFINED: Rule = Rule::warning(IssueType::BusinessRule, "CODESYSTEM_PROPERTY_UNDEFINED");
const NO_VALUE: Rule = Rule::error(IssueType::BusinessRule, "CODESYSTEM_PROPERTY_NO_VALUE");
const WRONG_TYPE: Rule = Rule::error(IssueType::BusinessRule, "CODESYSTEM_PROPERTY_WRONG_TYPE");
const NOT_IN_SET: Rule = Rule::error(IssueType::Invalid, "CODESYSTEM_PROPERTY_BAD_PROPERTY_CODE");
const NO_SUCH_CODE: Rule = Rule::error(IssueType::Invalid, "CODESYSTEM_PROPERTY_BAD_INTERNAL_REFERENCE");
const NO_SUCH_CODE_ELSEWHERE: Rule = Rule::warning(IssueType::Invalid, "CODESYSTEM_PROPERTY_BAD_INTERNAL_REFERENCE");

/// Where FHIR's own properties are defined.
const KNOWN: &str = "http://hl7.org/fhir/concept-properties#";

/// FHIR's own properties and their types.
const KNOWN_TYPES: [(&str, &str); 12] = [
    ("status", "code"),
    ("inactive", "boolean"),
    ("effectiveDate", "dateTime"),
    ("deprecationDate", "dateTime"),
    ("retirementDate", "dateTime"),
    ("notSelectable", "boolean"),
    ("parent", "code"),
    ("child", "code"),
    ("partOf", "code"),
    ("synonym", "code"),
    ("comment", "string"),
    ("itemWeight", "decimal"),
];

/// The extensions by which the definition of a property names the value set of its values, R4's name first.
const VALUE_SET: [&str; 2] = [
    "http://hl7.org/fhir/StructureDefinition/codesystem-property-valueset",
    "http://hl7.org/fhir/6.0/StructureDefinition/extension-CodeSystem.property.valueSet",
];

/// Those whose values are codes of the same system.
const INNER: [&str; 4] = ["parent", "child", "partOf", "synonym"];

/// Judges the properties of a CodeSystem that has these codes.
pub fn check(walk: &mut Walk<'_>, system: &Node, codes: &HashSet<&str>, path: &Path<'_>) {
    let mut known: HashMap<&str, &Node> = HashMap::new();
    let name = path.name("property");
    for (index, property) in system.items("property").iter().enumerate() {
        definition(walk, system, property, &mut known, &name.index(index));
    }
    let values = Values { known, codes, supplements: system.text("supplements") };
    values.of_concepts(walk, system, path, 0);
}

fn definition<'n>(walk: &mut Walk<'_>, system: &Node, property: &'n Node, known: &mut HashMap<&'n str, &'n Node>, path: &Path<'_>) {
    let (uri, code, kind) = (property.text("uri"), property.text("code"), property.text("type"));
    if let Some(uri) = uri {
        if !has_scheme(uri) {
            walk.report.add(NOT_ABSOLUTE, path, property, "The uri of a property must be absolute");
        } else if known.insert(uri, property).is_some() {
            walk.report.add(URI_TWICE, path, property, "Another property has this uri");
        }
        known_uri(walk, system, property, uri, path);
    }
    if let Some(code) = code {
        // The first definition of a code is the one that its values are judged by.
        if known.contains_key(code) {
            walk.report.add(CODE_TWICE, path, property, "Another property has this code");
        } else {
            known.insert(code, property);
        }
    }
    let by_code = code.and_then(|code| KNOWN_TYPES.iter().find(|one| one.0 == code));
    if let (None, Some((_, asked)), true) = (uri, by_code, walk.options.report_undecided) {
        walk.report.add(NO_URI, path, property, "A property with a code of FHIR's own should have the uri of that property");
        if kind.is_some_and(|kind| kind != *asked) {
            walk.report.add(OTHER_TYPE_WITHOUT_URI, path, property, format!("FHIR's own property of this code has the type {asked}"));
        }
    }
}

fn known_uri(walk: &mut Walk<'_>, system: &Node, property: &Node, uri: &str, path: &Path<'_>) {
    let found = uri.strip_prefix(KNOWN).and_then(|name| KNOWN_TYPES.iter().find(|one| one.0 == name));
    let Some((name, asked)) = found else {
        let url = system.text("url").unwrap_or_default();
        let is_own = !url.is_empty() && uri.starts_with(url);
        let is_core = url.strip_prefix("http://hl7.org/fhir/").is_some_and(|rest| !rest.contains('/'));
        if uri.contains("://hl7.org/fhir") && !is_own && !is_core {
            walk.report.add(UNKNOWN_URI, path, property, "FHIR defines no property with this uri");
        }
        return;
    };
    let code = property.text("code").and_then(|code| KNOWN_TYPES.iter().find(|one| one.0 == code));
    if code.is_some_and(|code| code.0 != *name) {
        walk.report.add(OTHER_CODE, path, property, "The code is that of one property of FHIR's own, the uri that of another");
    }
    if property.text("type").is_some_and(|kind| kind != *asked) {
        walk.report.add(OTHER_TYPE, path, property, format!("The property with this uri has the type {asked}"));
    }
}

/// The value set that the values of a property are of.
fn value_set(definition: &Node) -> Option<&str> {
    let named = definition.items("extension").iter().find(|one| one.text("url").is_some_and(|url| VALUE_SET.contains(&url)))?;
    named.text("valueCanonical").or_else(|| named.text("valueUri"))
}

/// What concepts' properties are judged by.
struct Values<'n> {
    /// Definitions by code and by uri.
    known: HashMap<&'n str, &'n Node>,
    /// The codes that it holds itself.
    codes: &'n HashSet<&'n str>,
    /// The system whose codes they are, where it only adds to them.
    supplements: Option<&'n str>,
}

impl Values<'_> {
    fn of_concepts(&self, walk: &mut Walk<'_>, parent: &Node, path: &Path<'_>, depth: usize) {
        if depth == DEPTH_MAX {
            return;
        }
        let name = path.name("concept");
        for (index, concept) in parent.items("concept").iter().enumerate() {
            let at = name.index(index);
            let property_name = at.name("property");
            for (index, property) in concept.items("property").iter().enumerate() {
                self.value(walk, property, &property_name.index(index));
            }
            self.of_concepts(walk, concept, &at, depth + 1);
        }
    }

    fn value(&self, walk: &mut Walk<'_>, property: &Node, path: &Path<'_>) {
        let Some(code) = property.text("code") else { return };
        let defined = self.known.get(code);
        if defined.is_none() {
            walk.report.add(UNDEFINED, path, property, "The code system defines no property of this code");
        }
        let Some((value, type_name)) = choice(property, "value") else {
            return walk.report.add(NO_VALUE, path, property, "A property of a concept must have a value");
        };
        let Some(defined) = defined else { return };
        if defined.text("type").is_some_and(|asked| !is_type(type_name, asked)) {
            return walk.report.add(WRONG_TYPE, path, property, "The value is not of the type that the property is defined with");
        }
        if let Some(code) = value.as_text() {
            self.code(walk, property, defined, code, path);
        }
    }

    /// The code that a property names: of FHIR's own it is one of the same system, of others one of the value set that the definition names.
    fn code(&self, walk: &mut Walk<'_>, property: &Node, defined: &Node, code: &str, path: &Path<'_>) {
        let fhirs_own = defined.text("uri").and_then(|uri| uri.strip_prefix(KNOWN));
        let names_inner = fhirs_own.is_some_and(|name| INNER.contains(&name));
        if names_inner && self.lacks(walk, code) {
            return walk.report.add(NO_SUCH_CODE, path, property, "The value must be a code of the same code system");
        }
        if fhirs_own.is_some() || defined.text("type") != Some("code") {
            return;
        }
        match value_set(defined) {
            Some(set) if walk.definitions.value_set_contains(set, None, code) == Membership::NotMember => {
                walk.report.add(NOT_IN_SET, path, property, "The value is not in the value set that the property is defined with");
            }
            // What a property without a value set takes its codes from, nobody says; most take them from the system.
            None if self.supplements.is_some() && self.lacks(walk, code) => {
                let text = "The value is no code of the code system supplemented, and the property names no value set";
                walk.report.add(NO_SUCH_CODE_ELSEWHERE, path, property, text);
            }
            _ => {}
        }
    }

    /// Whether a code is known not to be one of the system's.
    fn lacks(&self, walk: &Walk<'_>, code: &str) -> bool {
        match self.supplements {
            Some(url) => walk.definitions.standing(url, code) == Standing::Absent,
            None => !self.codes.contains(code),
        }
    }
}
