//! The values of a query's parameters: escapes, prefixes and the forms of each kind (FHIR R4 §3.1.1.4).

use super::fold::{folded, folded_code};
use super::reference;
use crate::definitions::SearchKind;
use crate::fhir::decimal::{Decimal, MAX_SCALE};
use crate::fhir::temporal::{DateTime, Interval};

/// What stands behind the colon of a parameter's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Modifier {
    None,
    Missing,
    Exact,
    Contains,
    Text,
    Not,
    OfType,
    Identifier,
    Above,
    Below,
    /// The type a reference points to.
    Type(String),
}

impl Modifier {
    /// Whether the parameter is compared as it stands, at most with the type of its target named.
    pub fn is_plain(&self) -> bool {
        matches!(self, Modifier::None | Modifier::Type(_))
    }
}

/// How a number, date or quantity compares with what is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefix {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    StartsAfter,
    EndsBefore,
    Approximately,
}

/// One alternative of a parameter's value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wanted {
    Id(String),
    Missing(bool),
    Token(WantedToken),
    /// `:of-type`: an identifier's type, and its value.
    TypedIdentifier {
        kind: WantedToken,
        value: String,
    },
    Text {
        raw: String,
        folded: String,
    },
    /// A relative reference; without a type any that the parameter allows.
    Pointer {
        type_name: Option<String>,
        id: String,
    },
    /// A relative reference to one version.
    Version {
        type_name: String,
        id: String,
        version: String,
    },
    /// An absolute reference or a canonical.
    Url(String),
    Span(Prefix, Interval),
    Amount(Prefix, WantedNumber, Option<WantedUnit>),
    Parts(Vec<Wanted>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WantedToken {
    pub system: WantedSystem,
    pub code: Option<String>,
    pub folded: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WantedSystem {
    Any,
    /// `|code`: the value must not have one.
    Absent,
    Is(String),
}

/// A number and the half-open range `[low, high)` that its digits stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WantedNumber {
    pub value: Decimal,
    pub low: Decimal,
    pub high: Decimal,
}

/// A unit: with a system a code of it, without one a code or the unit's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WantedUnit {
    pub system: Option<String>,
    pub code: String,
}

/// Why a value cannot be used; never quotes it.
pub(super) type Problem = &'static str;

/// Reads one alternative.
pub(super) fn parse(kind: SearchKind, modifier: &Modifier, text: &str) -> Result<Wanted, Problem> {
    match (modifier, kind) {
        (Modifier::Missing, _) => match text {
            "true" => Ok(Wanted::Missing(true)),
            "false" => Ok(Wanted::Missing(false)),
            _ => Err("must be true or false"),
        },
        (Modifier::Text, _) | (_, SearchKind::String) => {
            let raw = unescaped(text)?;
            Ok(Wanted::Text { folded: folded(&raw), raw })
        }
        (Modifier::Identifier, _) => Ok(Wanted::Token(token(text)?)),
        (Modifier::OfType, _) => typed_identifier(text),
        (_, SearchKind::Token) => Ok(Wanted::Token(token(text)?)),
        (_, SearchKind::Reference) => pointer(modifier, &unescaped(text)?),
        (_, SearchKind::Uri) => Ok(Wanted::Url(unescaped(text)?)),
        (_, SearchKind::Date) => date(text),
        (_, SearchKind::Number) => {
            let (prefix, rest) = prefixed(text)?;
            Ok(Wanted::Amount(prefix, number(rest)?, None))
        }
        (_, SearchKind::Quantity) => quantity(text),
        (_, SearchKind::Composite | SearchKind::Special) => Err("is not a value of one kind"),
    }
}

