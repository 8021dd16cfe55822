//! The XHTML that FHIR allows in a narrative (R4 §2.4.1), read in one pass without building a tree.

use crate::fhir::entities;
use std::collections::HashSet;
use std::sync::LazyLock;

/// How deep elements may nest.
const MAX_DEPTH: usize = 64;

/// How many attributes an element may have.
const MAX_ATTRIBUTES: usize = 32;

/// The elements that may stay.
static FORMATTING: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    "a abbr acronym address b bdo big blockquote br caption center cite code col colgroup dd dfn div dl dt em font h1 h2 h3 \
     h4 h5 h6 hr i img kbd li ol p pre q s samp small span strike strong sub sup table tbody td tfoot th thead tr tt u ul \
     var"
    .split(' ')
    .collect()
});

/// The attributes whose value cannot do anything.
static HARMLESS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    "abbr align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char charoff cite class color colspan \
     compact dir face frame headers height href id lang name nowrap rowspan rules scope size span src start style summary \
     title type valign value width"
        .split(' ')
        .collect()
});

/// Elements whose content is no text for readers.
static ACTIVE: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    "applet audio button embed frame frameset iframe math noscript object script select style svg template video".split(' ').collect()
});

/// What is to be done with a narrative.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Clean,
    Sanitised(String),
    Unreadable,
}

pub(super) fn judge(div: &str) -> Verdict {
    let mut reader = Reader { rest: div, out: String::new(), copied_to: 0, text: div, changed: false, open: Vec::new(), hidden: 0 };
    match reader.document() {
        None => Verdict::Unreadable,
        Some(()) if reader.changed => {
            reader.copy_up_to(div.len());
            Verdict::Sanitised(reader.out)
        }
        Some(()) => Verdict::Clean,
    }
}

struct Reader<'d> {
    text: &'d str,
    rest: &'d str,
    /// What is kept, up to `copied_to` of the text. Filled only from the first change on.
    out: String,
    copied_to: usize,
    changed: bool,
    /// Open elements and whether their tags are kept.
    open: Vec<(&'d str, bool)>,
    /// How many of the open elements are active ones, whose content goes.
    hidden: usize,
}

/// One tag, taken apart.
struct Tag<'d> {
    name: &'d str,
    attributes: Vec<(&'d str, &'d str)>,
    empty: bool,
}

