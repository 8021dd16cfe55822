//! What stands in an XML document by name alone, for documents whose elements are not R4's.

use super::tokens::{Tag, Token, Tokens};

/// Resources and members of one that are listed. A document with more is told apart by its first ones.
pub const MAX_OUTLINED: usize = 1_000;

/// How deep elements are followed.
const MAX_DEPTH: usize = 100;

/// A resource by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outlined {
    pub type_name: String,
    /// Its elements, each name once for those that stand together.
    pub members: Vec<String>,
    /// `meta.profile`.
    pub profiles: Vec<String>,
}

/// The resources of a document, from the outside in, up to the first place that cannot be read.
pub fn outline(bytes: &[u8]) -> Vec<Outlined> {
    let mut found: Vec<Outlined> = Vec::new();
    let Ok(mut tokens) = Tokens::new(bytes) else { return found };
    let mut open: Vec<Open<'_>> = Vec::new();
    while let Ok(token) = tokens.next() {
        match token {
            Token::Start { tag, is_empty } => {
                let place = note(&tag, &open, &mut found);
                if is_empty {
                    tokens.leave(&tag);
                } else if open.len() < MAX_DEPTH {
                    open.push(Open { tag, place });
                } else {
                    break;
                }
            }
            Token::End => match open.pop() {
                Some(closed) => tokens.leave(&closed.tag),
                None => break,
            },
            Token::Space | Token::Text => {}
            Token::Eof => break,
        }
    }
    found
}

/// An element that is being read, and what it is to the resource it belongs to.
struct Open<'a> {
    tag: Tag<'a>,
    place: Place,
}

#[derive(Clone, Copy)]
enum Place {
    /// A resource, by its place among those found.
    Resource(usize),
    Meta(usize),
    Other,
}

fn note(tag: &Tag<'_>, open: &[Open<'_>], found: &mut Vec<Outlined>) -> Place {
    let name = tag.local();
    let parent = open.last();
    if parent.is_none_or(|parent| matches!(parent.tag.local(), "resource" | "contained")) {
        if found.len() >= MAX_OUTLINED {
            return Place::Other;
        }
        found.push(Outlined { type_name: name.to_owned(), ..Outlined::default() });
        return Place::Resource(found.len() - 1);
    }
    match parent.map(|parent| parent.place) {
        Some(Place::Resource(index)) => {
            if let Some(resource) = found.get_mut(index)
                && resource.members.len() < MAX_OUTLINED
                && resource.members.last().is_none_or(|last| last != name)
            {
                resource.members.push(name.to_owned());
            }
            if name == "meta" { Place::Meta(index) } else { Place::Other }
        }
        Some(Place::Meta(index)) if name == "profile" => {
            let value = tag.attributes.iter().find(|attribute| attribute.name == "value");
            if let (Some(resource), Some(value)) = (found.get_mut(index), value)
                && resource.profiles.len() < MAX_OUTLINED
            {
                resource.profiles.push(value.value.to_string());
            }
            Place::Other
        }
        _ => Place::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let text = r#"<Bundle xmlns="http://hl7.org/fhir"><type value="x"/><entry><resource><Patient><meta><profile value="p"/></meta>
            <name><family value="x"/></name><name/><contained><Y/></contained></Patient></resource></entry><entry/></Bundle>"#;
        let found = outline(text.as_bytes());
        let names: Vec<(&str, Vec<&str>)> =
            found.iter().map(|one| (one.type_name.as_str(), one.members.iter().map(String::as_str).collect())).collect();
        assert_eq!(names, [("Bundle", vec!["type", "entry"]), ("Patient", vec!["meta", "name", "contained"]), ("Y", vec![])]);
        assert_eq!(found[1].profiles, ["p"]);
        assert!(outline(b"").is_empty() && outline(b"\xFF").is_empty());
    }

    #[test]
    fn so_many_are_listed() {
        let many = format!("<Bundle>{}</Bundle>", "<contained><X/></contained>".repeat(MAX_OUTLINED + 5));
        assert_eq!(outline(many.as_bytes()).len(), MAX_OUTLINED);
        let wide: String = (0..MAX_OUTLINED + 5).map(|index| format!("<a{index}/>")).collect();
        assert_eq!(outline(format!("<X>{wide}</X>").as_bytes())[0].members.len(), MAX_OUTLINED);
        let deep = format!("<X>{}<b/>", "<a>".repeat(MAX_DEPTH + 5));
        assert_eq!(outline(deep.as_bytes())[0].members, ["a"]);
    }
}
