//! The tables the rules read: facts as tab-separated files, indexed when first needed.

use crate::fhir::decimal::Decimal;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

type Table = HashMap<&'static str, &'static str>;

/// Lines of `key <tab> value`; `#` begins a comment line.
fn rows(file: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    file.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t'))
}

/// Code systems by OID, without `urn:oid:`.
pub(super) static CODING_OIDS: LazyLock<Table> = LazyLock::new(|| rows(include_str!("facts/coding-oids.tsv")).collect());

static CODING_ALIAS_ROWS: &str = include_str!("facts/coding-aliases.tsv");

/// URIs of code systems that need no thought.
pub(super) static CODING_SYSTEMS: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| CODING_OIDS.values().copied().chain(rows(CODING_ALIAS_ROWS).map(|(_, system)| system)).collect());

/// Code systems by [`folded`] name or URL.
pub(super) static CODING_ALIASES: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    let itself = CODING_SYSTEMS.iter().map(|&system| (folded(system), system));
    itself.chain(rows(CODING_ALIAS_ROWS).map(|(alias, system)| (alias.to_owned(), system))).collect()
});

/// Identifier systems by what senders write, in lower case.
pub(super) static IDENTIFIER_SYSTEMS: LazyLock<Table> = LazyLock::new(|| rows(include_str!("facts/identifier-systems.tsv")).collect());

/// Codes of v2 table 0078 that v3-ObservationInterpretation has too, and their displays there.
pub(super) static INTERPRETATIONS: LazyLock<Table> = LazyLock::new(|| rows(include_str!("facts/interpretations.tsv")).collect());

/// What two spellings of one URL have in common: lower case, no scheme, no `www.`, no trailing slash.
pub(super) fn folded(name: &str) -> String {
    let lower = name.trim().to_ascii_lowercase();
    let bare = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://")).unwrap_or(&lower);
    bare.strip_prefix("www.").unwrap_or(bare).trim_end_matches('/').to_owned()
}

/// UCUM codes by [`folded_unit`] spelling.
pub(super) static UNITS: LazyLock<Table> = LazyLock::new(|| rows(include_str!("facts/units.tsv")).collect());

/// UCUM codes that are right as they are.
pub(super) static UCUM_CODES: LazyLock<HashSet<&'static str>> = LazyLock::new(|| UNITS.values().copied().collect());

/// The parts of those codes between the divisions and products, without annotations.
pub(super) static UCUM_PARTS: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| UCUM_CODES.iter().filter(|code| !code.contains('{')).flat_map(|code| code.split(['/', '.'])).collect());

/// data-absent-reason codes by result text in lower case.
pub(super) static SENTINELS: LazyLock<Table> = LazyLock::new(|| rows(include_str!("facts/sentinels.tsv")).collect());

/// A test (LOINC code or name in lower case) and a UCUM unit.
type TestAndUnit = (&'static str, &'static str);

/// Lowest and highest plausible value.
pub(super) static PLAUSIBLE: LazyLock<HashMap<TestAndUnit, (Decimal, Decimal)>> = LazyLock::new(|| {
    rows(include_str!("facts/plausible.tsv"))
        .filter_map(|(test, rest)| {
            let mut columns = rest.split('\t');
            let (unit, low, high) = (columns.next()?, columns.next()?, columns.next()?);
            Some(((test, unit), (Decimal::parse(low)?, Decimal::parse(high)?)))
        })
        .collect()
});

/// What a profile or code demands of a resource that its content can give.
#[derive(Debug)]
pub(super) enum Fill {
    Category {
        system: &'static str,
        code: &'static str,
    },
    /// A value, or the reason why there is none.
    Result,
    /// A list of complex elements.
    Complex(&'static str),
    Primitive(&'static str),
}

/// By resource type: what demands (a profile, or `system|code`) and what is filled.
pub(super) static FILLS: LazyLock<HashMap<&'static str, Vec<(&'static str, Fill)>>> = LazyLock::new(|| {
    let mut fills: HashMap<&'static str, Vec<(&'static str, Fill)>> = HashMap::new();
    for (type_name, rest) in rows(include_str!("facts/profile-fills.tsv")) {
        let Some((demand, words)) = rest.split_once('\t') else { continue };
        fills.entry(type_name).or_default().extend(fill(words).map(|fill| (demand, fill)));
    }
    fills
});

fn fill(words: &'static str) -> Option<Fill> {
    let mut each = words.split(' ');
    Some(match each.next()? {
        "category" => Fill::Category { system: each.next()?, code: each.next()? },
        "result" => Fill::Result,
        "element" => Fill::Complex(each.next()?),
        "primitive" => Fill::Primitive(each.next()?),
        _ => return None,
    })
}

/// What the spellings of one unit have in common: lower case, no spaces, `u` for micro, digits for raised ones.
pub(super) fn folded_unit(spelling: &str) -> String {
    let fold = |c: char| match c {
        ' ' | '\u{A0}' => None,
        'µ' | 'μ' => Some('u'),
        '²' => Some('2'),
        '³' => Some('3'),
        other => Some(other.to_ascii_lowercase()),
    };
    spelling.chars().filter_map(fold).collect()
}
