//! `htmlChecks()` and `htmlChecks2()`: whether a narrative keeps to the XHTML that FHIR allows (txt-1), and whether it says anything (txt-2).
//!
//! One `div` around well-formed markup of allowed elements and attributes; some text or an image in it.

use crate::fhir::xhtml::Form;

/// How deep elements may nest.
const MAX_DEPTH: usize = 128;

/// Whether the text is markup that FHIR allows.
pub(super) fn is_allowed(xhtml: &str) -> bool {
    Scan { rest: xhtml.trim(), open: Vec::new() }.run().is_some()
}

/// Whether there is text or an image between the tags.
pub fn has_content(xhtml: &str) -> bool {
    let mut rest = xhtml;
    while let Some((text, tag)) = rest.split_once('<') {
        if !text.trim().is_empty() || tag.starts_with("img") {
            return true;
        }
        rest = match tag.strip_prefix("!--") {
            Some(comment) => comment.split_once("-->").map_or("", |(_, after)| after),
            None => split_at_tag_end(tag).map_or("", |(_, after)| after),
        };
    }
    !rest.trim().is_empty()
}

struct Scan<'a> {
    rest: &'a str,
    open: Vec<&'a str>,
}

impl<'a> Scan<'a> {
    /// `None` at the first thing that is not allowed.
    fn run(&mut self) -> Option<()> {
        let mut first = true;
        while let Some((text, tag)) = self.rest.split_once('<') {
            self.text(text)?;
            if !first && self.open.is_empty() {
                return None;
            }
            if let Some(comment) = tag.strip_prefix("!--") {
                self.rest = comment.split_once("-->")?.1;
                continue;
            }
            let (markup, after) = split_at_tag_end(tag)?;
            self.rest = after;
            match markup.strip_prefix('/') {
                Some(name) => (self.open.pop()? == name.trim_end()).then_some(())?,
                None => self.start_tag(markup, first)?,
            }
            first = false;
        }
        (self.open.is_empty() && !first && self.rest.trim().is_empty()).then_some(())
    }

    fn text(&self, text: &str) -> Option<()> {
        if !text.trim().is_empty() {
            // Text outside of the `div` is not allowed.
            self.open.last()?;
        }
        Some(())
    }

    fn start_tag(&mut self, markup: &'a str, is_first: bool) -> Option<()> {
        let (body, is_closed) = match markup.strip_suffix('/') {
            Some(body) => (body, true),
            None => (markup, false),
        };
        let name_end = body.find(|letter: char| letter.is_ascii_whitespace()).unwrap_or(body.len());
        let (name, attributes) = body.split_at(name_end);
        let form = Form::of(name)?;
        if (is_first && name != "div") || self.open.len() == MAX_DEPTH {
            return None;
        }
        attributes_allowed(form, attributes)?;
        if !is_closed {
            self.open.push(name);
        }
        Some(())
    }
}

/// Splits behind the `>` that ends a tag; one inside a quoted value does not.
fn split_at_tag_end(tag: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    let end = tag.find(|letter| match (quote, letter) {
        (None, '"' | '\'') => {
            quote = Some(letter);
            false
        }
        (Some(open), _) => {
            if open == letter {
                quote = None;
            }
            false
        }
        (None, _) => letter == '>',
    })?;
    Some((tag.get(..end)?, tag.get(end + 1..)?))
}

/// Namespaces may be declared and white space be kept anywhere, beside what the element has.
fn attributes_allowed(form: &Form, attributes: &str) -> Option<()> {
    let is_allowed = |name: &str| form.has_attribute(name) || name == "xml:space" || name == "xmlns" || name.starts_with("xmlns:");
    let mut rest = attributes.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim_end();
        let after = after.trim_start();
        let quote = after.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        let (value, after) = after.get(1..)?.split_once(quote)?;
        let is_script = matches!(name, "href" | "src") && value.trim_start().to_ascii_lowercase().starts_with("javascript:");
        if !is_allowed(name) || is_script || value.contains('<') {
            return None;
        }
        rest = after.trim_start();
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narratives() {
        for (text, allowed, content) in [
            ("<div xmlns=\"http://www.w3.org/1999/xhtml\">Hello <b>you</b></div>", true, true),
            ("<div><img src='#a' alt=\"x > y\"/></div>", true, true),
            ("<div><!-- a < b --><p>text</p></div>\n", true, true),
            ("<div>  </div>", true, false),
            ("<div><!-- text --><br/></div>", true, false),
            ("<div></div>", true, false),
            ("<p>text</p>", false, true),
            ("<div>text", false, true),
            ("<div>text</p>", false, true),
            ("<div>text</div><div>more</div>", false, true),
            ("text", false, true),
            ("<div><script>x</script></div>", false, true),
            ("<div><u>text</u></div>", false, true),
            ("<div><p href=\"a\">text</p></div>", false, true),
            ("<div xml:space=\"preserve\"><img src=\"a\" ismap=\"ismap\"/></div>", true, true),
            ("<div onclick=\"x\">text</div>", false, true),
            ("<div><a href=\"JavaScript:x\">text</a></div>", false, true),
            ("", false, false),
        ] {
            assert_eq!((is_allowed(text), has_content(text)), (allowed, content), "{text}");
        }
    }
}
