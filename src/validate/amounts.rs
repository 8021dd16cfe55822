//! How long, large and exact a value may be, and what form it has, as a profile says by extension of an ElementDefinition: `regex`, `minLength`,
//! `maxSize`, `maxDecimalPlaces`, and `mustHaveValue` (<https://hl7.org/fhir/R4/elementdefinition-profiles.html#extensions>).

use super::attachments::held_bytes;
use super::path::Path;
use super::profiles::Found;
use super::report::Rule;
use super::structure::Walk;
use super::values::{REGEX_BYTES_MAX, whole};
use crate::definitions::profile::ProfileNode;
use crate::fhir::Node;
use crate::outcome::IssueType;

const WRONG_FORM: Rule = Rule::error(IssueType::Invalid, "Type_Specific_Checks_DT_Primitive_Regex");
const FORM_NOT_CHECKED: Rule = Rule::warning(IssueType::NotSupported, "TYPE_SPECIFIC_CHECKS_DT_PRIMITIVE_REGEX_EXCEPTION");
const TOO_SHORT: Rule = Rule::error(IssueType::Invalid, "PRIMITIVE_TOO_SHORT");
const DATA_TOO_LARGE: Rule = Rule::error(IssueType::Structure, "TYPE_SPECIFIC_CHECKS_DT_BASE64_TOO_LONG");
const ATTACHMENT_TOO_LARGE: Rule = Rule::error(IssueType::Structure, "TYPE_SPECIFIC_CHECKS_DT_ATT_TOO_LONG");
const TOO_EXACT: Rule = Rule::error(IssueType::Structure, "TYPE_SPECIFIC_CHECKS_DT_DECIMAL_CHARS");
const NO_VALUE: Rule = Rule::error(IssueType::Invalid, "PRIMITIVE_MUSTHAVEVALUE_MESSAGE");

/// Judges an element by the amounts that its definition states.
pub fn check(walk: &mut Walk<'_>, node: &ProfileNode, found: Found<'_>, path: &Path<'_>) {
    for (name, asked) in &node.element.controls {
        if name == "extension-ElementDefinition.mustHaveValue" && asked == "true" && found.item.node.is_none() {
            let place = found.item.sibling.and_then(|sibling| sibling.members().first()).and_then(|member| member.node.place());
            walk.report.add_at(NO_VALUE, path, place, format!("{}: the profile asks for a value, not only for extensions", node.path));
        }
        let Some(value) = found.item.node else { continue };
        let broken = match name.as_str() {
            "regex" => form(asked, value),
            "minLength" => amount(asked).zip(value.as_text()).filter(|(min, text)| (text.chars().count() as f64) < *min).map(|_| TOO_SHORT),
            "maxSize" => size(walk, asked, found.type_name(walk.types), value),
            "maxDecimalPlaces" => {
                amount(asked).zip(value.as_number()).filter(|(max, number)| places(number) as f64 > *max).map(|_| TOO_EXACT)
            }
            _ => None,
        };
        if let Some(rule) = broken {
            walk.report.add(rule, path, value, words(rule, node, asked));
        }
    }
}

fn words(rule: Rule, node: &ProfileNode, asked: &str) -> String {
    let path = &node.path;
    match rule.message_id {
        id if id == WRONG_FORM.message_id => format!("{path}: the value does not have the form that the profile asks for"),
        id if id == FORM_NOT_CHECKED.message_id => {
            format!("{path}: the regular expression of the profile cannot be read, or is larger than {REGEX_BYTES_MAX} bytes")
        }
        id if id == TOO_SHORT.message_id => format!("{path}: the value must have {asked} characters or more"),
        id if id == TOO_EXACT.message_id => format!("{path}: the value may have at most {asked} decimal places"),
        _ => format!("{path}: the data may have at most {asked} bytes"),
    }
}

fn form(pattern: &str, value: &Node) -> Option<Rule> {
    let text = value.as_text().or_else(|| value.as_number())?;
    match whole(pattern) {
        Some(pattern) => (!pattern.is_match(text)).then_some(WRONG_FORM),
        None => Some(FORM_NOT_CHECKED),
    }
}

fn size(walk: &Walk<'_>, asked: &str, type_name: &str, value: &Node) -> Option<Rule> {
    let max = amount(asked)?;
    let (data, rule) = match type_name {
        "base64Binary" => (value.as_text(), DATA_TOO_LARGE),
        "Attachment" => (value.text("data"), ATTACHMENT_TOO_LARGE),
        _ => return None,
    };
    let stated = value.get("size").and_then(Node::as_number).and_then(amount);
    let bytes = stated.or_else(|| data.map(|data| held_bytes(data) as f64))?;
    // HL7's validator believes the size that an attachment states, and measures none that states no size.
    (bytes > max).then(|| walk.as_hl7_asks(rule, type_name != "Attachment" || stated.is_some()))
}

fn amount(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// How many digits stand behind the decimal point.
fn places(number: &str) -> usize {
    let mantissa = number.split(['e', 'E']).next().unwrap_or(number);
    mantissa.split_once('.').map_or(0, |(_, digits)| digits.len())
}