/// Splits at a separator that no backslash escapes; the pieces keep their escapes.
pub(super) fn split(text: &str, separator: char) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut is_escaped) = (0, false);
    for (at, letter) in text.char_indices() {
        if letter == separator && !is_escaped {
            pieces.push(text.get(start..at).unwrap_or_default());
            start = at + letter.len_utf8();
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    pieces.push(text.get(start..).unwrap_or_default());
    pieces
}

/// A text as it stands in a search value: with a backslash before what means something there (R4 §3.1.1.5.7).
pub fn escaped(text: &str) -> String {
    text.chars().flat_map(|letter| matches!(letter, '\\' | ',' | '$' | '|').then_some('\\').into_iter().chain([letter])).collect()
}

/// Takes the backslashes of `\,` `\|` `\$` and `\\` away.
pub(super) fn unescaped(text: &str) -> Result<String, Problem> {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some(escaped @ (',' | '|' | '$' | '\\')) => out.push(escaped),
            _ => return Err("has a backslash that escapes none of , | $ \\"),
        }
    }
    Ok(out)
}

fn token(text: &str) -> Result<WantedToken, Problem> {
    let pieces = split(text, '|');
    let (system, code) = match pieces.as_slice() {
        [code] => (WantedSystem::Any, unescaped(code)?),
        ["", code] => (WantedSystem::Absent, unescaped(code)?),
        [system, code] => (WantedSystem::Is(unescaped(system)?), unescaped(code)?),
        _ => return Err("must be a code, or a system and a code with one '|' between them"),
    };
    if code.is_empty() && !matches!(system, WantedSystem::Is(_)) {
        return Err("must name a code or a system");
    }
    let code = Some(code).filter(|code| !code.is_empty());
    let folded = code.as_deref().map(|code| folded_code(code).into_owned());
    Ok(WantedToken { system, code, folded })
}

fn typed_identifier(text: &str) -> Result<Wanted, Problem> {
    const FORM: Problem = "must be the type's system, the type's code and the value, with '|' between them";
    let [system, code, value] = split(text, '|')[..] else { return Err(FORM) };
    let (system, code, value) = (unescaped(system)?, unescaped(code)?, unescaped(value)?);
    if system.is_empty() || code.is_empty() || value.is_empty() {
        return Err(FORM);
    }
    let folded = Some(folded_code(&code).into_owned());
    Ok(Wanted::TypedIdentifier { kind: WantedToken { system: WantedSystem::Is(system), code: Some(code), folded }, value })
}

fn pointer(modifier: &Modifier, text: &str) -> Result<Wanted, Problem> {
    if reference::is_absolute(text) {
        return Ok(Wanted::Url(text.to_owned()));
    }
    let asked = match modifier {
        Modifier::Type(type_name) => Some(type_name.clone()),
        _ => None,
    };
    let is_asked = |type_name: &str| asked.as_deref().is_none_or(|asked| asked == type_name);
    if let Some((_, version)) = text.split_once("/_history/") {
        return match reference::relative(text).filter(|(type_name, _)| is_asked(type_name) && crate::fhir::is_id(version)) {
            Some((type_name, id)) => {
                Ok(Wanted::Version { type_name: type_name.to_owned(), id: id.to_owned(), version: version.to_owned() })
            }
            None => Err("must be a version like Patient/1/_history/2, of the type asked for"),
        };
    }
    if crate::fhir::is_id(text) {
        return Ok(Wanted::Pointer { type_name: asked, id: text.to_owned() });
    }
    match reference::relative(text) {
        Some((type_name, id)) if is_asked(type_name) => Ok(Wanted::Pointer { type_name: Some(type_name.to_owned()), id: id.to_owned() }),
        _ => Err("must be an id, a reference like Patient/1 of the type asked for, or a URL"),
    }
}

/// The prefix in front of a value; a letter shows that there is one.
fn prefixed(text: &str) -> Result<(Prefix, &str), Problem> {
    if !text.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return Ok((Prefix::Equal, text));
    }
    let (letters, rest) = text.split_at_checked(2).unwrap_or((text, ""));
    let prefix = match letters {
        "eq" => Prefix::Equal,
        "ne" => Prefix::NotEqual,
        "gt" => Prefix::Greater,
        "lt" => Prefix::Less,
        "ge" => Prefix::GreaterOrEqual,
        "le" => Prefix::LessOrEqual,
        "sa" => Prefix::StartsAfter,
        "eb" => Prefix::EndsBefore,
        "ap" => Prefix::Approximately,
        _ => return Err("begins with letters that are none of eq ne gt lt ge le sa eb ap"),
    };
    Ok((prefix, rest))
}

