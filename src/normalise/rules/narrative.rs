//! Rule 22. Narrative holds formatting and nothing that acts, loads or hides.
//!
//! A narrative of allowed elements and attributes keeps every byte. Otherwise attributes that are not allowed go, elements that are not allowed
//! are opened so that their text stays, and scripts and the like go with what is in them. What is no XHTML at all cannot be judged and goes whole, and
//! so does what has nothing to read in it.

mod xhtml;

use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::NARRATIVE;
use crate::fhir::path::has_narrative_content;
use crate::fhir::{Node, Object};
use crate::outcome::{IssueType, Severity};
use xhtml::Verdict;

/// Judges `text` of a resource or section.
pub(in super::super) fn apply(holder: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(NARRATIVE) {
        return;
    }
    let Some(narrative) = holder.get_mut("text").and_then(Node::as_object_mut) else { return };
    let Some(div) = narrative.get("div").and_then(Node::as_text) else { return };
    let text_path = path.member("text");
    match xhtml::judge(div) {
        Verdict::Clean if has_narrative_content(div) => {}
        Verdict::Sanitised(clean) if has_narrative_content(&clean) => {
            let text = "the narrative held markup that FHIR does not allow; it was taken out and the text kept";
            work.flag(Severity::Warning, IssueType::Security, "narrative-sanitised", &text_path.member("div"), text);
            work.set(NARRATIVE, narrative, &text_path, "div", clean);
        }
        Verdict::Clean | Verdict::Sanitised(_) => {
            let text = "the narrative holds no text and no image that FHIR allows; it was left out";
            work.flag(Severity::Warning, IssueType::Structure, "narrative-dropped", &text_path, text);
            leave_out(holder, path, work);
        }
        Verdict::Unreadable => {
            let text = "the narrative is not well-formed XHTML, so it could not be judged; it was left out";
            work.flag(Severity::Warning, IssueType::Structure, "narrative-dropped", &text_path, text);
            leave_out(holder, path, work);
        }
    }
}

/// Nothing may be left empty, so a section that has nothing else says what became of its text.
fn leave_out(holder: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if holder.len() > 1 {
        work.remove(NARRATIVE, holder, path, "text");
    } else {
        work.set(NARRATIVE, holder, path, "text", Object::new().with("status", "empty").with("div", LEFT_OUT));
    }
}

const LEFT_OUT: &str = r#"<div xmlns="http://www.w3.org/1999/xhtml"><p>The text could not be read and was left out.</p></div>"#;

#[cfg(test)]
mod tests {
    use super::super::super::tests::{run, source};

    /// What no reader sees is no narrative (txt-2).
    #[test]
    fn what_is_empty_is_left_out() {
        for (inside, is_kept) in [
            ("", false),
            (" <p> </p><!-- x -->", false),
            (r#"<iframe src='x'>a</iframe>"#, false),
            (r#"<script>x</script><p>a</p>"#, true),
            (r#"<img src='#a' alt='x'/>"#, true),
            ("<p>a</p>", true),
        ] {
            let div = format!(r#"<div xmlns='http://www.w3.org/1999/xhtml'>{inside}</div>"#);
            let text = format!(r#"{{"resourceType":"Patient","active":true,"text":{{"status":"generated","div":"{div}"}}}}"#);
            let done = run(&text, &source());
            assert_eq!(done.resource.get("text").is_some(), is_kept, "{inside}");
            assert_eq!(done.findings.iter().any(|finding| finding.message_id == "narrative-dropped"), !is_kept, "{inside}");
        }
    }
}
