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
/// A number has as many digits behind the point as the one asked: how exact it is is part of it
/// (<https://hl7.org/fhir/R4/datatypes.html#decimal>).
pub fn difference(value: &Node, asked: &Node, mode: Mode) -> Option<String> {
    Comparison { mode, are_same: same_digits }.node(value, asked)
}

/// Whether a value is what is asked of the members of a slice, where expressions compare: numbers by what they are worth.
pub fn is_met(value: &Node, asked: &Node, mode: Mode) -> bool {
    Comparison { mode, are_same: same_number }.node(value, asked).is_none()
}

/// Where a value has extensions that the fixed value does not have, as the end of a path; a pattern leaves them free. What stands beside a primitive is
/// told at the primitive.
pub fn extended(value: &Node, fixed: &Node) -> Option<String> {
    match (&value.value, &fixed.value) {
        (Value::Object(value), Value::Object(fixed)) => {
            if value.get("extension").is_some() && fixed.get("extension").is_none() {
                return Some(String::new());
            }
            value.members().iter().find_map(|member| {
                let beside = member.name.strip_prefix('_');
                match fixed.get(&member.name) {
                    Some(same) => extended(&member.node, same).map(|below| format!(".{}{below}", beside.unwrap_or(&member.name))),
                    None => beside.filter(|name| fixed.get(name).is_some()).map(|name| format!(".{name}")),
                }
            })
        }
        (Value::List(value), Value::List(fixed)) => {
            let mut pairs = value.iter().zip(fixed).enumerate();
            pairs.find_map(|(index, (value, fixed))| extended(value, fixed).map(|below| format!("[{index}]{below}")))
        }
        _ => None,
    }
}

fn same_digits(value: &str, asked: &str) -> bool {
    value == asked || decimals(value, asked).is_some_and(|(value, asked)| value == asked && value.scale() == asked.scale())
}

fn same_number(value: &str, asked: &str) -> bool {
    value == asked || decimals(value, asked).is_some_and(|(value, asked)| value == asked)
}

fn decimals(value: &str, asked: &str) -> Option<(Decimal, Decimal)> {
    Decimal::parse(value).zip(Decimal::parse(asked))
}

#[derive(Clone, Copy)]
struct Comparison {
    mode: Mode,
    /// Whether two numbers are the same.
    are_same: fn(&str, &str) -> bool,
}

impl Comparison {
    fn node(self, value: &Node, asked: &Node) -> Option<String> {
        match (&value.value, &asked.value) {
            (Value::Object(value), Value::Object(asked)) => self.object(value, asked),
            (Value::List(value), Value::List(asked)) => self.list(value, asked),
            (Value::Number(value), Value::Number(asked)) => (!(self.are_same)(value, asked)).then(String::new),
            (value, asked) => (value != asked).then(String::new),
        }
    }

    fn object(self, value: &Object, asked: &Object) -> Option<String> {
        for member in asked.members() {
            let below = value.get(&member.name).map_or_else(|| Some(String::new()), |found| self.node(found, &member.node));
            if let Some(below) = below {
                // Which item of a list would have had to match, or be there, cannot be said, so the element that has the list is named.
                let is_of_list = below.is_empty() && member.node.as_list().is_some();
                return Some(if is_of_list { below } else { format!(".{}{below}", member.name) });
            }
        }
        // What stands beside a primitive are its id and extensions; whether those may be there is another question.
        let is_beside = |name: &str| name.strip_prefix('_').is_some_and(|name| asked.get(name).is_some());
        let is_more = |name: &str| name != "id" && name != "extension" && asked.get(name).is_none() && !is_beside(name);
        let more = value.members().iter().find(|member| self.mode == Mode::Fixed && is_more(&member.name));
        more.map(|member| format!(".{}", member.name))
    }

    fn list(self, value: &[Node], asked: &[Node]) -> Option<String> {
        if self.mode == Mode::Pattern {
            let all = asked.iter().all(|one| value.iter().any(|found| self.node(found, one).is_none()));
            return (!all).then(String::new);
        }
        if value.len() != asked.len() {
            return Some(String::new());
        }
        let mut pairs = value.iter().zip(asked).enumerate();
        pairs.find_map(|(index, (value, asked))| self.node(value, asked).map(|below| format!("[{index}]{below}")))
    }
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
        let node = |text: &str| json::parse(text.as_bytes(), 16).unwrap();
        let given = node(r#"{"family": "A", "given": ["B"]}"#);
        for (value, place) in [
            (r#"{"family": "A", "given": ["B"]}"#, None),
            (r#"{"family": "A", "given": ["B"], "extension": [{"url": "u"}]}"#, Some("")),
            (r#"{"family": "A", "_family": {"extension": [{"url": "u"}]}, "given": ["B"]}"#, Some(".family")),
        ] {
            assert_eq!(difference(&node(value), &given, Mode::Fixed), None, "{value}");
            assert_eq!(extended(&node(value), &given).as_deref(), place, "{value}");
        }
        let number = |text: &str| json::parse(text.as_bytes(), 16).unwrap();
        assert!(is_met(&number("1.0"), &number("1.00"), Mode::Fixed) && !is_met(&number("1.0"), &number("1.01"), Mode::Fixed));
        check(r#""a""#, r#""a""#, None, None);
        check(r#""a""#, r#""b""#, Some(""), Some(""));
        check("1.00", "1.00", None, None);
        check("1.0", "1.00", Some(""), Some(""));
        check(r#"{"value": 1.00}"#, r#"{"value": 1.0}"#, Some(".value"), Some(".value"));
        check(r#"{"system": "s", "code": "c"}"#, r#"{"code": "c"}"#, Some(".system"), None);
        check(r#"{"code": "c"}"#, r#"{"code": "d"}"#, Some(".code"), Some(".code"));
        check(r#"{"code": "c"}"#, r#"{"system": "s"}"#, Some(".system"), Some(".system"));
        let (two, second) = (r#"{"coding": [{"code": "a"}, {"code": "b"}]}"#, r#"{"coding": [{"code": "b"}]}"#);
        check(two, second, Some(""), None);
        check(second, two, Some(""), Some(""));
        check(r#"{"text": "a"}"#, second, Some(""), Some(""));
        check(r#"{"coding": [{"code": "a"}]}"#, second, Some(".coding[0].code"), Some(""));
    }
}