fn date(text: &str) -> Result<Wanted, Problem> {
    const FORM: Problem = "must be a date or time like 2013, 2013-01-14 or 2013-01-14T10:00:00Z";
    let (prefix, rest) = prefixed(text)?;
    let value = DateTime::parse_partial(rest).map_err(|_| FORM)?;
    if rest.ends_with('T') {
        return Err(FORM);
    }
    Ok(Wanted::Span(prefix, value.interval()))
}

fn number(text: &str) -> Result<WantedNumber, Problem> {
    const FORM: Problem = "must be a number of at most 38 digits";
    let value = Decimal::parse(text).ok_or(FORM)?;
    let half = half_of_last_digit(text).ok_or(FORM)?;
    let low = value.checked_sub(half).ok_or(FORM)?;
    let high = value.checked_add(half).ok_or(FORM)?;
    Ok(WantedNumber { value, low, high })
}

/// Half a unit of the last digit: 100 stands for 99.5 to 100.5, 100.00 for 99.995 to 100.005.
/// With an exponent the specification's example counts one digit more: 1e2 stands for 95 to 105.
fn half_of_last_digit(text: &str) -> Option<Decimal> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()? - 1),
        None => (text, 0),
    };
    let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let scale = i64::try_from(fraction).ok()? - exponent + 1;
    match u32::try_from(scale) {
        Ok(scale) => Decimal::new(5, scale.min(MAX_SCALE)),
        Err(_) => Decimal::parse(&format!("5e{}", -scale)),
    }
}

fn quantity(text: &str) -> Result<Wanted, Problem> {
    let pieces = split(text, '|');
    let (amount, unit) = match pieces.as_slice() {
        [amount] | [amount, "", ""] => (amount, None),
        [amount, system, code] if !code.is_empty() => {
            let system = Some(unescaped(system)?).filter(|system| !system.is_empty());
            (amount, Some(WantedUnit { system, code: unescaped(code)? }))
        }
        _ => return Err("must be a number, or number|system|code, or number||code"),
    };
    let (prefix, rest) = prefixed(amount)?;
    Ok(Wanted::Amount(prefix, number(rest)?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting_and_escapes() {
        let check = |text: &str, expected: &[&str]| {
            let pieces: Vec<String> = split(text, ',').into_iter().map(|piece| unescaped(piece).unwrap()).collect();
            assert_eq!(pieces, expected, "{text}");
        };
        check("a,b", &["a", "b"]);
        check(r"a\,b,c\\,d", &["a,b", r"c\", "d"]);
        check(r"\$\|", &["$|"]);
        check("", &[""]);
        assert!(unescaped(r"a\b").is_err());
        assert!(unescaped("a\\").is_err());
    }

    #[test]
    fn implicit_precision() {
        let check = |text: &str, low: &str, high: &str| {
            let number = number(text).unwrap();
            assert_eq!(
                (number.low.normalised().to_string(), number.high.normalised().to_string()),
                (low.to_owned(), high.to_owned()),
                "{text}"
            );
        };
        check("100", "99.5", "100.5");
        check("100.00", "99.995", "100.005");
        check("1e2", "95", "105");
        check("-1.5", "-1.55", "-1.45");
        check("1e-3", "0.00095", "0.00105");
        for text in ["", "abc", "1e999", "1,5", "99999999999999999999999999999999999999999"] {
            assert!(number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn values_that_are_refused() {
        let check = |kind, text: &str| assert!(parse(kind, &Modifier::None, text).is_err(), "{text}");
        check(SearchKind::Date, "xx2020");
        check(SearchKind::Date, "2020-13");
        check(SearchKind::Date, "ge");
        check(SearchKind::Date, "2020T");
        check(SearchKind::Date, "é");
        check(SearchKind::Token, "a|b|c");
        check(SearchKind::Token, "|");
        check(SearchKind::Quantity, "5|mg");
        check(SearchKind::Reference, "Patient/1/_history/");
        check(SearchKind::Reference, "Patient/1/_history/2/3");
        check(SearchKind::Reference, "1/_history/2");
        check(SearchKind::Reference, "patient/1");
    }
}
