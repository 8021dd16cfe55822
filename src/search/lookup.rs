//! Where the candidates of a query are found.

use super::fold::cut;
use super::matching::{Filter, tolerance, widened};
use super::parameter::{Parameter, Source};
use super::term::{Form, bounds_of_span, lower_bound, unversioned, upper_bound};
use super::value::{Modifier, Prefix, Wanted, WantedNumber, WantedToken};
use crate::definitions::SearchKind;
use crate::fhir::temporal::Interval;

/// Slashes of a URI up to which `:above` looks its ancestors up; beyond, it scans.
const MAX_ANCESTORS: usize = 64;

/// How far the time the store notes may lie from the `meta.lastUpdated` it writes, which may have fewer digits.
const LAST_UPDATED_SLACK_MICROS: i64 = 1_000_000;

/// A condition on the index that everything that matches the query satisfies.
#[derive(Debug, Clone, PartialEq)]
pub enum Lookup {
    /// A term `Exact` with any of these keys.
    Exact(Vec<i64>),
    /// A term `Text` of this parameter that begins with any of these; the empty prefix asks only that there is one.
    Prefix { parameter: i64, prefixes: Vec<String> },
    /// A term `Range` of this parameter that has a point with `[low, high]` in common: `term.low <= high && term.high >= low`.
    Range { parameter: i64, low: f64, high: f64 },
    /// Any of these ids.
    Ids(Vec<String>),
    /// Last changed between these, both included: microseconds since 1970.
    LastUpdated { low: i64, high: i64 },
    /// The index does not help; every resource of the type is a candidate.
    Scan,
}

impl Lookup {
    /// How many keys, texts or ids it has.
    pub(super) fn len(&self) -> usize {
        match self {
            Lookup::Exact(keys) => keys.len(),
            Lookup::Prefix { prefixes, .. } => prefixes.len(),
            Lookup::Ids(ids) => ids.len(),
            Lookup::Range { .. } | Lookup::LastUpdated { .. } | Lookup::Scan => 0,
        }
    }
}

/// The lookups of one filter, all of which a match satisfies: one, or one for each part of a composite.
pub(super) fn lookups_of(filter: &Filter) -> Vec<Lookup> {
    let parameter = &filter.parameter;
    if !parameter.is_indexed || matches!(filter.modifier, Modifier::Not | Modifier::Missing) {
        return vec![Lookup::Scan];
    }
    match &parameter.source {
        Source::Id => vec![Lookup::Ids(filter.alternatives.iter().filter_map(id).collect())],
        Source::LastUpdated => {
            let (low, high) = hull_of_spans(filter.alternatives.iter());
            vec![Lookup::LastUpdated {
                low: low.saturating_sub(LAST_UPDATED_SLACK_MICROS),
                high: high.saturating_add(LAST_UPDATED_SLACK_MICROS),
            }]
        }
        Source::Elements(_) => vec![lookup(parameter, &filter.modifier, filter.alternatives.iter())],
        Source::Composite(composite) => {
            let indexed = composite.parts.iter().enumerate().filter(|(_, part)| part.is_indexed);
            let lookups: Vec<Lookup> = indexed
                .map(|(index, part)| {
                    let wanted = filter.alternatives.iter().filter_map(|alternative| match alternative {
                        Wanted::Parts(parts) => parts.get(index),
                        _ => None,
                    });
                    lookup(&part.parameter, &Modifier::None, wanted)
                })
                .collect();
            if lookups.is_empty() { vec![Lookup::Scan] } else { lookups }
        }
        Source::Unsupported => vec![Lookup::Scan],
    }
}

fn id(wanted: &Wanted) -> Option<String> {
    match wanted {
        Wanted::Id(id) => Some(id.clone()),
        _ => None,
    }
}

fn lookup<'w>(parameter: &Parameter, modifier: &Modifier, wanted: impl Iterator<Item = &'w Wanted> + Clone) -> Lookup {
    match (parameter.kind(), modifier) {
        (SearchKind::Token, Modifier::Text) | (SearchKind::Uri, Modifier::Below) => Lookup::Scan,
        (SearchKind::Token | SearchKind::Reference | SearchKind::Uri, _) => exact(parameter, modifier, wanted),
        (SearchKind::String, _) => {
            let prefixes = wanted.filter_map(|wanted| match wanted {
                Wanted::Text { folded, .. } if *modifier != Modifier::Contains => Some(cut(folded).to_owned()),
                Wanted::Text { .. } => Some(String::new()),
                _ => None,
            });
            Lookup::Prefix { parameter: parameter.number(), prefixes: prefixes.collect() }
        }
        (SearchKind::Date, _) => {
            let (low, high) = hull_of_spans(wanted);
            let (low, high) = bounds_of_span(Interval { low, high });
            Lookup::Range { parameter: parameter.number(), low, high }
        }
        (SearchKind::Number | SearchKind::Quantity, _) => {
            let hulls = wanted.filter_map(|wanted| match wanted {
                Wanted::Amount(prefix, number, _) => Some(hull_of_number(*prefix, number)),
                _ => None,
            });
            let (low, high) = hulls.fold((f64::MAX, f64::MIN), |(low, high), (from, to)| (low.min(from), high.max(to)));
            Lookup::Range { parameter: parameter.number(), low, high }
        }
        (SearchKind::Composite | SearchKind::Special, _) => Lookup::Scan,
    }
}

