//! Rule 11. Units in UCUM, by a table of spellings, and never by reading a unit as UCUM that was not meant so.
//!
//! `K/mm3` is valid UCUM for kelvin per cubic millimetre, `MG` for megagauss; the senders mean thousands and milligrams. The unit people read
//! (`Quantity.unit`) stays as sent. A vendor's own unit code is kept in HL7's translation extension, since a Quantity has room for one code only.
//! A number without a unit gets none, unless the configuration declares what the source means.
//!
//! The table is asked first, because what is in it was decided by people; then UCUM's grammar. What was sent as UCUM and is UCUM is left, what was sent
//! without a system is coded only when each part of it is one that units in clinical use have, and what neither knows is flagged: a code that is no UCUM
//! at all does not stay under UCUM's name, but is the unit people read.

use super::super::facts;
use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::UNITS;
use super::super::source::SourceRules;
use super::super::vocabulary::{DATA_ABSENT, QUANTITY_TRANSLATION, UCUM};
use super::unit_context::{self, Dose};
use crate::fhir::{Node, Object, ucum};
use crate::outcome::{IssueType, Severity};

/// Settles system and code of a Quantity.
pub(in super::super) fn apply(quantity: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(UNITS) {
        return;
    }
    match unit_context::of_dose(quantity, path, work) {
        Some(Dose::Gram) => return set_code("g", quantity, path, work),
        Some(Dose::Ounce) => {
            // Its unit is no other, so nothing is read in its place.
            withdraw(quantity, path, work);
            return unit_context::flag_ounce(path, work);
        }
        None => {}
    }
    let text = |name: &str| quantity.get(name).and_then(Node::as_text);
    let source = work.context.source;
    match (text("system"), text("code"), text("unit")) {
        (Some(UCUM), Some(code), unit) => {
            let Some(meant) = respelt(code, source) else {
                flag_undecided(code, unit, path, work);
                return withdraw(quantity, path, work);
            };
            let spelt = unit.is_none().then(|| code.to_owned());
            work.set(UNITS, quantity, path, "code", meant);
            if let Some(spelt) = spelt {
                work.set(UNITS, quantity, path, "unit", spelt);
            }
        }
        (Some(UCUM) | None, None, Some(unit)) => {
            let Some(meant) = ucum_of(unit, source) else { return flag_unmapped("unit", path, work) };
            no_longer_absent(quantity, path, work);
            work.set(UNITS, quantity, path, "system", UCUM);
            work.set(UNITS, quantity, path, "code", meant);
        }
        (None, Some(code), unit) => {
            let Some(meant) = ucum_of(code, source) else { return flag_unmapped("code", path, work) };
            let spelt = unit.is_none().then(|| code.to_owned());
            work.set(UNITS, quantity, path, "system", UCUM);
            work.set(UNITS, quantity, path, "code", meant);
            if let Some(spelt) = spelt {
                work.set(UNITS, quantity, path, "unit", spelt);
            }
        }
        (Some(_), _, Some(unit)) => {
            let Some(meant) = ucum_of(unit, source) else { return flag_unmapped("unit", path, work) };
            keep_vendor_unit(quantity, path, work);
            work.set(UNITS, quantity, path, "system", UCUM);
            work.set(UNITS, quantity, path, "code", meant);
        }
        _ => {}
    }
}

fn set_code(code: &str, quantity: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    let spelt = quantity.get("code").filter(|_| quantity.get("unit").is_none()).cloned();
    work.set(UNITS, quantity, path, "system", UCUM);
    work.set(UNITS, quantity, path, "code", code);
    if let Some(spelt) = spelt {
        work.set(UNITS, quantity, path, "unit", spelt);
    }
}

