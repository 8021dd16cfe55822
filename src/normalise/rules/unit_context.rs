//! Rule 11 where only the place of a number tells its unit: the `F` and `C` of a temperature, the `G` and `OZ` of a dose.
//!
//! Anywhere else `F` is UCUM's farad, `C` its coulomb and `G` its gauss, and they stay. An ounce of a dose may be of weight or of volume, which nothing
//! here tells, so it is flagged.

use super::super::facts::folded_unit;
use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::UNITS;
use super::super::vocabulary::{LOINC, SNOMED, UCUM};
use crate::fhir::{Node, Object};
use crate::outcome::{IssueType, Severity};

/// Body temperatures: LOINC codes of property `Temp`, by site and method.
const TEMPERATURES: [&str; 13] =
    ["8310-5", "8328-7", "8329-5", "8330-3", "8331-1", "8332-9", "8333-7", "8334-5", "61008-9", "75539-7", "75987-8", "76010-8", "76011-6"];

/// SNOMED CT's observable of the same.
const BODY_TEMPERATURE: &str = "386725007";

/// The elements that hold doses.
const DOSES: [&str; 5] = ["dose", "doseQuantity", "maxDosePerAdministration", "maxDosePerLifetime", "maxDosePerPeriod"];

/// What the place of a dose makes of its unit.
pub(super) enum Dose {
    Gram,
    /// An ounce, of weight or of volume.
    Ounce,
}

/// Reads a unit that means something else in a dose than elsewhere; one the source's own table has is not read.
pub(super) fn of_dose(quantity: &Object, path: &Path<'_>, work: &Work<'_>) -> Option<Dose> {
    let spelt = spelt(quantity)?;
    if !path.is_within(&DOSES) || work.context.source.units.contains_key(spelt) {
        return None;
    }
    match folded_unit(spelt).as_str() {
        "g" => Some(Dose::Gram),
        "oz" | "ozs" | "oz." | "ounce" | "ounces" | "ounce(s)" => Some(Dose::Ounce),
        _ => None,
    }
}

/// The unit of a quantity that says it in one way only and claims no system but UCUM.
fn spelt(quantity: &Object) -> Option<&str> {
    let text = |name: &str| quantity.get(name).and_then(Node::as_text);
    let (unit, code) = (text("unit"), text("code"));
    let is_one = unit.zip(code).is_none_or(|(unit, code)| folded_unit(unit) == folded_unit(code));
    code.or(unit).filter(|_| is_one && text("system").is_none_or(|system| system == UCUM))
}

/// Says what a unit of one letter means beside the code of a temperature, in the value and in its ranges.
pub(in super::super) fn temperature(holder: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(UNITS) || !holder.get("code").is_some_and(is_temperature) {
        return;
    }
    let value_path = path.member("value");
    if let Some(quantity) = holder.get_mut("valueQuantity").and_then(Node::as_object_mut) {
        degrees(quantity, &value_path, work);
    }
    let Some(ranges) = holder.get_mut("referenceRange").and_then(Node::as_list_mut) else { return };
    let ranges_path = path.member("referenceRange");
    for (index, range) in ranges.iter_mut().enumerate() {
        let range_path = ranges_path.item(index);
        for name in ["low", "high"] {
            if let Some(limit) = range.get_mut(name).and_then(Node::as_object_mut) {
                degrees(limit, &range_path.member(name), work);
            }
        }
    }
}

fn is_temperature(concept: &Node) -> bool {
    concept.items("coding").iter().any(|coding| match (coding.text("system"), coding.text("code")) {
        (Some(LOINC), Some(code)) => TEMPERATURES.contains(&code),
        (Some(SNOMED), Some(code)) => code == BODY_TEMPERATURE,
        _ => false,
    })
}

fn degrees(quantity: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    let Some(spelt) = spelt(quantity).filter(|spelt| !work.context.source.units.contains_key(*spelt)).map(str::to_owned) else { return };
    let meant = match folded_unit(&spelt).as_str() {
        "f" | "°f" => "[degF]",
        "c" | "°c" => "Cel",
        _ => return,
    };
    if quantity.get("code").and_then(Node::as_text) == Some(meant) {
        return;
    }
    // What was said of the letter alone is answered.
    let places = ["code", "unit"].map(|name| path.member(name).to_string());
    work.findings
        .retain(|finding| !(matches!(finding.message_id, "unit-ambiguous" | "unit-unmapped") && places.contains(&finding.expression)));
    if quantity.get("unit").is_none() {
        work.set(UNITS, quantity, path, "unit", spelt);
    }
    work.set(UNITS, quantity, path, "system", UCUM);
    work.set(UNITS, quantity, path, "code", meant);
}