fn exact<'w>(parameter: &Parameter, modifier: &Modifier, wanted: impl Iterator<Item = &'w Wanted>) -> Lookup {
    let mut keys = Vec::new();
    for wanted in wanted {
        let is_found = match wanted {
            Wanted::Token(token) if *modifier == Modifier::Identifier => {
                token.code.as_deref().map(|value| keys.push(parameter.key(Form::Identifier, value))).is_some()
            }
            Wanted::Token(token) => push_token_keys(parameter, token, &mut keys),
            Wanted::TypedIdentifier { value, .. } => {
                keys.push(parameter.code_key(value, true));
                true
            }
            Wanted::Pointer { id, .. } | Wanted::Version { id, .. } => {
                keys.push(parameter.key(Form::Id, id));
                true
            }
            Wanted::Url(url) if *modifier == Modifier::Above => push_ancestor_keys(parameter, url, &mut keys),
            Wanted::Url(url) => {
                keys.push(parameter.key(Form::Url, unversioned(url)));
                true
            }
            _ => false,
        };
        if !is_found {
            return Lookup::Scan;
        }
    }
    keys.sort_unstable();
    keys.dedup();
    Lookup::Exact(keys)
}

/// Both keys a code may have: identifiers are kept as written, codes folded. A system alone is not indexed.
fn push_token_keys(parameter: &Parameter, token: &WantedToken, keys: &mut Vec<i64>) -> bool {
    let Some(code) = token.code.as_deref() else { return false };
    keys.push(parameter.code_key(code, true));
    keys.push(parameter.code_key(code, false));
    true
}

fn push_ancestor_keys(parameter: &Parameter, url: &str, keys: &mut Vec<i64>) -> bool {
    let slashes: Vec<usize> = url.match_indices('/').map(|(at, _)| at).take(MAX_ANCESTORS + 1).collect();
    if slashes.len() > MAX_ANCESTORS {
        return false;
    }
    let ancestors = slashes.iter().flat_map(|&at| [url.get(..at), url.get(..=at)]).flatten();
    keys.extend(ancestors.chain([url]).map(|ancestor| parameter.key(Form::Url, unversioned(ancestor))));
    true
}

/// The least range in which every alternative's matches have a point.
fn hull_of_spans<'w>(wanted: impl Iterator<Item = &'w Wanted>) -> (i64, i64) {
    let spans = wanted.filter_map(|wanted| match wanted {
        &Wanted::Span(prefix, span) => Some(match prefix {
            Prefix::Equal => (span.low, span.high),
            Prefix::NotEqual => (i64::MIN, i64::MAX),
            Prefix::Greater | Prefix::StartsAfter => (span.high, i64::MAX),
            Prefix::Less | Prefix::EndsBefore => (i64::MIN, span.low),
            Prefix::GreaterOrEqual => (span.low, i64::MAX),
            Prefix::LessOrEqual => (i64::MIN, span.high),
            Prefix::Approximately => (widened(span).low, widened(span).high),
        }),
        _ => None,
    });
    spans.fold((i64::MAX, i64::MIN), |(low, high), (from, to)| (low.min(from), high.max(to)))
}

fn hull_of_number(prefix: Prefix, number: &WantedNumber) -> (f64, f64) {
    let value = (lower_bound(Some(number.value)), upper_bound(Some(number.value)));
    match prefix {
        Prefix::Equal => (lower_bound(Some(number.low)), upper_bound(Some(number.high))),
        Prefix::NotEqual => (f64::MIN, f64::MAX),
        Prefix::Greater | Prefix::GreaterOrEqual | Prefix::StartsAfter => (value.0, f64::MAX),
        Prefix::Less | Prefix::LessOrEqual | Prefix::EndsBefore => (f64::MIN, value.1),
        Prefix::Approximately => {
            let (low, high) = tolerance(number);
            (lower_bound(Some(low)), upper_bound(Some(high)))
        }
    }
}