/// Takes a code out of UCUM that is none of UCUM's. Where there is a unit that people read, that one counts; else the code becomes it.
fn withdraw(quantity: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    let is_ucum = quantity.get("system").and_then(Node::as_text) == Some(UCUM);
    let Some(code) = quantity.get("code").and_then(Node::as_text).filter(|code| is_ucum && ucum::check(code).is_err()) else { return };
    let code = code.to_owned();
    work.remove(UNITS, quantity, path, "system");
    work.remove(UNITS, quantity, path, "code");
    let Some(unit) = quantity.get("unit").and_then(Node::as_text) else { return work.set(UNITS, quantity, path, "unit", code) };
    if let Some(meant) = ucum_of(unit, work.context.source).filter(|_| facts::folded_unit(unit) != facts::folded_unit(&code)) {
        work.set(UNITS, quantity, path, "system", UCUM);
        work.set(UNITS, quantity, path, "code", meant);
    }
}

/// Cerner says of a unit's code that it is unknown, and of the unit what it is. Beside the code that the unit stands for that is no longer true.
fn no_longer_absent(quantity: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    let is_reason = |extension: &Node| extension.text("url") == Some(DATA_ABSENT);
    for name in ["system", "code"] {
        let sibling = format!("_{name}");
        let Some(beside) = quantity.get(&sibling).filter(|beside| beside.items("extension").iter().any(is_reason)) else { continue };
        let before = beside.clone();
        let Some(mut kept) = before.as_object().cloned() else { continue };
        let others: Vec<Node> = before.items("extension").iter().filter(|extension| !is_reason(extension)).cloned().collect();
        kept.remove("extension");
        if !others.is_empty() {
            kept.set("extension", others);
        }
        let after: Option<Node> = (!kept.is_empty()).then(|| kept.into());
        work.changed(UNITS, &path.member(name), Some(before), after.clone());
        match after {
            Some(kept) => quantity.set(&sibling, kept),
            None => drop(quantity.remove(&sibling)),
        }
    }
}

/// What no table respells and was sent as UCUM: it may say that nothing is known, be no UCUM, or be UCUM that often means something else.
fn flag_undecided(code: &str, unit: Option<&str>, path: &Path<'_>, work: &mut Work<'_>) {
    if facts::UCUM_CODES.contains(code) {
        return;
    }
    if code == "{unknownunit}" {
        let text = "the sender did not know the unit of this value; nothing was assumed";
        work.flag(Severity::Warning, IssueType::Incomplete, "unit-unknown", &path.member("code"), text);
    } else if ucum::check(code).is_err() {
        flag_unmapped("code", path, work);
    } else if may_mean_another(code) && unit.is_none_or(|unit| unit == code) {
        let text = "the unit is UCUM, and in it a letter or part that is often sent for another unit; it was left as it is";
        work.flag(Severity::Warning, IssueType::Value, "unit-ambiguous", &path.member("code"), text);
    }
}

/// Whether a part of a UCUM code is capital letters for a unit of physics (`K`, `S`, `AU` for the astronomical unit, `EU` for a trillion million units) or
/// the capitals of a clinical one (`MG`).
fn may_mean_another(code: &str) -> bool {
    let is_capital = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_respelt = |part: &str| facts::UNITS.get(facts::folded_unit(part).as_str()).is_some_and(|meant| *meant != part);
    code.split(['/', '.']).any(|part| !facts::UCUM_PARTS.contains(part) && (is_capital(part) || is_respelt(part)))
}

fn flag_unmapped(member: &str, path: &Path<'_>, work: &mut Work<'_>) {
    let text = "the unit is neither UCUM nor a spelling that is known; it was left as it is";
    work.flag(Severity::Warning, IssueType::CodeInvalid, "unit-unmapped", &path.member(member), text);
}

/// The UCUM code for a spelling, also when the spelling is that code.
pub(super) fn ucum_of(spelling: &str, source: &SourceRules) -> Option<String> {
    if let Some(own) = source.units.get(spelling) {
        return Some(own.to_string());
    }
    if facts::UCUM_CODES.contains(spelling) {
        return Some(spelling.to_owned());
    }
    let known = facts::UNITS.get(facts::folded_unit(spelling).as_str()).map(|&code| code.to_owned());
    known.or_else(|| is_clinical(spelling).then(|| spelling.to_owned()))
}