impl<'d> Reader<'d> {
    fn at(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    /// One `div` with everything in it and nothing beside it.
    fn document(&mut self) -> Option<()> {
        self.rest = self.rest.trim_start();
        let tag_name = self.rest.strip_prefix("<div")?;
        tag_name.starts_with(|c: char| c.is_whitespace() || c == '>' || c == '/').then_some(())?;
        while !self.rest.is_empty() {
            let next = self.rest.find(['<', '&'])?;
            self.rest = self.rest.get(next..)?;
            if self.rest.starts_with('&') {
                self.entity()?
            } else {
                self.markup()?
            }
            if self.open.is_empty() {
                return self.rest.trim().is_empty().then_some(());
            }
        }
        None
    }

    fn markup(&mut self) -> Option<()> {
        let start = self.at();
        if let Some(comment) = self.rest.strip_prefix("<!--") {
            self.rest = comment.get(comment.find("-->")? + 3..)?;
            return Some(());
        }
        if let Some(closing) = self.rest.strip_prefix("</") {
            let end = closing.find('>')?;
            let name = closing.get(..end)?.trim_end();
            self.rest = closing.get(end + 1..)?;
            return self.close(name, start);
        }
        let tag = self.tag()?;
        self.opening(tag, start)
    }

    fn close(&mut self, name: &str, start: usize) -> Option<()> {
        let (open, kept) = self.open.pop()?;
        if open != name {
            return None;
        }
        if is_active(open) {
            self.hidden -= 1;
            if self.hidden == 0 {
                self.copied_to = self.at();
            }
        } else if !kept {
            self.replace(start, "");
        }
        Some(())
    }

    fn opening(&mut self, tag: Tag<'d>, start: usize) -> Option<()> {
        if self.open.len() >= MAX_DEPTH {
            return None;
        }
        let kept = FORMATTING.contains(tag.name);
        let is_root = self.open.is_empty();
        if is_active(tag.name) {
            self.replace(start, "");
            self.hidden += usize::from(!tag.empty);
        } else if !kept {
            self.replace(start, "");
        } else if !has_namespace(&tag, is_root) || !tag.attributes.iter().all(|&(name, value)| allowed(name, value, is_root)) {
            self.replace(start, &tag.written(is_root));
        }
        if !tag.empty {
            self.open.push((tag.name, kept));
        }
        Some(())
    }

    /// Puts something in the place of the text from `start` to here. Inside an active element there is nothing to replace: all of it goes.
    fn replace(&mut self, start: usize, with: &str) {
        if self.hidden > 0 {
            return;
        }
        self.changed = true;
        self.copy_up_to(start);
        self.out.push_str(with);
        self.copied_to = self.at();
    }

    fn copy_up_to(&mut self, end: usize) {
        self.out.push_str(self.text.get(self.copied_to..end).unwrap_or_default());
        self.copied_to = end;
    }

    fn entity(&mut self) -> Option<()> {
        let start = self.at();
        let end = self.rest.find(';').filter(|&end| end <= 10)?;
        let name = self.rest.get(1..end)?;
        self.rest = self.rest.get(end + 1..)?;
        if is_xml_entity(name) {
            return Some(());
        }
        // FHIR's XHTML has only XML's five names.
        let character = entities::character(name)?;
        self.replace(start, character.encode_utf8(&mut [0; 4]));
        Some(())
    }

    /// Reads a start tag or an empty element.
    fn tag(&mut self) -> Option<Tag<'d>> {
        let inside = self.rest.strip_prefix('<')?;
        let end = inside.find(|c: char| c.is_whitespace() || c == '>' || c == '/')?;
        let (name, mut rest) = inside.split_at(end);
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'-' | b'_')) {
            return None;
        }
        let mut attributes = Vec::new();
        loop {
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix("/>") {
                self.rest = after;
                return Some(Tag { name, attributes, empty: true });
            }
            if let Some(after) = rest.strip_prefix('>') {
                self.rest = after;
                return Some(Tag { name, attributes, empty: false });
            }
            let (attribute, after) = rest.split_once('=')?;
            let quote = after.trim_start().chars().next().filter(|c| matches!(c, '"' | '\''))?;
            let quoted = after.trim_start().get(1..)?;
            let (value, after) = quoted.split_once(quote)?;
            let attribute = attribute.trim_end();
            if attributes.len() >= MAX_ATTRIBUTES
                || attributes.iter().any(|&(other, _)| other == attribute)
                || !has_only_xml_entities(value)
            {
                return None;
            }
            if value.contains('<') || attribute.contains(|c: char| c.is_whitespace() || matches!(c, '>' | '/' | '"' | '\'')) {
                return None;
            }
            attributes.push((attribute, value));
            rest = after;
        }
    }
}

impl Tag<'_> {
    /// The tag with what it may keep.
    fn written(&self, is_root: bool) -> String {
        let mut out = format!("<{}", self.name);
        if !has_namespace(self, is_root) {
            out.push_str(" xmlns=\"http://www.w3.org/1999/xhtml\"");
        }
        for (name, value) in self.attributes.iter().filter(|(name, value)| allowed(name, value, is_root)) {
            let quote = if value.contains('"') { '\'' } else { '"' };
            out.push_str(&format!(" {name}={quote}{value}{quote}"));
        }
        out.push_str(if self.empty { "/>" } else { ">" });
        out
    }
}

fn has_namespace(tag: &Tag<'_>, is_root: bool) -> bool {
    !is_root || tag.attributes.iter().any(|(name, value)| *name == "xmlns" && *value == "http://www.w3.org/1999/xhtml")
}

fn is_active(name: &str) -> bool {
    ACTIVE.contains(name.to_ascii_lowercase().as_str())
}

fn allowed(name: &str, value: &str, is_root: bool) -> bool {
    match name {
        "xmlns" => is_root && value == "http://www.w3.org/1999/xhtml",
        "xml:lang" | "xml:space" => true,
        "href" => !has_scheme(value) || ["http:", "https:", "mailto:", "tel:"].iter().any(|scheme| decoded(value).starts_with(scheme)),
        "src" => !has_scheme(value) || decoded(value).starts_with("data:image/"),
        "style" => !["url(", "expression", "@import", "behavior", "javascript", "\\", "&"].iter().any(|part| decoded(value).contains(part)),
        _ => HARMLESS.contains(name),
    }
}

