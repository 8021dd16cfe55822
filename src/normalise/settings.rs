//! `[source.NAME.normalise]`: the rules of one source as its configuration sets them.
//!
//! A rule's word with true or false switches it. The other keys are parameters: `vendor`, `fhir_version`, `us_dates`, `modifier_extensions`, `units`,
//! `default_units`, `sentinels`, `plausible`, `concept_maps`. Reading is pure but for the ConceptMap files, which the caller reads.

use super::rule::RULES;
use super::source::SourceRules;
use super::versions::Release;
use crate::fhir::Node;
use crate::fhir::decimal::Decimal;
use compact_str::CompactString;
use std::sync::LazyLock;
use toml::Value;

/// The data-absent-reason codes of R4.
const REASONS: [&str; 15] = [
    "unknown",
    "asked-unknown",
    "temp-unknown",
    "not-asked",
    "asked-declined",
    "masked",
    "not-applicable",
    "unsupported",
    "as-text",
    "error",
    "not-a-number",
    "negative-infinity",
    "positive-infinity",
    "not-performed",
    "not-permitted",
];

/// How many entries one of the tables may have.
const MAX_ENTRIES: usize = 10_000;

/// What is known of vendors' systems.
static VENDORS: LazyLock<toml::Table> = LazyLock::new(|| toml::from_str(include_str!("facts/vendors.toml")).unwrap_or_default());

/// Sets what is known of a vendor, when the name is one.
pub fn vendor_defaults(rules: &mut SourceRules, vendor: &str) -> Result<(), String> {
    let Some(table) = VENDORS.get(vendor).and_then(Value::as_table) else { return Ok(()) };
    configure(rules, table, &mut |_| Err("a vendor has no files".to_owned()))
}

/// Sets rules by a configuration table. `read_map` reads a ConceptMap by the path the configuration gives. The error names the key and what it
/// should be; it never quotes the value.
pub fn configure(
    rules: &mut SourceRules,
    table: &toml::Table,
    read_map: &mut dyn FnMut(&str) -> Result<Node, String>,
) -> Result<(), String> {
    // First, so that the source's own settings have the last word.
    if let Some(vendor) = table.get("vendor") {
        let known = vendor.as_str().filter(|vendor| VENDORS.contains_key(*vendor));
        let names = || VENDORS.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        vendor_defaults(rules, known.ok_or_else(|| format!("vendor: must be one of {}", names()))?)?;
    }
    for (key, value) in table.iter().filter(|(key, _)| key.as_str() != "vendor") {
        one(rules, key, value, read_map).map_err(|text| format!("{key}: {text}"))?;
    }
    Ok(())
}

fn one(rules: &mut SourceRules, key: &str, value: &Value, read_map: &mut dyn FnMut(&str) -> Result<Node, String>) -> Result<(), String> {
    match key {
        "fhir_version" => {
            let release = value.as_str().and_then(Release::parse);
            rules.release = Some(release.ok_or("must be one of DSTU2, STU3, R4, R4B, R5, or its number such as 3.0")?);
        }
        "us_dates" => rules.us_dates = value.as_bool().ok_or("must be true or false")?,
        "modifier_extensions" => rules.modifier_extensions = list(value)?.into_iter().map(CompactString::from).collect(),
        "units" => rules.units.extend(pairs(value)?),
        "default_units" => {
            for (test, unit) in pairs(value)? {
                rules.default_units.insert(coded(&test)?, unit);
            }
        }
        "sentinels" => {
            for (text, reason) in pairs(value)? {
                if !REASONS.contains(&reason.as_str()) {
                    return Err("each value must be a code of data-absent-reason".to_owned());
                }
                rules.sentinels.insert(text.to_lowercase(), reason);
            }
        }
        "plausible" => plausible(rules, value)?,
        "concept_maps" => {
            for path in list(value)? {
                let map = read_map(path)?;
                if map.resource_type() != Some("ConceptMap") || rules.concept_maps.add(&map) == 0 {
                    return Err(format!("{path} is no ConceptMap with equivalences that can be used"));
                }
            }
        }
        _ => {
            let on = value.as_bool().ok_or("is no parameter, or must be true or false")?;
            rules.switch(key, on).ok_or_else(|| format!("is not a rule; the rules are {}", names()))?;
        }
    }
    Ok(())
}

fn names() -> String {
    RULES.map(|rule| rule.name).join(", ")
}

fn list(value: &Value) -> Result<Vec<&str>, String> {
    let items: Option<Vec<&str>> =
        value.as_array().filter(|items| items.len() <= MAX_ENTRIES).and_then(|items| items.iter().map(Value::as_str).collect());
    items.ok_or_else(|| format!("must be a list of at most {MAX_ENTRIES} texts"))
}

fn pairs(value: &Value) -> Result<impl Iterator<Item = (CompactString, CompactString)>, String> {
    let table = value.as_table().filter(|table| table.len() <= MAX_ENTRIES);
    let read: Option<Vec<(CompactString, CompactString)>> =
        table.and_then(|table| table.iter().map(|(name, value)| Some((name.as_str().into(), value.as_str()?.into()))).collect());
    read.map(Vec::into_iter).ok_or_else(|| format!("must be a table of at most {MAX_ENTRIES} texts"))
}

