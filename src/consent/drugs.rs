//! The National Drug Code, which is written in many ways: with the dashes of its labeller or without, with ten digits or with eleven, with its package or
//! for all of them.

use super::code::Code;
use crate::normalise::vocabulary::NDC;
use std::collections::BTreeSet;

/// How many digits labeller, product and package have where all are written.
const DIGITS: [usize; 3] = [5, 4, 2];
/// So many are those of labeller and product.
const PRODUCT_DIGITS: usize = 9;

/// Drugs that a rule states, with all their digits.
#[derive(Debug, Default)]
pub(super) struct Drugs(BTreeSet<String>);

impl Drugs {
    pub(super) fn of<'c>(stated: impl Iterator<Item = &'c Code>) -> Drugs {
        Drugs(stated.filter(|code| code.system == NDC).flat_map(|code| written_out(&code.code)).collect())
    }

    /// Whether a record's code may be one of them, a package of one, or the product of one.
    pub(super) fn may_mean(&self, own: &Code) -> bool {
        if self.0.is_empty() || own.system != NDC {
            return false;
        }
        written_out(&own.code).iter().any(|own| {
            let goes_on = self.0.range(own.clone()..).next().is_some_and(|stated| stated.starts_with(own.as_str()));
            goes_on || own.get(..PRODUCT_DIGITS).is_some_and(|product| self.0.contains(product))
        })
    }
}

/// A code with all its digits, in each way in which it may be meant: of ten digits without dashes it is not told which zero is left out.
fn written_out(code: &str) -> Vec<String> {
    let parts: Vec<&str> = code.trim().split('-').collect();
    if !parts.iter().all(|part| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit())) {
        return Vec::new();
    }
    match parts.as_slice() {
        [whole] if whole.len() == DIGITS.iter().sum::<usize>() => vec![(*whole).to_owned()],
        [whole] if whole.len() == 10 => [0, 5, 9]
            .into_iter()
            .filter_map(|place| whole.split_at_checked(place))
            .map(|(before, after)| format!("{before}0{after}"))
            .collect(),
        [_, _] | [_, _, _] if parts.iter().zip(DIGITS).all(|(part, digits)| part.len() <= digits) => {
            vec![parts.iter().zip(DIGITS).map(|(part, digits)| format!("{part:0>digits$}")).collect()]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::code::Code;
    use super::super::codes::Codes;

    #[test]
    fn a_drug_is_the_same_however_it_is_written() {
        const NDC: &str = "http://hl7.org/fhir/sid/ndc";
        for (stated, own, holds) in [
            ("12345-678-90", "12345-0678-90", true),
            ("12345-678-90", "12345067890", true),
            ("12345-678-90", "1234567890", true),
            ("12345067890", "12345-678-90", true),
            ("1234567890", "01234-5678-90", true),
            ("1234567890", "12345-6789-0", true),
            ("12345-678", "12345067890", true),
            ("12345-678-90", "12345-678", true),
            ("12345-678-90", "12345-678-91", false),
            ("12345-678-90", "55555-0678-90", false),
            ("12345-678", "12345-679-90", false),
            ("12345-678-90", "12345-678-90-1", false),
        ] {
            let meant: Codes = std::iter::once(Code::new(NDC, stated)).collect();
            assert_eq!(meant.may_mean(&Code::new(NDC, own)), holds, "{stated} {own}");
            assert!(!meant.may_mean(&Code::new("http://snomed.info/sct", "12345067890")), "{stated}");
        }
    }
}
