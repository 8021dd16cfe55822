//! The narrative's `div`: never rebuilt, only checked and copied.

use super::super::json::{SyntaxError, SyntaxErrorKind};
use super::XHTML;
use super::tokens::{Binding, Tag, Token, Tokens, ill_formed, is_legal};

/// How deep markup inside a narrative may nest.
const MAX_NARRATIVE_DEPTH: usize = 128;

/// Reads to the end of the `div` whose start tag was just read and gives its source text.
/// Namespace prefixes that were declared outside the `div` and are used inside are declared on it, since the text must stand alone.
pub(super) fn read(tokens: &mut Tokens<'_>, tag: &Tag<'_>, is_empty: bool) -> Result<String, SyntaxError> {
    let declarations = missing_declarations(tokens, tag);
    if !is_empty {
        skip_content(tokens)?;
    }
    let source = tokens.slice(tag.offset, tokens.position());
    let source = if declarations.is_empty() {
        source.to_owned()
    } else {
        let (start, rest) = source.split_at(1 + tag.name.len());
        format!("{start}{}{rest}", attributes(&declarations, source))
    };
    Ok(source)
}

fn missing_declarations<'a>(tokens: &Tokens<'a>, tag: &Tag<'_>) -> Vec<(&'a str, String)> {
    let declared_here = |prefix: &str| {
        tag.attributes.iter().any(|attribute| match prefix {
            "" => attribute.name == "xmlns",
            _ => attribute.name.strip_prefix("xmlns:") == Some(prefix),
        })
    };
    let mut missing: Vec<(&'a str, String)> = Vec::new();
    for Binding { prefix, namespace } in tokens.bindings().iter().rev() {
        let is_shadowed = missing.iter().any(|(earlier, _)| earlier == prefix);
        let is_outer_default = prefix.is_empty() && namespace != XHTML;
        if !declared_here(prefix) && !is_shadowed && !is_outer_default {
            missing.push((prefix, namespace.to_string()));
        }
    }
    missing
}

fn attributes(declarations: &[(&str, String)], source: &str) -> String {
    let mut text = String::new();
    for (prefix, namespace) in declarations {
        let (name, is_used) = match *prefix {
            "" => ("xmlns".to_owned(), true),
            prefix => (format!("xmlns:{prefix}"), source.contains(&format!("{prefix}:"))),
        };
        if is_used {
            text.push_str(&format!(" {name}=\"{}\"", super::write::escaped(namespace)));
        }
    }
    text
}

fn skip_content(tokens: &mut Tokens<'_>) -> Result<(), SyntaxError> {
    let mut open: Vec<Tag<'_>> = Vec::new();
    loop {
        match tokens.next()? {
            Token::Start { tag, is_empty: true } => tokens.leave(&tag),
            Token::Start { tag, is_empty: false } => {
                if open.len() == MAX_NARRATIVE_DEPTH {
                    return Err(SyntaxErrorKind::TooDeep { limit: MAX_NARRATIVE_DEPTH }.at(tag.offset));
                }
                open.push(tag);
            }
            Token::End => match open.pop() {
                Some(tag) => tokens.leave(&tag),
                None => return Ok(()),
            },
            Token::Space | Token::Text => {}
            Token::Eof => return Err(ill_formed("the document ends inside an element").at(tokens.position())),
        }
    }
}

/// The text of a narrative as it can stand in an XML document: as it is when it is one well-formed XHTML `div`, with the namespace added
/// when only that is missing, and otherwise shown as plain text, because anything else could break out of its place.
pub(super) fn for_xml(text: &str) -> String {
    match namespace_of_div(text) {
        Some(namespace) if namespace == XHTML => text.to_owned(),
        Some(namespace) if namespace.is_empty() => match text.split_once("<div") {
            Some((before, after)) => format!("{before}<div xmlns=\"{XHTML}\"{after}"),
            None => as_plain_text(text),
        },
        _ => as_plain_text(text),
    }
}

fn as_plain_text(text: &str) -> String {
    let legal: String = text.chars().map(|character| if is_legal(character) { character } else { char::REPLACEMENT_CHARACTER }).collect();
    format!("<div xmlns=\"{XHTML}\">{}</div>", super::write::escaped(&legal))
}

/// The namespace of the one `div` the text consists of, `None` when it is anything else.
fn namespace_of_div(text: &str) -> Option<String> {
    let mut tokens = Tokens::new(text.as_bytes()).ok()?;
    if !text.starts_with("<") || text.starts_with("<?") {
        return None;
    }
    let Token::Start { tag, is_empty } = tokens.next().ok()? else { return None };
    if tag.local() != "div" {
        return None;
    }
    let namespace = tokens.namespace_of(&tag).to_owned();
    if !is_empty {
        skip_content(&mut tokens).ok()?;
    }
    tokens.leave(&tag);
    matches!(tokens.next(), Ok(Token::Eof)).then_some(namespace)
}
