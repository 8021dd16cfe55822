//! Rule 13. Results that are words for "no result" become a data absent reason, with the words kept as its text.

use super::super::facts;
use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::SENTINELS;
use super::super::vocabulary::DATA_ABSENT_REASON;
use crate::fhir::{Node, Object};
use crate::outcome::{IssueType, Severity};

/// Reads the text result of an Observation or component as a reason why there is none.
pub(in super::super) fn apply(holder: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(SENTINELS) {
        return;
    }
    let Some((name, text)) = text_result(holder) else { return };
    let folded = text.trim_matches(|c: char| c.is_whitespace() || c.is_ascii_punctuation()).to_lowercase();
    let own = work.context.source.sentinels.get(folded.as_str()).map(|reason| reason.as_str());
    let Some(reason) = own.or_else(|| facts::SENTINELS.get(folded.as_str()).copied()) else { return };
    let is_alone = holder.members().iter().filter(|member| member.name.starts_with("value") || member.name == "_valueString").count() == 1;
    if holder.get("dataAbsentReason").is_some() || !is_alone {
        let text = "the result's text means that there is no result, beside other content about it; it was left as it is";
        return work.flag(Severity::Warning, IssueType::Value, "sentinel-kept", &path.member("value"), text);
    }
    let coding = Object::new().with("system", DATA_ABSENT_REASON).with("code", reason);
    let concept = Object::new().with("coding", vec![coding.into()]).with("text", text);
    let before = holder.remove(name);
    work.changed(SENTINELS, &path.member("value"), before, None);
    work.set(SENTINELS, holder, path, "dataAbsentReason", concept);
}

/// A result that is nothing but text, and the member it stands in.
fn text_result(holder: &Object) -> Option<(&'static str, String)> {
    if let Some(text) = holder.get("valueString").and_then(Node::as_text) {
        return Some(("valueString", text.to_owned()));
    }
    let concept = holder.get("valueCodeableConcept").and_then(Node::as_object)?;
    let text = concept.get("text").and_then(Node::as_text)?;
    (concept.len() == 1).then(|| ("valueCodeableConcept", text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{run, source};

    #[test]
    fn reasons() {
        for (value, reason) in [
            (r#""valueString":"Blank""#, Some("unknown")),
            (r#""valueString":"SEE BELOW""#, Some("as-text")),
            (r#""valueString":"*TNP*""#, Some("not-performed")),
            (r#""valueString":"QNS""#, Some("not-performed")),
            (r#""valueCodeableConcept":{"text":"TNP"}"#, Some("not-performed")),
            (r#""valueString":"Negative""#, None),
            (r#""valueString":"Blank stare""#, None),
            (r#""valueString":"TNP","dataAbsentReason":{"text":"x"}"#, None),
            (r#""valueQuantity":{"value":1.5},"valueString":"TNP""#, None),
        ] {
            let done = run(&format!(r#"{{"resourceType":"Observation","component":[{{{value}}}],{value}}}"#), &source());
            for holder in [&done.resource, &done.resource.items("component")[0]] {
                let found = holder.get("dataAbsentReason").and_then(|concept| concept.items("coding").first()?.text("code"));
                assert_eq!(found, reason, "{value}");
                assert_eq!(holder.get("valueString").is_none() && holder.get("valueCodeableConcept").is_none(), reason.is_some());
            }
        }
    }
}
