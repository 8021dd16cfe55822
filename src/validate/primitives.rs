//! The formats of the primitive types (<https://hl7.org/fhir/R4/datatypes.html#primitive>).

use super::calendar::{self, Defect};
use super::path::Path;
use super::report::{Report, Rule};
use crate::fhir::json::is_number;
use crate::fhir::{MAX_ID_CHARACTERS, Node, Value, is_id};
use crate::outcome::IssueType;

/// The longest string, in bytes (FHIR: "Strings SHALL NOT exceed 1MB").
pub const STRING_BYTES_MAX: usize = 1 << 20;

const fn invalid(message_id: &'static str) -> Rule {
    Rule::error(IssueType::Invalid, message_id)
}

/// A broken format: the rule and what it asks for.
type Broken = (Rule, &'static str);

/// Judges the value of a primitive of the named type, `code` or `positiveInt`. Null is for the caller to judge. What was XML has no kinds of JSON
/// that could be wrong.
pub fn check(type_name: &str, node: &Node, from_xml: bool, path: &Path<'_>, report: &mut Report) {
    let broken = match &node.value {
        Value::Bool(_) if type_name == "boolean" => None,
        Value::Number(number) if is_numeric(type_name) => numeric(type_name, number),
        Value::Text(text) if type_name != "boolean" && !is_numeric(type_name) => textual(type_name, text),
        Value::Object(_) | Value::List(_) => {
            Some((invalid("This_property_must_be_an_simple_value_not_"), "must be a simple value, not an object or a list"))
        }
        _ => (!from_xml).then(|| wrong_kind(type_name)),
    };
    for (rule, asked) in broken.into_iter().chain(unquoted(type_name, node)) {
        report.add(rule, path, node, format!("A value of type {type_name} {asked}"));
    }
}

/// What is wrong with a simple value of the wrong JSON type, read as if it were of the right one.
fn unquoted(type_name: &str, node: &Node) -> Option<Broken> {
    match &node.value {
        Value::Text(text) if is_numeric(type_name) && !is_number(text) => {
            let (id, asked) = match type_name {
                "decimal" => ("Type_Specific_Checks_DT_Decimal_Valid", "must be a number, without leading zeros or a plus"),
                _ => ("Type_Specific_Checks_DT_Integer_Valid", "must be a whole number, without leading zeros or a plus"),
            };
            Some((invalid(id), asked))
        }
        Value::Text(text) if is_numeric(type_name) => numeric(type_name, text),
        Value::Text(text) if type_name == "boolean" => not_boolean(matches!(text.as_str(), "true" | "false")),
        Value::Number(_) if type_name == "boolean" => not_boolean(false),
        Value::Number(number) if !is_numeric(type_name) => textual(type_name, number),
        Value::Bool(flag) if type_name != "boolean" && !is_numeric(type_name) => textual(type_name, if *flag { "true" } else { "false" }),
        Value::Bool(_) if is_numeric(type_name) => Some((invalid("Type_Specific_Checks_DT_Integer_Valid"), "must be a number")),
        _ => None,
    }
}

fn not_boolean(is_one: bool) -> Option<Broken> {
    (!is_one).then_some((invalid("Type_Specific_Checks_DT_Boolean_Value"), "must be true or false"))
}

fn is_numeric(type_name: &str) -> bool {
    matches!(type_name, "integer" | "decimal" | "positiveInt" | "unsignedInt")
}

fn wrong_kind(type_name: &str) -> Broken {
    match type_name {
        "boolean" => (invalid("Error_parsing_JSON_the_primitive_value_must_be_a_boolean"), "must be true or false, without quotes"),
        name if is_numeric(name) => {
            (invalid("Error_parsing_JSON_the_primitive_value_must_be_a_number"), "must be a JSON number, without quotes")
        }
        _ => (invalid("Error_parsing_JSON_the_primitive_value_must_be_a_string"), "must be a JSON string, in quotes"),
    }
}

fn numeric(type_name: &str, number: &str) -> Option<Broken> {
    if type_name == "decimal" {
        return None;
    }
    let Some(value) = integer(number) else {
        return Some((
            invalid("Type_Specific_Checks_DT_Integer_Valid"),
            "must be a whole number of 32 bits, without fraction, exponent or leading zeros",
        ));
    };
    match type_name {
        "unsignedInt" if value < 0 => Some((invalid("Type_Specific_Checks_DT_Integer_LT0"), "must not be negative")),
        "positiveInt" if value < 1 => Some((invalid("Type_Specific_Checks_DT_Integer_LT1"), "must be 1 or more")),
        _ => None,
    }
}

fn integer(number: &str) -> Option<i32> {
    let value = number.parse().ok()?;
    (number != "-0").then_some(value)
}

fn textual(type_name: &str, text: &str) -> Option<Broken> {
    if text.is_empty() {
        return Some((invalid("Type_Specific_Checks_DT_Primitive_NotEmpty"), "must not be empty"));
    }
    let check = |is_right: bool, broken: Broken| (!is_right).then_some(broken);
    match type_name {
        "code" => check(
            is_code(text),
            (invalid("Type_Specific_Checks_DT_Code_WS"), "must not begin or end with white space, and have none in it but single spaces"),
        ),
        "id" => check(is_id(text), (invalid("Type_Specific_Checks_DT_ID_Valid"), "has 1 to 64 letters, digits, '-' and '.'")),
        "uri" | "url" | "canonical" => uri(text).or_else(|| canonical(type_name, text)),
        "oid" => {
            check(is_oid(text), (invalid("Type_Specific_Checks_DT_OID_Valid"), "must be 'urn:oid:' and an OID, like urn:oid:2.16.840.1"))
        }
        "uuid" => check(is_uuid(text), (invalid("Type_Specific_Checks_DT_UUID_Valid"), "must be 'urn:uuid:' and a UUID in lower case")),
        "base64Binary" => {
            check(is_base64(text), (invalid("Type_Specific_Checks_DT_Base64_Valid"), "must be Base64, padded to a multiple of four"))
        }
        "date" => dated(calendar::date(text), "Type_Specific_Checks_DT_Date_Valid", "must be YYYY, YYYY-MM or YYYY-MM-DD and a real day"),
        "dateTime" => dated(
            calendar::date_time(text),
            "Type_Specific_Checks_DT_DateTime_Valid",
            "must be a date, or a whole date with a time to the second and an offset: YYYY-MM-DDThh:mm:ss+zz:zz",
        ),
        "instant" => dated(
            calendar::instant(text),
            "Type_Specific_Checks_DT_Instant_Valid",
            "must be a whole date with a time to the second and an offset: YYYY-MM-DDThh:mm:ss+zz:zz",
        ),
        "time" => dated(calendar::time(text), "Type_Specific_Checks_DT_Time_Valid", "must be hh:mm:ss, without an offset"),
        _ => string(text),
    }
}

fn dated(judged: Result<(), Defect>, message_id: &'static str, asked: &'static str) -> Option<Broken> {
    match judged {
        Ok(()) => None,
        Err(Defect::NoZone) => Some((invalid("Type_Specific_Checks_DT_DateTime_TZ"), "with a time must say its offset from UTC (or Z)")),
        Err(Defect::Invalid) => Some((invalid(message_id), asked)),
    }
}

fn string(text: &str) -> Option<Broken> {
    if text.len() > STRING_BYTES_MAX {
        return Some((invalid("Type_Specific_Checks_DT_String_Length"), "must not be longer than 1 MB"));
    }
    if text.chars().any(|letter| letter < ' ' && !matches!(letter, '\t' | '\n' | '\r')) {
        return Some((
            invalid("Type_Specific_Checks_DT_Primitive_Regex"),
            "must not hold control characters but tab, line feed and carriage return",
        ));
    }
    let is_blank = text.chars().all(char::is_whitespace);
    is_blank.then_some((Rule::warning(IssueType::Invalid, "Type_Specific_Checks_DT_String_WS"), "should hold more than white space"))
}

/// Single spaces within a code are its only white space; spaces that keep words together count as letters.
fn is_code(text: &str) -> bool {
    let is_blank = |letter: char| letter.is_whitespace() && !matches!(letter, '\u{a0}' | '\u{2007}' | '\u{202f}');
    let mut may_be_space = false;
    for letter in text.chars() {
        if is_blank(letter) && !(letter == ' ' && may_be_space) {
            return false;
        }
        may_be_space = letter != ' ';
    }
    may_be_space
}

/// The logical id of a resource has its own message ids, which tell apart what is wrong.
pub fn check_resource_id(node: &Node, path: &Path<'_>, report: &mut Report) {
    let Some(id) = node.as_text().filter(|id| !id.is_empty() && !is_id(id)) else { return check("id", node, false, path, report) };
    let is_long = id.chars().count() > MAX_ID_CHARACTERS;
    let rule = if is_long { "Resource_RES_ID_Malformed_Length" } else { "Resource_RES_ID_Malformed_Chars" };
    report.add(invalid(rule), path, node, "A resource's id has 1 to 64 letters, digits, '-' and '.'");
}

fn uri(text: &str) -> Option<Broken> {
    if text.contains(char::is_whitespace) {
        return Some((invalid("Type_Specific_Checks_DT_URI_WS"), "must not hold white space"));
    }
    if text.starts_with("oid:") {
        return Some((invalid("Type_Specific_Checks_DT_URI_OID"), "with an OID must begin 'urn:oid:'"));
    }
    if text.starts_with("uuid:") {
        return Some((invalid("Type_Specific_Checks_DT_URI_UUID"), "with a UUID must begin 'urn:uuid:'"));
    }
    if text.starts_with("urn:oid:") && !is_oid(text) {
        return Some((invalid("Type_Specific_Checks_DT_OID_Valid"), "that begins 'urn:oid:' must go on with an OID"));
    }
    // RFC 4122 reads either case; only the type uuid asks for one.
    if text.starts_with("urn:uuid:") && !is_uuid(&text.split(['#', '|']).next().unwrap_or(text).to_ascii_lowercase()) {
        return Some((invalid("Type_Specific_Checks_DT_UUID_Valid"), "that begins 'urn:uuid:' must go on with a UUID"));
    }
    None
}

fn canonical(type_name: &str, text: &str) -> Option<Broken> {
    let is_right = type_name != "canonical" || text.starts_with('#') || has_scheme(text);
    (!is_right).then_some((invalid("TYPE_SPECIFIC_CHECKS_CANONICAL_ABSOLUTE"), "must be absolute, or a fragment that begins with '#'"))
}

/// Whether a text begins with a URI scheme (RFC 3986 §3.1).
pub fn has_scheme(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once(':') else { return false };
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// Whether a web address is of a domain that is kept for examples (RFC 2606), or that examples use.
pub fn is_example_url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let host = rest.and_then(|rest| rest.split(['/', ':', '?', '#', '|']).next()).unwrap_or_default();
    let is_in = |domain: &str| host.strip_suffix(domain).is_some_and(|sub| sub.is_empty() || sub.ends_with('.'));
    ["example.org", "example.com", "example.net", "acme.org", "acme.com"].into_iter().any(is_in)
}

fn is_oid(text: &str) -> bool {
    let Some(oid) = text.strip_prefix("urn:oid:") else { return false };
    let mut arcs = oid.split('.');
    let first_is_right = matches!(arcs.next(), Some("0" | "1" | "2"));
    let arc = |arc: &str| !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit()) && (arc == "0" || !arc.starts_with('0'));
    // Nobody identifies anything by a shorter one but below 1.3, the arc of organisations, as HL7's validator has it.
    let is_of_use = oid.starts_with("1.3") || oid.rfind('.').is_some_and(|last| last >= 4);
    first_is_right && oid.contains('.') && is_of_use && arcs.all(arc)
}

