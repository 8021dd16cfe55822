//! Rule 21. Extensions are kept, known or not; a modifier extension or implicit rules nobody here understands refuse the resource.
//!
//! A modifier extension may turn the meaning of everything around it ("not", "on behalf of another"). Passing it on unread would be passing on a
//! record whose meaning we do not know.

use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::EXTENSIONS;
use crate::fhir::{Node, Object};
use crate::outcome::{IssueType, Severity};

/// Checks the list of an element's modifier extensions.
pub(in super::super) fn check_modifiers(list: &Node, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(EXTENSIONS) {
        return;
    }
    let single = std::slice::from_ref(list);
    for (index, extension) in list.as_list().unwrap_or(single).iter().enumerate() {
        let known = extension.text("url").is_some_and(|url| work.context.source.modifier_extensions.contains(url));
        if !known {
            let text = "the modifier extension is not one this gateway understands, so the meaning of the element is unknown; \
                        send the resource without it, or have the operator declare it for this source";
            work.flag(Severity::Error, IssueType::Extension, "modifier-extension-unknown", &path.item(index), text);
        }
    }
}

/// Checks `implicitRules` of a resource: rules that its content is to be read by (R4 §2.26.3.4), which modify it as a modifier extension does.
pub(in super::super) fn check_implicit_rules(resource: &Object, path: &Path<'_>, work: &mut Work<'_>) {
    let Some(rules) = resource.get("implicitRules").filter(|_| work.on(EXTENSIONS)) else { return };
    let known = rules.as_text().is_some_and(|url| work.context.source.modifier_extensions.contains(url));
    if !known {
        let text = "the resource says that it was made by rules (implicitRules) this gateway does not know, so its meaning is unknown; \
                    send it without them, or have the operator declare them for this source (modifier_extensions)";
        work.flag(Severity::Error, IssueType::NotSupported, "implicit-rules-unknown", &path.member("implicitRules"), text);
    }
}

/// Flags an extension that belongs to another release of FHIR.
pub(in super::super) fn apply(extension: &Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(EXTENSIONS) {
        return;
    }
    if extension.get("url").and_then(Node::as_text).is_some_and(is_of_another_release) {
        let text = "the extension stands for an element of another FHIR release; it was kept as it is";
        work.flag(Severity::Information, IssueType::Extension, "extension-other-release", path, text);
    }
}

/// `http://hl7.org/fhir/5.0/StructureDefinition/…` and the same for other releases.
fn is_of_another_release(url: &str) -> bool {
    let Some((release, rest)) = url.strip_prefix("http://hl7.org/fhir/").and_then(|rest| rest.split_once('/')) else { return false };
    let is_version = release.contains('.') && release.bytes().all(|b| b.is_ascii_digit() || b == b'.') && !release.starts_with("4.0");
    rest.starts_with("StructureDefinition/") && (is_version || matches!(release, "DSTU2" | "STU3" | "R5"))
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{run, source};
    use super::is_of_another_release;

    #[test]
    fn releases() {
        for (url, other) in [
            ("http://hl7.org/fhir/5.0/StructureDefinition/extension-DocumentReference.attester", true),
            ("http://hl7.org/fhir/3.0/StructureDefinition/extension-Encounter.x", true),
            ("http://hl7.org/fhir/STU3/StructureDefinition/x", true),
            ("http://hl7.org/fhir/StructureDefinition/patient-proficiency", false),
            ("http://hl7.org/fhir/us/core/StructureDefinition/us-core-race", false),
            ("http://hl7.org/fhir/4.0/StructureDefinition/x", false),
        ] {
            assert_eq!(is_of_another_release(url), other, "{url}");
        }
    }

    #[test]
    fn unknown_modifiers_refuse() {
        for place in [
            r#"{"resourceType":"Patient",M}"#,
            r#"{"resourceType":"Patient","contact":[{M}]}"#,
            r#"{"resourceType":"X","contained":[{"resourceType":"Y",M}]}"#,
        ] {
            let text = place.replace('M', r#""modifierExtension":[{"url":"http://x/not","valueBoolean":true}]"#);
            assert!(run(&text, &source()).is_refused(), "{text}");
            let mut declared = source();
            declared.modifier_extensions.insert("http://x/not".into());
            assert!(!run(&text, &declared).is_refused());
        }
    }

    #[test]
    fn unknown_implicit_rules_refuse() {
        let rules = r#""implicitRules":"http://x/rules""#;
        for place in [r#"{"resourceType":"X",$}"#, r#"{"resourceType":"X","contained":[{"resourceType":"Y",$}]}"#] {
            let text = place.replace('$', rules);
            assert!(run(&text, &source()).is_refused(), "{text}");
            let mut declared = source();
            declared.modifier_extensions.insert("http://x/rules".into());
            assert!(!run(&text, &declared).is_refused(), "{text}");
        }
    }
}