/// Lower case and without the white space that browsers pass over; character references are left, and never match what is allowed.
fn decoded(value: &str) -> String {
    value.chars().filter(|c| !c.is_whitespace() && !c.is_control()).map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether a URL names its scheme or its host, or may after character references are read.
fn has_scheme(value: &str) -> bool {
    let value = decoded(value);
    let before_path = value.split(['/', '?', '#']).next().unwrap_or_default();
    before_path.contains(':') || before_path.contains('&') || value.starts_with("//") || value.starts_with("\\")
}

fn is_xml_entity(name: &str) -> bool {
    matches!(name, "amp" | "lt" | "gt" | "quot" | "apos") || is_character_reference(name)
}

fn has_only_xml_entities(value: &str) -> bool {
    value.split('&').skip(1).all(|rest| rest.split_once(';').is_some_and(|(name, _)| is_xml_entity(name)))
}

/// `#160` or `#xA0` for a character that XML may hold.
fn is_character_reference(name: &str) -> bool {
    let Some(number) = name.strip_prefix('#') else { return false };
    let scalar = match number.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    scalar.ok().and_then(char::from_u32).is_some_and(|c| c >= ' ' || matches!(c, '\t' | '\n' | '\r'))
}

#[cfg(test)]
mod tests {
    use super::{Verdict, judge};

    #[test]
    fn judging() {
        let div = |inner: &str| format!(r#"<div xmlns="http://www.w3.org/1999/xhtml">{inner}</div>"#);
        for clean in [
            "<p><b>Status</b>: Final<br/></p>",
            r##"<a href="https://x.example/y">x</a><a href="#z">z</a><img src="data:image/png;base64,AA==" alt="a"/>"##,
            "a &lt; b &amp; c &#160; &#xB5; <!-- remark -->",
            "",
            r#"<table class="t"><tr><td colspan="2">1</td></tr></table>"#,
        ] {
            assert_eq!(judge(&div(clean)), Verdict::Clean, "{clean}");
        }
        for (dirty, clean) in [
            ("a<script>alert(1)</script>b", "ab"),
            ("<p onclick=\"x()\">t</p>", "<p>t</p>"),
            ("<form><input name='x'/>text <b>bold</b></form>", "text <b>bold</b>"),
            ("<a href=\"javascript:x()\">t</a>", "<a>t</a>"),
            ("<a href=\"java&#115;cript:x()\">t</a>", "<a>t</a>"),
            ("<a href=\"//x.example\">t</a>", "<a>t</a>"),
            ("<img src=\"http://x.example/pixel\"/>", "<img/>"),
            ("<p style=\"background:url(http://x)\">t</p>", "<p>t</p>"),
            ("<iframe src=\"x\"/>t", "t"),
            ("<style>p { color: red }</style><p>t</p>", "<p>t</p>"),
            ("<svg><p>x<script>1</script></p></svg>t", "t"),
            ("a&nbsp;b &deg;C", "a\u{A0}b °C"),
            ("<SCRIPT>x</SCRIPT>t", "t"),
        ] {
            let Verdict::Sanitised(out) = judge(&div(dirty)) else { panic!("{dirty}") };
            assert_eq!(out, div(clean));
            assert_eq!(judge(&out), Verdict::Clean);
        }
        assert_eq!(judge("<div>t</div>"), Verdict::Sanitised(div("t")));
        for unreadable in [
            "",
            "text",
            "<p>x</p>",
            "<div>",
            "<div><p></div></p>",
            "<div>&unknown;</div>",
            "<div>a</div>b",
            "<div a=b></div>",
            "<div><![CDATA[x]]></div>",
            "<div><p<b></p></div>",
            "<div>&</div>",
            "<div><p id=\"a\" id=\"b\"/></div>",
            "<div><p title=\"a&nbsp;b\"/></div>",
        ] {
            assert_eq!(judge(unreadable), Verdict::Unreadable, "{unreadable}");
        }
        assert_eq!(judge(&format!("{}{}", "<div>".repeat(70), "</div>".repeat(70))), Verdict::Unreadable);
    }
}