/// `system|code` of a test.
fn coded(test: &str) -> Result<CompactString, String> {
    let is_coded = test.split_once('|').is_some_and(|(system, code)| !system.is_empty() && !code.is_empty());
    if is_coded { Ok(test.into()) } else { Err("each key must be system|code".to_owned()) }
}

/// `"LOINC code or test name" = { unit = "g/dL", low = "2", high = "30" }`; bounds as text, so that no digit is lost.
fn plausible(rules: &mut SourceRules, value: &Value) -> Result<(), String> {
    const SHAPE: &str = "each value must be { unit = \"UCUM\", low = \"number\", high = \"number\" }";
    let table = value.as_table().filter(|table| table.len() <= MAX_ENTRIES).ok_or(SHAPE)?;
    for (test, range) in table {
        let text = |name: &str| range.get(name).and_then(Value::as_str);
        let bound = |name: &str| text(name).and_then(Decimal::parse);
        let (unit, low, high) =
            text("unit").zip(bound("low")).zip(bound("high")).map(|((unit, low), high)| (unit, low, high)).ok_or(SHAPE)?;
        if low > high {
            return Err("low must not be above high".to_owned());
        }
        rules.plausible.insert((test.to_lowercase().into(), unit.into()), (low, high));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json;

    const MAP: &str = r#"{"resourceType":"ConceptMap","group":[{"source":"urn:x","target":"http://loinc.org","element":[{"code":"HB","target":[{"code":"718-7","equivalence":"equal"}]}]}]}"#;

    fn read(text: &str) -> Result<SourceRules, String> {
        let mut rules = SourceRules::new::<&str>("x", &[]);
        let table: toml::Table = toml::from_str(text).unwrap();
        let mut map = |path: &str| {
            if path == "map.json" {
                json::parse(MAP.as_bytes(), 64).map_err(|error| error.kind.to_string())
            } else {
                Err("cannot be read".to_owned())
            }
        };
        configure(&mut rules, &table, &mut map)?;
        Ok(rules)
    }

    #[test]
    fn everything_can_be_set() {
        let rules = read(
            r#"
            strings = false
            fhir_version = "3.0"
            us_dates = true
            modifier_extensions = ["http://x.example/m"]
            concept_maps = ["map.json"]
            [units]
            "U" = "[U]"
            [default_units]
            "http://loinc.org|718-7" = "g/dL"
            [sentinels]
            "NIL" = "not-performed"
            [plausible]
            "718-7" = { unit = "g/dL", low = "3", high = "25.5" }
            "#,
        )
        .unwrap();
        assert!(!rules.switches.is_on(crate::normalise::rule::STRINGS));
        assert_eq!((rules.release, rules.us_dates), (Some(Release::Stu3), true));
        assert!(rules.modifier_extensions.contains("http://x.example/m"));
        assert_eq!(rules.concept_maps.get("urn:x", "HB").unwrap().code, "718-7");
        assert_eq!(rules.units["U"], "[U]");
        assert_eq!(rules.default_units["http://loinc.org|718-7"], "g/dL");
        assert_eq!(rules.sentinels["nil"], "not-performed");
        assert_eq!(rules.plausible.len(), 1);
    }

    #[test]
    fn a_vendors_settings_come_first() {
        let rules = read("vendor = \"meditech\"\n[units]\n\"EACH\" = \"1\"").unwrap();
        assert!(!rules.us_dates);
        assert_eq!((rules.units["EACH"].as_str(), rules.units["K/mm3"].as_str()), ("1", "10*3/mm3"));
        for vendor in VENDORS.keys() {
            let mut rules = SourceRules::new::<&str>("x", &[]);
            vendor_defaults(&mut rules, vendor).unwrap();
            assert!(!rules.us_dates, "{vendor} is no country");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, said) in [
            ("vendor = \"x\"", "vendor: must be one of cerner, epic, meditech"),
            ("nonsense = true", "nonsense: is not a rule; the rules are bytes, empties"),
            ("strings = 1", "strings: is no parameter"),
            ("us_dates = \"yes\"", "us_dates: must be true or false"),
            ("fhir_version = \"7\"", "fhir_version: must be one of"),
            ("units = [1]", "units: must be a table"),
            ("modifier_extensions = 1", "modifier_extensions: must be a list"),
            ("[default_units]\n\"718-7\" = \"g\"", "default_units: each key must be system|code"),
            ("[sentinels]\nx = \"maybe\"", "sentinels: each value must be a code of data-absent-reason"),
            ("[plausible]\nx = { unit = \"g\", low = 1, high = 2 }", "plausible: each value must be"),
            ("[plausible]\nx = { unit = \"g\", low = \"3\", high = \"2\" }", "plausible: low must not"),
            ("concept_maps = [\"other.json\"]", "concept_maps: cannot be read"),
        ] {
            let found = read(text).err().unwrap_or_default();
            assert!(found.starts_with(said), "{text}: {found}");
        }
    }
}
