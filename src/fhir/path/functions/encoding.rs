//! `encode`, `decode`, `escape`, `unescape`.

use super::super::error::PathError;
use super::super::evaluate::{Evaluator, Scope, Yield};
use super::super::function::Function;
use super::super::item::{Collection, Item};
use super::super::syntax::Call;
use super::text::{one_text, text_argument};
use crate::fhir::entities::character;
use data_encoding::{BASE64, BASE64URL, Encoding, HEXLOWER_PERMISSIVE};

pub(super) fn call<'d>(evaluator: &Evaluator<'_, 'd>, call: &'d Call, input: &[Item<'d>], scope: Scope<'_, 'd>) -> Yield<'d> {
    let Some(text) = one_text(evaluator, input, call.function)? else { return Ok(Collection::Empty) };
    let Some(form) = text_argument(evaluator, call, 0, scope)? else { return Ok(Collection::Empty) };
    evaluator.spend(text.len() / 64)?;
    let unknown = PathError::Arguments { function: call.function.name() };
    let answer = match call.function {
        Function::Encode => Some(encoding(&form).ok_or(unknown)?.encode(text.as_bytes())),
        Function::Decode => {
            let bytes = encoding(&form).ok_or(unknown)?.decode(text.as_bytes()).ok();
            bytes.and_then(|bytes| String::from_utf8(bytes).ok())
        }
        Function::Escape => match &*form {
            "html" => Some(escape_html(&text)),
            "json" => Some(escape_json(&text)),
            _ => return Err(unknown),
        },
        _ => match &*form {
            "html" => Some(unescape_html(&text)),
            "json" => unescape_json(&text),
            _ => return Err(unknown),
        },
    };
    answer.map_or(Ok(Collection::Empty), |text| evaluator.text(text))
}

fn encoding(name: &str) -> Option<Encoding> {
    match name {
        "base64" => Some(BASE64),
        "urlbase64" => Some(BASE64URL),
        "hex" => Some(HEXLOWER_PERMISSIVE),
        _ => None,
    }
}

fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' => escaped.push_str("&quot;"),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(letter),
        }
    }
    escaped
}

fn unescape_html(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        match after.split_once(';').and_then(|(name, after)| character(name).map(|letter| (letter, after))) {
            Some((letter, after)) => {
                plain.push(letter);
                rest = after;
            }
            None => {
                plain.push('&');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

fn escape_json(text: &str) -> String {
    let quoted = crate::fhir::json::write(&text.into());
    let inner = quoted.get(1..quoted.len().saturating_sub(1));
    inner.unwrap_or_default().to_string()
}

/// Resolves the escapes of JSON; `None` for one that it does not have.
fn unescape_json(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        // A pair of surrogates is two escapes; the JSON reader takes an escape or a pair of them alone.
        let length = match after.strip_prefix('u') {
            Some(unit) if unit.starts_with(['d', 'D']) => 11,
            Some(_) => 5,
            None => 1,
        };
        let (escape, after) = after.split_at_checked(length)?;
        let quoted = format!("\"\\{escape}\"");
        plain.push_str(crate::fhir::json::parse(quoted.as_bytes(), 1).ok()?.as_text()?);
        rest = after;
    }
    plain.push_str(rest);
    Some(plain)
}
