//! Which of two versions of a definition is the newer one (<https://hl7.org/fhir/R4/references.html#canonical>).

use std::cmp::Ordering;

/// How two versions follow each other. `None` when that cannot be said: one is a date and the other a number, or there is none.
pub fn compare(one: &str, other: &str) -> Option<Ordering> {
    if one.is_empty() || other.is_empty() || is_date(one) != is_date(other) {
        return None;
    }
    Some(in_order(one, other))
}

/// An order of all versions; dates follow numbers, and none at all comes first.
pub fn in_order(one: &str, other: &str) -> Ordering {
    let (one_core, one_label) = parts(one);
    let (other_core, other_label) = parts(other);
    let by_label = match (one_label, other_label) {
        // What is labelled comes before what it leads up to (Semantic Versioning 2.0.0, §11).
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (one, other) => by_steps(one.unwrap_or_default(), other.unwrap_or_default()),
    };
    is_date(one).cmp(&is_date(other)).then_with(|| by_steps(one_core, other_core)).then(by_label)
}

/// Whether a version is the one that is asked for: `4.0` is every `4.0.x`.
pub fn fits(asked: &str, version: &str) -> bool {
    version.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// `2018`, `2018-08-12`, `20180812`.
fn is_date(version: &str) -> bool {
    let digits = version.bytes().take_while(u8::is_ascii_digit).count();
    digits == 8 && version.len() == 8 || digits == 4 && version.as_bytes().get(4).is_none_or(|byte| *byte == b'-')
}

/// The numbers, and the label behind them. A date has none.
fn parts(version: &str) -> (&str, Option<&str>) {
    let version = version.split('+').next().unwrap_or(version);
    match version.split_once('-').filter(|_| !is_date(version)) {
        Some((core, label)) => (core, Some(label)),
        None => (version, None),
    }
}

/// Step by step: numbers by their value, before anything else; what ends first comes first.
fn by_steps(one: &str, other: &str) -> Ordering {
    let (mut ones, mut others) = (one.split(['.', '-']), other.split(['.', '-']));
    loop {
        let order = match (ones.next(), others.next()) {
            (None, None) => return Ordering::Equal,
            (Some(one), Some(other)) => match (one.parse::<u64>(), other.parse::<u64>()) {
                (Ok(one), Ok(other)) => one.cmp(&other),
                (one_number, other_number) => one_number.is_err().cmp(&other_number.is_err()).then_with(|| one.cmp(other)),
            },
            (one, other) => one.is_some().cmp(&other.is_some()),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest() {
        for (older, newer) in [
            ("1", "2"),
            ("9", "10"),
            ("2.9", "2.10"),
            ("1.0", "1.0.1"),
            ("4.0.1", "5.0.0"),
            ("5.0.0-ballot", "5.0.0"),
            ("5.0.0-ballot.2", "5.0.0-ballot.10"),
            ("5.0.0-alpha", "5.0.0-ballot"),
            ("2014-03-26", "2018-08-12"),
            ("20140326", "20180812"),
            ("a", "b"),
        ] {
            assert_eq!(compare(older, newer), Some(Ordering::Less), "{older} {newer}");
            assert_eq!(compare(newer, older), Some(Ordering::Greater), "{newer} {older}");
        }
        assert_eq!(compare("1.0.0+a", "1.0.0+b"), Some(Ordering::Equal));
        for (one, other) in [("", "1"), ("2018-08-12", "9.0.0"), ("2018", "3.1")] {
            assert_eq!((compare(one, other), compare(other, one)), (None, None), "{one} {other}");
        }
        assert!(fits("4.0", "4.0.1") && fits("4.0.1", "4.0.1") && !fits("4.0", "4.01") && !fits("4.0.1", "4.0"));
    }
}
