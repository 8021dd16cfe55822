//! XML that is none of R4's: whether it is another release's, so that its sender is told that rather than which element R4 does not know.

use super::detect::{self, Detected};
use super::{MIXED, Release, refused_text, unclear_text};
use crate::fhir::types::TypeTable;
use crate::fhir::xml::{Outlined, outline};
use crate::outcome::{Finding, IssueType, Reason, Refusal};

/// The refusal of an XML document of another release; `None` where nothing shows that it is one. `declared`: by the media type or for the source.
pub fn other_release(bytes: &[u8], declared: Option<Release>, types: &TypeTable) -> Option<Refusal> {
    let (place, finding) =
        outline(bytes).iter().enumerate().find_map(|(index, resource)| Some((index, of_one(resource, declared, types)?)))?;
    let finding = if place == 0 { finding } else { finding.under("Bundle") };
    Some(Refusal::of(Reason::Invalid, vec![finding]))
}

fn of_one(resource: &Outlined, declared: Option<Release>, types: &TypeTable) -> Option<Finding> {
    let type_name = resource.type_name.as_str();
    let claimed = resource.profiles.iter().find_map(|profile| detect::claimed(profile));
    let detected = match claimed.or(declared) {
        Some(Release::R4) => return None,
        Some(release) => Detected::One(release),
        None => detect::by_names(type_name, &resource.members, types)?,
    };
    let (message_id, text) = match detected {
        Detected::One(Release::R4) => return None,
        Detected::One(release) => (
            "version-refused",
            format!("{} (XML of other releases is not converted, JSON of these types is)", refused_text(release, type_name)),
        ),
        Detected::Several(releases) => ("version-unclear", unclear_text(type_name, &releases)),
        Detected::Mixed => ("version-mixed", MIXED.to_owned()),
    };
    Some(Finding::error(IssueType::NotSupported, message_id, text).at(super::shown(type_name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definitions::Definitions;

    #[test]
    fn releases_are_told_apart() {
        let wrap = |inner: &str| format!(r#"<Bundle xmlns="http://hl7.org/fhir"><entry><resource>{inner}</resource></entry></Bundle>"#);
        for (inner, declared, said) in [
            (r#"<Patient><animal/></Patient>"#, None, "version-unclear"),
            (r#"<Patient><careProvider/></Patient>"#, None, "version-refused"),
            (r#"<Observation><context/></Observation>"#, None, "version-refused"),
            (r#"<Observation><context/><note/></Observation>"#, None, "version-mixed"),
            (r#"<MedicationOrder/>"#, None, "version-refused"),
            (r#"<Transport/>"#, None, "version-refused"),
            (
                r#"<Patient><meta><profile value="http://hl7.org/fhir/3.0/StructureDefinition/Patient"/></meta><x/></Patient>"#,
                None,
                "version-refused",
            ),
            (r#"<Patient><x/></Patient>"#, Some(Release::R5), "version-refused"),
            (r#"<Patient><x/></Patient>"#, None, ""),
            (r#"<Patient><careProvider/></Patient>"#, Some(Release::R4), ""),
            (r#"<Nonsense/>"#, None, ""),
            (r#"<Patient><careProvider>"#, None, "version-refused"),
            ("", None, ""),
        ] {
            for document in [inner.replacen('>', r#" xmlns="http://hl7.org/fhir">"#, 1).replacen("/ xmlns", " xmlns", 1), wrap(inner)] {
                let found = other_release(document.as_bytes(), declared, Definitions::embedded().types());
                assert_eq!(found.map_or("", |refusal| refusal.findings[0].message_id), said, "{document}");
            }
        }
    }
}
