//! UCUM by cases of our own, and by the official definitions and functional tests where they are at hand.

use super::*;
use std::path::Path;

fn decimal(text: &str) -> Decimal {
    Ratio::parse(text).unwrap().to_decimal().unwrap()
}

#[test]
fn the_table_is_whole() {
    let rows = include_str!("units.tsv").lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(table::settled(), rows + table::BASE.len());
}

#[test]
fn well_formed_codes() {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ucum/valid.txt"));
    for code in text.lines() {
        assert_eq!(check(code), Ok(()), "{code}");
    }
}

#[test]
fn malformed_codes() {
    for (code, expected) in [
        ("", Invalid::Empty),
        ("m/", Invalid::Incomplete),
        ("m//s", Invalid::Incomplete),
        ("m./s", Invalid::Incomplete),
        ("(m", Invalid::Incomplete),
        ("m)", Invalid::Incomplete),
        ("()", Invalid::Incomplete),
        ("m{open", Invalid::Incomplete),
        ("m{a}{b}", Invalid::Operator),
        ("{a}m", Invalid::Operator),
        ("(8.h){a}{b}", Invalid::Operator),
        ("g/(8.h){shift", Invalid::Incomplete),
        ("(m)2", Invalid::Operator),
        ("ug(8.h)", Invalid::Operator),
        ("m{two\twords}", Invalid::Annotation),
        ("m{é}", Invalid::Annotation),
        ("m{a{b}", Invalid::Annotation),
        ("12h", Invalid::UnknownUnit),
        ("10+3/ul", Invalid::UnknownUnit),
        ("kin", Invalid::UnknownUnit),
        ("k[in_i]", Invalid::UnknownUnit),
        ("kkg", Invalid::UnknownUnit),
        ("iU", Invalid::UnknownUnit),
        ("mg dL", Invalid::UnknownUnit),
        ("°C", Invalid::UnknownUnit),
        ("m^2", Invalid::UnknownUnit),
    ] {
        assert_eq!(check(code), Err(expected), "{code}");
    }
    assert_eq!(check(&"m.".repeat(CODE_MAX)), Err(Invalid::TooLong));
    let nested = |depth: usize| format!("{}m{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(check(&nested(NESTING_MAX)), Ok(()));
    assert_eq!(check(&nested(NESTING_MAX + 1)), Err(Invalid::TooDeep));
}

/// Equal to as many significant digits as the answer gives, or the last place one off, which is what its rounding may do.
fn agrees(found: Decimal, expected: &str) -> bool {
    let digits = expected.split(['e', 'E']).next().unwrap_or_default().trim_start_matches(['0', '.', '-']);
    let digits = digits.bytes().filter(u8::is_ascii_digit).count().max(1);
    let (found, expected) = (found.to_f64(), decimal(expected).to_f64());
    (found - expected).abs() <= expected.abs() * 10_f64.powi(1 - i32::try_from(digits).unwrap()) + f64::MIN_POSITIVE
}

#[test]
fn conversion() {
    for (value, from, to, expected) in [
        ("1", "[lb_av]", "g", "453.59237"),
        ("1", "[gal_us]", "L", "3.785411784"),
        ("100", "mg/dL", "g/L", "1"),
        ("5", "U", "umol/min", "5"),
        ("120", "mm[Hg]", "kPa", "15.99864"),
        ("37", "Cel", "[degF]", "98.6"),
        ("98.6", "[degF]", "Cel", "37"),
        ("0", "Cel", "K", "273.15"),
        ("80", "[degRe]", "Cel", "100"),
        ("2500", "mCel", "Cel", "2.5"),
        ("7.4", "[pH]", "nmol/l", "39.8107170553"),
        ("20", "dB", "1", "100"),
        ("1", "Np", "B", "0.434294481903"),
        ("3", "bit_s", "1", "8"),
        ("6", "B[V]", "V", "1000"),
        ("100", "%[slope]", "deg", "45"),
        ("3", "[hp'_C]", "1", "0.000001"),
        ("9", "[m/s2/Hz^(1/2)]", "m2/s4/Hz", "81"),
        ("5", "[iU]/mL", "[IU]/L", "5000"),
        ("1", "KiBy", "bit", "8192"),
        ("1", "[acr_us]", "m2", "4046.872609874252"),
    ] {
        let found = convert(decimal(value), from, to);
        assert!(found.is_some_and(|found| agrees(found, expected)), "{value} {from} in {to}: {found:?}");
    }
    for (from, to) in
        [("m", "s"), ("[iU]", "[arb'U]"), ("[iU]", "1"), ("Cel.m", "K.m"), ("Cel2", "K2"), ("m99", "m99"), ("1/0", "1"), ("dB[V]", "W")]
    {
        assert_eq!(convert(decimal("1"), from, to), None, "{from} in {to}");
    }
}

/// The official functional tests are not here; these cases are of our own, from the specification.
#[test]
fn own_cases_from_the_specification() {
    let rows = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ucum/conversions.tsv")).lines();
    let mut wrong = Vec::new();
    for row in rows.filter(|row| !row.starts_with('#')) {
        let [value, from, expected, to] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        for (value, from, expected, to) in [(value, from, expected, to), (expected, to, value, from)] {
            let found = convert(decimal(value), from, to);
            wrong.extend((!found.is_some_and(|found| agrees(found, expected))).then(|| format!("{value} {from} in {to}: {found:?}")));
        }
    }
    let refused = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ucum/invalid.txt")).lines();
    wrong.extend(refused.filter(|code| check(code).is_ok()).map(|code| format!("{code} is taken for a unit")));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn canonical_units() {
    for (code, value, unit) in [
        ("N", "1000", "m.s-2.g"),
        ("[g]", "9.80665", "m.s-2"),
        ("%", "0.01", "1"),
        ("{beats}/min", "0.0166666666666666667", "s-1"),
        ("kg", "1000", "g"),
    ] {
        let (found, name) = canonical(code).unwrap();
        assert_eq!((found.normalised(), name.as_str()), (decimal(value).normalised(), unit), "{code}");
    }
    assert_eq!(canonical("Cel"), None);
    assert_eq!(canonical("[iU]"), None);
}

/// Attribute values of the elements of a name, in a flat XML file.
fn rows(text: &str, element: &str, attributes: &[&str]) -> Vec<Vec<String>> {
    let value = |tag: &str, name: &str| {
        let rest = tag.split_once(&format!(" {name}=\""))?.1;
        let raw = rest.split_once('"')?.0;
        Some(raw.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&"))
    };
    let opening = format!("<{element} ");
    let tags = text.split(&opening).skip(1).map(|rest| format!(" {}", rest.split('>').next().unwrap_or_default()));
    tags.map(|tag| attributes.iter().map(|name| value(&tag, name).unwrap_or_default()).collect()).collect()
}

fn official(file: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/suites/ucum").join(file);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        println!("skipped: {} is not here", path.display());
    }
    text
}

#[test]
fn every_official_unit_is_known() {
    let Some(text) = official("ucum-essence.xml") else { return };
    for row in rows(&text, "unit", &["Code"]).iter().chain(&rows(&text, "base-unit", &["Code"])) {
        assert!(row.iter().all(|code| check(code).is_ok()), "{row:?}");
    }
    for row in rows(&text, "value", &["Unit"]).iter().filter(|row| !row.concat().is_empty()) {
        // Definitions of special units name their function in the same attribute.
        assert!(row.iter().all(|unit| unit.contains('(') || check(unit).is_ok()), "{row:?}");
    }
}

#[test]
fn official_functional_tests() {
    let Some(text) = official("UcumFunctionalTests.xml") else { return };
    let mut wrong = Vec::new();
    let validation = rows(text.split("</validation>").next().unwrap_or_default(), "case", &["unit", "valid"]);
    for row in &validation {
        let [unit, valid] = &row[..] else { continue };
        // The suite takes no unit for the unit one; a code in FHIR is never empty.
        let found = unit.is_empty() || check(unit).is_ok();
        wrong.extend((found != (valid == "true")).then(|| format!("{unit} {valid}")));
    }
    let conversion = text.split("<conversion>").nth(1).and_then(|rest| rest.split("</conversion>").next()).unwrap_or_default();
    let conversion = rows(conversion, "case", &["value", "srcUnit", "dstUnit", "outcome"]);
    for row in &conversion {
        let [value, from, to, outcome] = &row[..] else { continue };
        let found = convert(decimal(value), from, to);
        wrong.extend((!found.is_some_and(|found| agrees(found, outcome))).then(|| format!("{value} {from} {to} {outcome}: {found:?}")));
    }
    let count = validation.len() + conversion.len();
    println!("{} of {count} right; wrong: {wrong:#?}", count - wrong.len());
    assert!(wrong.len() * 100 <= count, "{wrong:#?}");
}
