//! Values that are written as their types are and that hardly anybody means: years far from ours, decimals of more digits than systems keep
//! (<https://hl7.org/fhir/R4/datatypes.html#decimal>), and characters that turn the direction of text and are not ended, so that it shows as something
//! else than it is (<https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing>).

use super::calendar;
use super::path::Path;
use super::report::Rule;
use super::structure::Walk;
use crate::fhir::{Node, Value};
use crate::outcome::IssueType;

const STRANGE_YEAR: Rule = Rule::warning(IssueType::Invalid, "Type_Specific_Checks_DT_DateTime_Reasonable");
const MANY_DIGITS: Rule = Rule::warning(IssueType::Value, "Type_Specific_Checks_DT_Decimal_Range");
const TURNED: Rule = Rule::warning(IssueType::Invalid, "UNICODE_BIDI_CONTROLS_CHARS_MATCH");
const TURNING: Rule = Rule::error(IssueType::CodeInvalid, "UNICODE_BIDI_CONTROLS_CHARS_DISALLOWED");

/// The first year that is taken as meant.
const YEAR_MIN: u16 = 1800;
/// How many years from now are.
const YEARS_AHEAD: u16 = 80;
/// Digits that every system keeps of a decimal.
const DIGITS_MAX: usize = 18;
const EXPONENT_DIGITS_MAX: usize = 4;

/// Judges the value of a primitive of the named type.
pub fn check(walk: &mut Walk<'_>, type_name: &str, node: &Node, path: &Path<'_>) {
    match (type_name, &node.value) {
        ("date" | "dateTime" | "instant", Value::Text(text)) if is_strange_year(walk, text) => {
            walk.report.add(STRANGE_YEAR, path, node, "The year is so far from now that it may be an error of entry");
        }
        ("decimal", Value::Number(number)) if has_many_digits(number) => {
            let text = format!("The decimal has more digits than the {DIGITS_MAX} that every system keeps");
            walk.report.add(MANY_DIGITS, path, node, text);
        }
        (_, Value::Text(text)) if !text.is_ascii() => direction(walk, text, node, path),
        _ => {}
    }
}

fn is_strange_year(walk: &Walk<'_>, text: &str) -> bool {
    let Some(year) = text.get(..4).and_then(|year| year.parse::<u16>().ok()) else { return false };
    let is_late = walk.options.now.is_some_and(|now| year > now.date.year().saturating_add(YEARS_AHEAD));
    // What is no date is reported as that.
    (year < YEAR_MIN || is_late) && calendar::date_time(text).is_ok()
}

fn has_many_digits(number: &str) -> bool {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    digits(mantissa) > DIGITS_MAX || digits(exponent) > EXPONENT_DIGITS_MAX
}

fn direction(walk: &mut Walk<'_>, text: &str, node: &Node, path: &Path<'_>) {
    if walk.options.refuse_direction_controls && text.contains(turns) {
        walk.report.add(TURNING, path, node, "The text holds characters that turn its direction, which were to be refused");
    } else if is_left_turned(text) {
        let words =
            "The text holds a character that turns its direction and none that ends it, so it may show as something else than it is";
        walk.report.add(TURNED, path, node, words);
    }
}

/// Whether a character has a say in the direction of text (Unicode Standard Annex 9 §2).
fn turns(letter: char) -> bool {
    matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether an embedding, an override or an isolate is not ended before its paragraph is, of which the last counts. An isolate's end ends what
/// began in it; marks turn nothing beyond themselves.
fn is_left_turned(text: &str) -> bool {
    let last = text.rsplit(['\n', '\u{2029}']).next().unwrap_or(text);
    // Whether each one that is open is an isolate.
    let mut open: Vec<bool> = Vec::new();
    let mut isolates = 0_usize;
    for letter in last.chars() {
        match letter {
            '\u{202a}' | '\u{202b}' | '\u{202d}' | '\u{202e}' => open.push(false),
            '\u{2066}'..='\u{2068}' => {
                open.push(true);
                isolates += 1;
            }
            '\u{202c}' => {
                open.pop_if(|is_isolate| !*is_isolate);
            }
            '\u{2069}' if isolates > 0 => {
                while open.pop() == Some(false) {}
                isolates -= 1;
            }
            _ => {}
        }
    }
    !open.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions() {
        for (text, expected) in [
            ("abc", false),
            ("\u{5d0}\u{200f}!", false),
            ("a \u{202b}b\u{202c} c", false),
            ("a \u{202e}b", true),
            ("a \u{202e}b\nc", false),
            ("a\n\u{202a}b", true),
            ("\u{2067}a \u{2066}b\u{2069} c\u{2069}", false),
            ("\u{2067}a \u{202e}b\u{2069}", false),
            ("\u{2067}a \u{2066}b\u{2069} c", true),
            ("\u{2067}a\u{202c}", true),
            ("\u{202e}a\u{2069}", true),
            ("\u{2069}\u{202c}", false),
        ] {
            assert_eq!(is_left_turned(text), expected, "{text:?}");
        }
    }

    #[test]
    fn digits() {
        for (number, expected) in [
            ("123456789.123456789", false),
            ("0.005008015591556614", true),
            ("-123456789012345678", false),
            ("1234567890123456789", true),
            ("1.5e-1000", false),
            ("1e10000", true),
        ] {
            assert_eq!(has_many_digits(number), expected, "{number}");
        }
    }
}