/// Whether a spelling is UCUM and each part of it stands in units in clinical use, so that reading it as UCUM is no guess.
fn is_clinical(spelling: &str) -> bool {
    spelling.split(['/', '.']).all(|part| part.is_empty() || facts::UCUM_PARTS.contains(part)) && ucum::check(spelling).is_ok()
}

/// The UCUM code for what was sent as UCUM, when that must have meant something else.
fn respelt(code: &str, source: &SourceRules) -> Option<String> {
    // One letter that is a unit as it stands, such as G for gauss, is too little to say that another was meant.
    if code.len() == 1 && !source.units.contains_key(code) && ucum::check(code).is_ok() {
        return None;
    }
    ucum_of(code, source).filter(|meant| meant != code)
}

/// The whole quantity as the vendor coded it, beside the one coded in UCUM.
fn keep_vendor_unit(quantity: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    let mut vendor = Object::new();
    for name in ["value", "unit", "system", "code"] {
        if let Some(node) = quantity.get(name) {
            vendor.set(name, node.clone());
        }
    }
    let extension = Object::new().with("url", QUANTITY_TRANSLATION).with("valueQuantity", vendor);
    work.append(UNITS, quantity, path, "extension", extension.into());
}

/// Gives a result without a unit the one its source has declared for the test, or flags it.
pub(in super::super) fn complete(holder: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(UNITS) {
        return;
    }
    let Some(quantity) = holder.get("valueQuantity").and_then(Node::as_object) else { return };
    if quantity.get("value").is_none() || quantity.get("unit").is_some() || quantity.get("code").is_some() {
        return;
    }
    let value_path = path.member("value");
    let declared = declared_unit(holder.get("code"), work.context.source);
    let (Some(unit), Some(quantity)) = (declared, holder.get_mut("valueQuantity").and_then(Node::as_object_mut)) else {
        let text = "the value has no unit; none was assumed";
        return work.flag(Severity::Information, IssueType::Incomplete, "unit-missing", &value_path, text);
    };
    for (name, node) in [("unit", unit.as_str()), ("system", UCUM), ("code", unit.as_str())] {
        work.set(UNITS, quantity, &value_path, name, node);
    }
}

