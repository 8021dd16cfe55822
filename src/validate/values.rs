//! Fixed values and patterns (<https://hl7.org/fhir/R4/elementdefinition.html#fixed>), compared with what a document has.

use crate::fhir::decimal::Decimal;
use crate::fhir::{Node, Object, Value};
use regex::{Regex, RegexBuilder};

/// How a value is compared with what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The same, with nothing more.
    Fixed,
    /// At least this.
    Pattern,
}

/// Where a value first differs from what is asked, as the end of a path (`.coding[0].system`, empty for the value itself); `None` when it does not.
pub fn difference(value: &Node, asked: &Node, mode: Mode) -> Option<String> {
    match (&value.value, &asked.value) {
        (Value::Object(value), Value::Object(asked)) => object_difference(value, asked, mode),
        (Value::List(value), Value::List(asked)) => list_difference(value, asked, mode),
        (Value::Number(value), Value::Number(asked)) => (!same_number(value, asked)).then(String::new),
        (value, asked) => (value != asked).then(String::new),
    }
}

fn same_number(value: &str, asked: &str) -> bool {
    value == asked || matches!((Decimal::parse(value), Decimal::parse(asked)), (Some(value), Some(asked)) if value == asked)
}

fn object_difference(value: &Object, asked: &Object, mode: Mode) -> Option<String> {
    for member in asked.members() {
        let Some(found) = value.get(&member.name) else { return Some(format!(".{}", member.name)) };
        if let Some(below) = difference(found, &member.node, mode) {
            // Which item of a list would have had to match cannot be said, so the element that has the list is named.
            let is_list = mode == Mode::Pattern && member.node.as_list().is_some();
            return Some(if is_list { String::new() } else { format!(".{}{below}", member.name) });
        }
    }
    let is_more = |name: &str| name != "id" && name != "extension" && asked.get(name).is_none();
    let more = value.members().iter().find(|member| mode == Mode::Fixed && is_more(&member.name));
    more.map(|member| format!(".{}", member.name))
}

fn list_difference(value: &[Node], asked: &[Node], mode: Mode) -> Option<String> {
    if mode == Mode::Pattern {
        let all = asked.iter().all(|one| value.iter().any(|found| difference(found, one, mode).is_none()));
        return (!all).then(String::new);
    }
    if value.len() != asked.len() {
        return Some(String::new());
    }
    let mut pairs = value.iter().zip(asked).enumerate();
    pairs.find_map(|(index, (value, asked))| difference(value, asked, mode).map(|below| format!("[{index}]{below}")))
}

/// How large a compiled regular expression of a definition may be, in bytes.
pub const REGEX_BYTES_MAX: usize = 1 << 20;

/// A regular expression that a whole text must meet; none for one that cannot be read or is too large.
pub fn whole(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(REGEX_BYTES_MAX).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json;

    #[test]
    fn differences() {
        let check = |value: &str, asked: &str, fixed: Option<&str>, pattern: Option<&str>| {
            let node = |text: &str| json::parse(text.as_bytes(), 16).unwrap();
            assert_eq!(difference(&node(value), &node(asked), Mode::Fixed).as_deref(), fixed, "{value} {asked}");
            assert_eq!(difference(&node(value), &node(asked), Mode::Pattern).as_deref(), pattern, "{value} {asked}");
        };
        check(r#""a""#, r#""a""#, None, None);
        check(r#""a""#, r#""b""#, Some(""), Some(""));
        check("1.0", "1.00", None, None);
        check(r#"{"system": "s", "code": "c"}"#, r#"{"code": "c"}"#, Some(".system"), None);
        check(r#"{"code": "c"}"#, r#"{"code": "d"}"#, Some(".code"), Some(".code"));
        check(r#"{"code": "c"}"#, r#"{"system": "s"}"#, Some(".system"), Some(".system"));
        let (two, second) = (r#"{"coding": [{"code": "a"}, {"code": "b"}]}"#, r#"{"coding": [{"code": "b"}]}"#);
        check(two, second, Some(".coding"), None);
        check(second, two, Some(".coding"), Some(""));
        check(r#"{"coding": [{"code": "a"}]}"#, second, Some(".coding[0].code"), Some(""));
    }
}