pub(super) fn flag_ounce(path: &Path<'_>, work: &mut Work<'_>) {
    let text = "an ounce of a dose may be one of weight or one of volume, and it is not told which; it was left as it is";
    work.flag(Severity::Warning, IssueType::Value, "unit-ambiguous", path, text);
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{run_typed, source};
    use crate::fhir::json;

    #[test]
    fn temperatures() {
        for (code, unit, meant, said) in [
            ("8310-5", r#""unit":"F","system":"http://unitsofmeasure.org","code":"F""#, Some("[degF]"), ""),
            ("8310-5", r#""unit":"C""#, Some("Cel"), ""),
            ("8331-1", r#""unit":"°F""#, Some("[degF]"), ""),
            ("8310-5", r#""system":"http://unitsofmeasure.org","code":"f""#, Some("[degF]"), ""),
            ("8310-5", r#""unit":"farad","system":"http://unitsofmeasure.org","code":"F""#, Some("F"), ""),
            ("2345-7", r#""unit":"F","system":"http://unitsofmeasure.org","code":"F""#, Some("F"), "unit-ambiguous"),
            ("2345-7", r#""unit":"C""#, None, "unit-unmapped"),
        ] {
            let text = format!(
                r#"{{"resourceType":"Observation","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"{code}"}}]}},"valueQuantity":{{"value":98.6,{unit}}},"referenceRange":[{{"high":{{"value":99,{unit}}}}}]}}"#
            );
            let done = run_typed(&text, &source());
            let found: Vec<&str> = done.findings.iter().map(|finding| finding.message_id).filter(|id| id.starts_with("unit-")).collect();
            let expected = if said.is_empty() { vec![] } else { vec![said; 2] };
            assert_eq!((done.resource.get("valueQuantity").unwrap().text("code"), found), (meant, expected), "{text}");
            assert_eq!(done.resource.items("referenceRange")[0].get("high").unwrap().text("code"), meant, "{text}");
        }
    }

    #[test]
    fn doses() {
        let ucum = r#""system":"http://unitsofmeasure.org""#;
        for (unit, after, said) in [
            (format!(r#""unit":"G",{ucum},"code":"G""#), format!(r#""unit":"G",{ucum},"code":"g""#), ""),
            (format!(r#"{ucum},"code":"G""#), format!(r#"{ucum},"code":"g","unit":"G""#), ""),
            (format!(r#""unit":"gauss",{ucum},"code":"G""#), format!(r#""unit":"gauss",{ucum},"code":"G""#), ""),
            (format!(r#""unit":"OZ",{ucum},"code":"OZ""#), r#""unit":"OZ""#.to_owned(), "unit-ambiguous"),
            (r#""unit":"oz""#.to_owned(), r#""unit":"oz""#.to_owned(), "unit-ambiguous"),
            (format!(r#""unit":"oz",{ucum},"code":"[foz_us]""#), format!(r#""unit":"oz",{ucum},"code":"[foz_us]""#), ""),
            (format!(r#""unit":"SUPP",{ucum},"code":"SUPP""#), format!(r#""unit":"SUPP",{ucum},"code":"{{suppository}}""#), ""),
            (format!(r#""unit":"UNITS",{ucum},"code":"UNITS""#), format!(r#""unit":"UNITS",{ucum},"code":"{{unit}}""#), ""),
            (format!(r#""unit":"IU",{ucum},"code":"IU""#), format!(r#""unit":"IU",{ucum},"code":"[IU]""#), ""),
            (format!(r#""unit":"GLUG",{ucum},"code":"GLUG""#), r#""unit":"GLUG""#.to_owned(), "unit-unmapped"),
            (format!(r#""unit":"mL",{ucum},"code":"GLUG""#), format!(r#""unit":"mL",{ucum},"code":"mL""#), "unit-unmapped"),
            (format!(r#""unit":"a glug",{ucum},"code":"GLUG""#), r#""unit":"a glug""#.to_owned(), "unit-unmapped"),
        ] {
            let text = |unit: &str| {
                format!(
                    r#"{{"resourceType":"MedicationRequest","status":"active","dosageInstruction":[{{"doseAndRate":[{{"doseQuantity":{{"value":5,{unit}}}}}]}}]}}"#
                )
            };
            let done = run_typed(&text(&unit), &source());
            assert_eq!(json::write(&done.resource), text(&after));
            let found: Vec<&str> = done.findings.iter().map(|finding| finding.message_id).collect();
            assert_eq!(found, said.split_terminator(' ').collect::<Vec<_>>(), "{unit}");
        }
    }
}
