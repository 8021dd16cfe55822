//! `_sort` (FHIR R4 §3.1.1.5).

use super::MAX_SORT_KEYS;
use super::fold::{folded, folded_code};
use super::matching::last_updated;
use super::parameter::{Parameter, Source, parameter};
use super::query::malformed;
use super::target::Pointer;
use crate::definitions::{Definitions, SearchKind};
use crate::fhir::Node;
use crate::fhir::decimal::Decimal;
use crate::outcome::{IssueType, Reason, Refusal};
use std::cmp::Ordering;
use std::sync::Arc;

#[derive(Debug, Clone)]
pub(super) struct SortKey {
    parameter: Arc<Parameter>,
    is_descending: bool,
}

/// What one resource is ordered by under one key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Number(Decimal),
    Instant(i64),
    Text(String),
}

/// Reads `-date,status`: the least value of a resource counts, or with a minus sign the greatest.
pub(super) fn parse(definitions: &'static Definitions, type_name: &str, value: &str) -> Result<Vec<SortKey>, Refusal> {
    let names: Vec<&str> = value.split(',').collect();
    if names.len() > MAX_SORT_KEYS {
        return Err(malformed("_sort", &format!("may have at most {MAX_SORT_KEYS} keys")));
    }
    names.into_iter().map(|name| key(definitions, type_name, name)).collect()
}

fn key(definitions: &'static Definitions, type_name: &str, name: &str) -> Result<SortKey, Refusal> {
    let (code, is_descending) = name.strip_prefix('-').map_or((name, false), |code| (code, true));
    let parameter = parameter(definitions, type_name, code).ok_or_else(|| malformed("_sort", "names a parameter that is not known"))?;
    if !parameter.is_supported() || matches!(parameter.kind(), SearchKind::Composite | SearchKind::Special) {
        let text = "Sorting by this kind of parameter is not supported by this server.";
        return Err(Refusal::new(Reason::NotSupported, IssueType::NotSupported, text).at("_sort"));
    }
    Ok(SortKey { parameter: Arc::clone(parameter), is_descending })
}

pub(super) fn compare(keys: &[SortKey], a: &Node, b: &Node) -> Ordering {
    let each = keys.iter().map(|key| compare_ranks(key, &key.rank(a), &key.rank(b)));
    each.fold(Ordering::Equal, Ordering::then).then_with(|| compare_ids(a, b))
}

pub(super) fn sorted(keys: &[SortKey], resources: Vec<Node>) -> Vec<Node> {
    let mut ranked: Vec<(Vec<Option<Rank>>, Node)> =
        resources.into_iter().map(|resource| (keys.iter().map(|key| key.rank(&resource)).collect(), resource)).collect();
    ranked.sort_by(|(ranks_a, a), (ranks_b, b)| {
        let each = keys.iter().zip(ranks_a).zip(ranks_b).map(|((key, a), b)| compare_ranks(key, a, b));
        each.fold(Ordering::Equal, Ordering::then).then_with(|| compare_ids(a, b))
    });
    ranked.into_iter().map(|(_, resource)| resource).collect()
}

fn compare_ids(a: &Node, b: &Node) -> Ordering {
    (a.text("id"), a.resource_type()).cmp(&(b.text("id"), b.resource_type()))
}

fn compare_ranks(key: &SortKey, a: &Option<Rank>, b: &Option<Rank>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if key.is_descending => b.cmp(a),
        (Some(a), Some(b)) => a.cmp(b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

impl SortKey {
    fn rank(&self, resource: &Node) -> Option<Rank> {
        match &self.parameter.source {
            Source::Id => return resource.text("id").map(|id| Rank::Text(id.to_owned())),
            Source::LastUpdated => return last_updated(resource).map(|span| Rank::Instant(span.low)),
            _ => {}
        }
        let mut best: Option<Rank> = None;
        self.each(resource, &mut |rank| {
            let is_better = best.as_ref().is_none_or(|best| if self.is_descending { rank > *best } else { rank < *best });
            if is_better {
                best = Some(rank);
            }
        });
        best
    }

    fn each(&self, resource: &Node, visit: &mut dyn FnMut(Rank)) {
        self.parameter.visit(resource, &mut |site| match self.parameter.kind() {
            SearchKind::Token => site.tokens(&mut |token| {
                token.code.into_iter().for_each(|code| visit(Rank::Text(folded_code(code).into_owned())));
            }),
            SearchKind::String => site.texts(&mut |text| visit(Rank::Text(folded(text)))),
            SearchKind::Reference => site.pointers(&mut |pointer| {
                visit(Rank::Text(match pointer {
                    Pointer::Relative { type_name, id, .. } => format!("{type_name}/{id}"),
                    Pointer::Absolute(url) => url.to_owned(),
                }));
            }),
            SearchKind::Uri => site.uri().into_iter().for_each(|uri| visit(Rank::Text(uri.to_owned()))),
            SearchKind::Date => site.span().into_iter().for_each(|span| visit(Rank::Instant(span.low))),
            SearchKind::Number | SearchKind::Quantity => {
                let amount = site.amount().and_then(|amount| amount.low.or(amount.high));
                amount.into_iter().for_each(|number| visit(Rank::Number(number)));
            }
            SearchKind::Composite | SearchKind::Special => {}
        });
    }
}