pub fn is_uuid(text: &str) -> bool {
    let Some(uuid) = text.strip_prefix("urn:uuid:") else { return false };
    uuid.len() == 36
        && uuid.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// White space may break the text into lines.
pub fn is_base64(text: &str) -> bool {
    let mut length = 0usize;
    let mut padding = 0usize;
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        match byte {
            b'=' => padding += 1,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => {}
            _ => return false,
        }
        length += 1;
    }
    length.is_multiple_of(4) && padding <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let check = |type_name: &str, good: &[&str], bad: &[&str]| {
            good.iter().for_each(|text| assert!(textual(type_name, text).is_none(), "{type_name} {text}"));
            bad.iter().for_each(|text| assert!(textual(type_name, text).is_some(), "{type_name} {text}"));
        };
        check("code", &["a", "two words", "a\u{a0}b"], &["", " a", "a ", "two  spaces", "a\tb\t", "a\tb", "a\nb", "a\u{2003}b", "\ta"]);
        check("id", &["a", "A-1.b", &"x".repeat(64)], &["", "a_b", "é", &"x".repeat(65)]);
        check(
            "uri",
            &["http://a/b", "a/b", "urn:oid:1.2.840.1", "urn:oid:1.3.6", "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"],
            &["a b", "urn:oid:1.2.3", "urn:oid:2.16", "urn:oid:3.1", "urn:oid:1.02", "urn:uuid:C757873D"],
        );
        check("canonical", &["http://a|1", "#a", "urn:x:y"], &["a/b", "Questionnaire"]);
        check("oid", &["urn:oid:2.16.840"], &["1.2.3", "urn:oid:1", "urn:oid:1."]);
        check(
            "uuid",
            &["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"],
            &["c757873d-ec9a-4326-a141-556f43239520", "urn:uuid:c757873dec9a4326a141556f43239520"],
        );
        check("base64Binary", &["QQ==", "QUI=", "QUJD", "QU\nJD"], &["QQ", "Q===", "Q=Q=", "Q!=="]);
        check("string", &["a", " a ", "a\n\tb"], &["", "\u{1}", "   "]);
    }

    #[test]
    fn numbers() {
        let check = |type_name: &str, good: &[&str], bad: &[&str]| {
            good.iter().for_each(|text| assert!(numeric(type_name, text).is_none(), "{type_name} {text}"));
            bad.iter().for_each(|text| assert!(numeric(type_name, text).is_some(), "{type_name} {text}"));
        };
        check("integer", &["0", "-1", "2147483647", "-2147483648"], &["2147483648", "1.0", "1e2", "-0"]);
        check("unsignedInt", &["0", "7"], &["-1"]);
        check("positiveInt", &["1"], &["0", "-5"]);
        check("decimal", &["1.10", "1e-22", "-0.0"], &[]);
    }
}
