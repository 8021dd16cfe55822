//! One attribute out of an XML document that is not FHIR's.

use super::tokens::{Tag, Token, Tokens, ill_formed};
use crate::fhir::json::SyntaxError;
use compact_str::CompactString;

/// The values of an attribute, in order, of the elements that `steps` lead to from the outside in, all of one namespace.
/// `None` when the document is not of that namespace, or its outermost element is another.
pub fn attributes(bytes: &[u8], namespace: &str, steps: &[&str], name: &str) -> Result<Option<Vec<CompactString>>, SyntaxError> {
    let mut tokens = Tokens::new(bytes)?;
    tokens.pass_instructions();
    let mut found = None;
    let mut open: Vec<Tag<'_>> = Vec::new();
    // How many of the open elements are those of the steps.
    let mut on_way = 0;
    loop {
        match tokens.next()? {
            Token::Start { tag, is_empty } => {
                let is_step = on_way == open.len() && steps.get(on_way) == Some(&tag.local()) && tokens.namespace_of(&tag) == namespace;
                if is_step && open.is_empty() {
                    found = Some(Vec::new());
                }
                if let Some(values) = found.as_mut().filter(|_| is_step && on_way + 1 == steps.len()) {
                    values.extend(tag.attributes.iter().find(|one| one.name == name).map(|one| one.value.clone()));
                }
                if is_empty {
                    tokens.leave(&tag);
                } else {
                    on_way += usize::from(is_step);
                    open.push(tag);
                }
            }
            Token::End => {
                if let Some(closed) = open.pop() {
                    tokens.leave(&closed);
                }
                on_way = on_way.min(open.len());
            }
            Token::Space | Token::Text => {}
            Token::Eof if open.is_empty() => return Ok(found),
            Token::Eof => return Err(ill_formed("an element is not closed").at(tokens.position())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let of = |text: &str| attributes(text.as_bytes(), "urn:x", &["a", "b", "c"], "n").map(|found| found.map(|values| values.join(",")));
        for (text, wanted) in [
            ("<a xmlns='urn:x'><b><c n='1'/><c\n n=\"2 &amp; 3\">t</c><c/></b><b><c n='4'/></b></a>", Some("1,2 & 3,4")),
            ("<?xml version='1.0'?><?p?><e:a xmlns:e='urn:x'><e:b><e:c n='&#49;'/></e:b></e:a>", Some("1")),
            ("<a xmlns='urn:x'><c n='1'/><d><b><c n='2'/></b></d><b><d><c n='3'/></d><c xmlns='urn:y' n='4'/></b></a>", Some("")),
            ("<a><b><c n='1'/></b></a>", None),
            ("<z xmlns='urn:x'><a><b><c n='1'/></b></a></z>", None),
        ] {
            assert_eq!(of(text).unwrap().as_deref(), wanted, "{text}");
        }
        for text in ["<a xmlns='urn:x'><b>", "<a", "<!DOCTYPE a><a xmlns='urn:x'/>", "<a xmlns='urn:x' n=1/>"] {
            assert!(of(text).is_err(), "{text}");
        }
    }
}