fn declared_unit(concept: Option<&Node>, source: &SourceRules) -> Option<String> {
    if source.default_units.is_empty() {
        return None;
    }
    let coded = |coding: &Node| source.default_units.get(format!("{}|{}", coding.text("system")?, coding.text("code")?).as_str());
    concept?.items("coding").iter().find_map(coded).map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{run, source};
    use crate::fhir::json;

    #[test]
    fn settling() {
        let ucum = r#""system":"http://unitsofmeasure.org""#;
        for (before, after) in [
            (r#""unit":"Log cps/mL""#.to_owned(), format!(r#""unit":"Log cps/mL",{ucum},"code":"{{log_copies}}/mL""#)),
            (r#""unit":"thou/mcL""#.to_owned(), format!(r#""unit":"thou/mcL",{ucum},"code":"10*3/uL""#)),
            (r#""unit":"mmHg""#.to_owned(), format!(r#""unit":"mmHg",{ucum},"code":"mm[Hg]""#)),
            (r#""unit":"10*6/µL""#.to_owned(), format!(r#""unit":"10*6/µL",{ucum},"code":"10*6/uL""#)),
            (r#""unit":"giga.l-1""#.to_owned(), format!(r#""unit":"giga.l-1",{ucum},"code":"10*9/L""#)),
            (format!(r#""unit":"K/mm3",{ucum},"code":"K/mm3""#), format!(r#""unit":"K/mm3",{ucum},"code":"10*3/mm3""#)),
            (format!(r#"{ucum},"code":"MG""#), format!(r#"{ucum},"code":"mg","unit":"MG""#)),
            (format!(r#""unit":"MEQ/HR",{ucum},"code":"MEQ/HR""#), format!(r#""unit":"MEQ/HR",{ucum},"code":"meq/h""#)),
            (format!(r#""unit":"tabs",{ucum},"code":"tab""#), format!(r#""unit":"tabs",{ucum},"code":"{{tbl}}""#)),
            (format!(r#""unit":"mcg",{ucum},"code":"ug""#), format!(r#""unit":"mcg",{ucum},"code":"ug""#)),
            (format!(r#""unit":"gauss",{ucum},"code":"G""#), format!(r#""unit":"gauss",{ucum},"code":"G""#)),
            (format!(r#""unit":"minutes",{ucum}"#), format!(r#""unit":"minutes",{ucum},"code":"min""#)),
            (
                format!(
                    r#""unit":"minutes",{ucum},"_code":{{"extension":[{{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}}]}}"#
                ),
                format!(r#""unit":"minutes",{ucum},"code":"min""#),
            ),
            (r#""unit":"furlong""#.to_owned(), r#""unit":"furlong""#.to_owned()),
            (
                r#""unit":"mL","system":"urn:oid:1.2.3","code":"1""#.to_owned(),
                format!(
                    r#""unit":"mL",{ucum},"code":"mL","extension":[{{"url":"http://hl7.org/fhir/StructureDefinition/iso21090-PQ-translation","valueQuantity":{{"value":5,"unit":"mL","system":"urn:oid:1.2.3","code":"1"}}}}]"#
                ),
            ),
        ] {
            let wrap = |inner: &str| format!(r#"{{"resourceType":"X","doseQuantity":{{"value":5,{inner}}}}}"#);
            let done = run(&wrap(&before), &source());
            assert_eq!(json::write(&done.resource), wrap(&after));
        }
    }

    #[test]
    fn what_is_undecided_is_flagged() {
        let ucum = r#""system":"http://unitsofmeasure.org","#;
        for (system, member, unit, said) in [
            ("", "unit", "Torr", "unit-unmapped"),
            ("", "unit", "M", "unit-unmapped"),
            ("", "unit", "S", "unit-unmapped"),
            ("", "unit", "K", "unit-unmapped"),
            ("", "unit", "F", "unit-unmapped"),
            ("", "unit", "ng/mL/h", ""),
            (ucum, "code", "Torr", "unit-unmapped"),
            (ucum, "code", "M", "unit-unmapped"),
            (ucum, "code", "S", "unit-ambiguous"),
            (ucum, "code", "K", "unit-ambiguous"),
            (ucum, "code", "AU", "unit-ambiguous"),
            (ucum, "code", "EU/mL", "unit-ambiguous"),
            (ucum, "code", "F", "unit-ambiguous"),
            (ucum, "code", "MG/wk", "unit-ambiguous"),
            (ucum, "code", "{unknownunit}", "unit-unknown"),
            (ucum, "code", "L", ""),
            (ucum, "code", "mL/min/{1.73_m2}", ""),
            (ucum, "code", "[pH]", ""),
            (r#""system":"urn:vendor","code":"7","#, "unit", "Torr", "unit-unmapped"),
        ] {
            let text = format!(r#"{{"resourceType":"X","doseQuantity":{{"value":5,{system}"{member}":"{unit}"}}}}"#);
            let found: Vec<&str> = run(&text, &source()).findings.iter().map(|finding| finding.message_id).collect();
            assert_eq!(found, said.split_terminator(' ').collect::<Vec<_>>(), "{text}");
        }
    }

    #[test]
    fn a_missing_unit_is_declared_or_flagged() {
        let text = r#"{"resourceType":"Observation","code":{"coding":[{"system":"http://loinc.org","code":"4548-4"}]},"valueQuantity":{"value":5.1}}"#;
        let done = run(text, &source());
        assert!(done.findings.iter().any(|finding| finding.message_id == "unit-missing"));
        let mut declared = source();
        declared.default_units.insert("http://loinc.org|4548-4".into(), "%".into());
        let done = run(text, &declared);
        assert_eq!(done.resource.get("valueQuantity").unwrap().text("code"), Some("%"));
    }
}
