//! Criteria of conditional interactions: `If-None-Exist`, conditional update and delete, and their kind in Bundles.

use super::lookup::{Lookup, lookups_of};
use super::query::{Handling, Query};
use crate::definitions::Definitions;
use crate::outcome::{IssueType, Reason, Refusal};
use percent_encoding::percent_decode_str;

/// Bytes a criteria string may have.
const MAX_CRITERIA_BYTES: usize = 16_384;

impl Query {
    /// Reads criteria such as `identifier=http://example.org|1`, also with `?` or `Patient?` before them, percent-encoded as in a URL.
    ///
    /// Beyond what [`Query::parse`] refuses: criteria without a filter, criteria that narrow nothing down (only `:not`, `:missing` or `ne`),
    /// and parameters that shape a result (`_sort`, `_count`, `_summary` and their like), since there is none.
    pub fn criteria(definitions: &'static Definitions, type_name: &str, text: &str) -> Result<Query, Refusal> {
        if text.len() > MAX_CRITERIA_BYTES {
            return Err(refused(&format!("Criteria may have at most {MAX_CRITERIA_BYTES} bytes.")));
        }
        let text = text.strip_prefix(type_name).filter(|rest| rest.starts_with('?')).unwrap_or(text);
        let text = text.strip_prefix('?').unwrap_or(text);
        let pairs: Result<Vec<(String, String)>, Refusal> = text.split('&').filter(|pair| !pair.is_empty()).map(decoded_pair).collect();
        let pairs = pairs?;
        if let Some((name, _)) = pairs.iter().find(|(name, _)| shapes_result(name)) {
            return Err(refused(&format!("Criteria cannot have the parameter '{name}'.")).at(name.as_str()));
        }
        let query = Query::parse(definitions, type_name, &pairs, Handling::Strict)?;
        if !query.links().is_empty() || !query.includes().is_empty() {
            return Err(refused("Criteria are about one resource alone: they cannot be chained, and nothing comes along with them."));
        }
        if query.filters().iter().any(|filter| lookups_of(filter).iter().any(is_narrow)) {
            return Ok(query);
        }
        Err(refused("Criteria must name at least one value that a resource is to have, such as an identifier."))
    }
}

fn refused(text: &str) -> Refusal {
    Refusal::new(Reason::Malformed, IssueType::Value, text)
}

fn shapes_result(name: &str) -> bool {
    matches!(name, "_sort" | "_count" | "_total" | "_summary" | "_elements" | "_format" | "_pretty" | "_contained" | "_containedType")
}

fn decoded_pair(pair: &str) -> Result<(String, String), Refusal> {
    let decode = |part: &str| {
        let spaced = part.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8().map(std::borrow::Cow::into_owned)
    };
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    match (decode(name), decode(value)) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => Err(refused("Criteria must be UTF-8, percent-encoded.")),
    }
}

fn is_narrow(lookup: &Lookup) -> bool {
    match lookup {
        Lookup::Exact(_) | Lookup::Ids(_) => true,
        Lookup::Prefix { prefixes, .. } => prefixes.iter().all(|prefix| !prefix.is_empty()),
        Lookup::Range { low, high, .. } => *low > f64::MIN && *high < f64::MAX,
        Lookup::LastUpdated { .. } | Lookup::Scan => false,
    }
}
