//! Whether a resource meets one filter of a query: the full truth, decided on the document.

use super::fold::{folded, folded_code};
use super::parameter::{Composite, Parameter, Source};
use super::select::{Site, descend};
use super::target::{Amount, Pointer, Token};
use super::term::unversioned;
use super::value::{Modifier, Prefix, Wanted, WantedNumber, WantedSystem, WantedToken, WantedUnit};
use crate::definitions::SearchKind;
use crate::fhir::Node;
use crate::fhir::decimal::Decimal;
use crate::fhir::temporal::{DateTime, Interval};
use std::sync::Arc;

/// One parameter of a query: met when any of its alternatives is.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    pub parameter: Arc<Parameter>,
    pub modifier: Modifier,
    pub alternatives: Vec<Wanted>,
}

impl Filter {
    pub fn matches(&self, resource: &Node) -> bool {
        match &self.modifier {
            Modifier::Missing => self.alternatives.contains(&Wanted::Missing(!self.is_present(resource))),
            Modifier::Not => !self.is_met(resource),
            _ => self.is_met(resource),
        }
    }

    /// Whether it is met by something not being there.
    pub fn asks_for_absence(&self) -> bool {
        matches!(self.modifier, Modifier::Missing | Modifier::Not)
    }

    fn is_present(&self, resource: &Node) -> bool {
        match &self.parameter.source {
            Source::Id => resource.text("id").is_some(),
            Source::LastUpdated => last_updated(resource).is_some(),
            Source::Elements(_) => self.parameter.any(resource, |_| true),
            Source::Composite(composite) => any_root(composite, resource, |root, node| {
                root.parts.iter().all(|part| {
                    let mut is_present = false;
                    part.iter().for_each(|selector| selector.visit(node, resource, &mut |_| is_present = true));
                    is_present
                })
            }),
            Source::Unsupported => false,
        }
    }

    fn is_met(&self, resource: &Node) -> bool {
        match &self.parameter.source {
            Source::Id => self.alternatives.iter().any(|wanted| matches!(wanted, Wanted::Id(id) if resource.text("id") == Some(id))),
            Source::LastUpdated => last_updated(resource).is_some_and(|span| self.alternatives.iter().any(|wanted| has_span(wanted, span))),
            Source::Elements(_) => {
                self.parameter.any(resource, |site| any_holds(&self.parameter, &self.modifier, &self.alternatives, site))
            }
            Source::Composite(composite) => self.alternatives.iter().any(|wanted| composite_holds(composite, wanted, resource)),
            Source::Unsupported => false,
        }
    }
}

/// `meta.lastUpdated`, as far as it can be read.
pub(super) fn last_updated(resource: &Node) -> Option<Interval> {
    Some(DateTime::parse_partial(resource.text_at(&["meta", "lastUpdated"])?).ok()?.interval())
}

fn any_root<'a>(composite: &'a Composite, resource: &'a Node, mut test: impl FnMut(&'a super::parameter::Root, &'a Node) -> bool) -> bool {
    let mut is_met = false;
    for root in &composite.roots {
        descend(resource, &root.steps, resource, &mut |node| is_met = is_met || test(root, node));
    }
    is_met
}

fn composite_holds(composite: &Composite, wanted: &Wanted, resource: &Node) -> bool {
    let Wanted::Parts(parts) = wanted else { return false };
    any_root(composite, resource, |root, node| {
        root.parts.len() == parts.len()
            && root.parts.iter().zip(&composite.parts).zip(parts).all(|((selectors, part), wanted)| {
                let mut is_met = false;
                for selector in selectors {
                    let alternatives = std::slice::from_ref(wanted);
                    let mut test = |site| is_met = is_met || any_holds(&part.parameter, &Modifier::None, alternatives, site);
                    selector.visit(node, resource, &mut test);
                }
                is_met
            })
    })
}

/// Whether one value is what any of the alternatives asks for. Texts are folded once, not once for each alternative.
fn any_holds(parameter: &Parameter, modifier: &Modifier, alternatives: &[Wanted], site: Site<'_>) -> bool {
    match (parameter.kind(), modifier) {
        (SearchKind::Token, Modifier::Text) => any_text(alternatives, modifier, |visit| site.token_texts(visit)),
        (SearchKind::String, _) => any_text(alternatives, modifier, |visit| site.texts(visit)),
        _ => alternatives.iter().any(|wanted| holds(parameter, modifier, wanted, site)),
    }
}

fn holds(parameter: &Parameter, modifier: &Modifier, wanted: &Wanted, site: Site<'_>) -> bool {
    match (parameter.kind(), modifier) {
        (SearchKind::Token, _) => has_token(wanted, site),
        (SearchKind::Reference, Modifier::Identifier) => match wanted {
            Wanted::Token(wanted) => site.pointer_identifier().is_some_and(|token| token_is(wanted, &token)),
            _ => false,
        },
        (SearchKind::Reference, _) => has_pointer(parameter, wanted, site),
        (SearchKind::Uri, _) => site.uri().is_some_and(|uri| has_uri(modifier, wanted, uri, site.resource)),
        (SearchKind::Date, _) => site.span().is_some_and(|span| has_span(wanted, span)),
        (SearchKind::Number | SearchKind::Quantity, _) => site.amount().is_some_and(|amount| has_amount(wanted, &amount)),
        (SearchKind::String | SearchKind::Composite | SearchKind::Special, _) => false,
    }
}

fn any_text<'a>(alternatives: &[Wanted], modifier: &Modifier, texts: impl FnOnce(&mut dyn FnMut(&'a str))) -> bool {
    let mut is_met = false;
    texts(&mut |text| {
        if is_met {
            return;
        }
        let own = folded(text);
        is_met = alternatives.iter().any(|wanted| match (wanted, modifier) {
            (Wanted::Text { raw, .. }, Modifier::Exact) => text == raw,
            (Wanted::Text { folded, .. }, Modifier::Contains) => own.contains(folded),
            (Wanted::Text { folded, .. }, _) => own.starts_with(folded),
            _ => false,
        });
    });
    is_met
}

fn has_token(wanted: &Wanted, site: Site<'_>) -> bool {
    let mut is_met = false;
    match wanted {
        Wanted::Token(wanted) => site.tokens(&mut |token| is_met = is_met || token_is(wanted, &token)),
        Wanted::TypedIdentifier { kind, value } => {
            let codings = site.node.get("type").map(|kind| kind.items("coding")).unwrap_or_default();
            is_met = site.node.text("value") == Some(value)
                && codings.iter().any(|coding| {
                    let (system, code) = (coding.text("system"), coding.text("code"));
                    token_is(kind, &Token { system, implied: &[], code, is_case_sensitive: false })
                });
        }
        _ => {}
    }
    is_met
}

fn token_is(wanted: &WantedToken, token: &Token<'_>) -> bool {
    let is_system = match &wanted.system {
        WantedSystem::Any => true,
        WantedSystem::Absent => token.system.is_none(),
        WantedSystem::Is(system) => token.system == Some(system) || token.implied.iter().any(|implied| implied == system),
    };
    let is_code = match (&wanted.code, token.code) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wanted), Some(code)) if token.is_case_sensitive => wanted == code,
        (Some(_), Some(code)) => wanted.folded.as_deref() == Some(&folded_code(code)),
    };
    is_system && is_code
}

fn has_pointer(parameter: &Parameter, wanted: &Wanted, site: Site<'_>) -> bool {
    let mut is_met = false;
    site.pointers(&mut |pointer| {
        is_met = is_met
            || match (wanted, pointer) {
                (Wanted::Pointer { type_name: Some(wanted), id: wanted_id }, Pointer::Relative { type_name, id, .. }) => {
                    wanted == type_name && wanted_id == id
                }
                (Wanted::Pointer { type_name: None, id: wanted_id }, Pointer::Relative { type_name, id, .. }) => {
                    wanted_id == id && (parameter.targets.is_empty() || parameter.targets.iter().any(|target| target == type_name))
                }
                (
                    Wanted::Version { type_name: wanted, id: wanted_id, version: wanted_version },
                    Pointer::Relative { type_name, id, version },
                ) => wanted == type_name && wanted_id == id && version == Some(wanted_version.as_str()),
                (Wanted::Url(wanted), Pointer::Absolute(url)) => wanted == url || wanted == unversioned(url),
                _ => false,
            };
    });
    is_met
}

fn has_uri(modifier: &Modifier, wanted: &Wanted, uri: &str, resource: &Node) -> bool {
    let Wanted::Url(wanted) = wanted else { return false };
    match modifier {
        Modifier::Below => is_under(uri, wanted),
        Modifier::Above => is_under(wanted, uri),
        _ => {
            let is_version_of_this = || {
                let (url, version) = wanted.split_once('|')?;
                Some(url == uri && resource.text("version") == Some(version))
            };
            wanted == uri || wanted == unversioned(uri) || is_version_of_this().unwrap_or(false)
        }
    }
}

/// Whether a URI is the other or lies below it by its slashes.
fn is_under(uri: &str, base: &str) -> bool {
    uri.strip_prefix(base).is_some_and(|rest| rest.is_empty() || base.ends_with('/') || rest.starts_with('/'))
}

/// The comparison of two ranges that a prefix asks for, in the words of FHIR R4 §3.1.1.4.5. `wanted` is half-open, `[low, high)`.
fn has_span(wanted: &Wanted, span: Interval) -> bool {
    let &Wanted::Span(prefix, wanted) = wanted else { return false };
    let is_within = wanted.low <= span.low && span.high <= wanted.high;
    match prefix {
        Prefix::Equal => is_within,
        Prefix::NotEqual => !is_within,
        Prefix::Greater => span.high > wanted.high,
        Prefix::Less => span.low < wanted.low,
        Prefix::GreaterOrEqual => is_within || span.high > wanted.high,
        Prefix::LessOrEqual => is_within || span.low < wanted.low,
        Prefix::StartsAfter => span.low >= wanted.high,
        Prefix::EndsBefore => span.high <= wanted.low,
        Prefix::Approximately => {
            let near = widened(wanted);
            near.low < span.high && span.low < near.high
        }
    }
}

/// Twice the date's own length is added, half on each side: without a clock there is no "10% of the gap to now".
pub(super) fn widened(wanted: Interval) -> Interval {
    let length = wanted.high.saturating_sub(wanted.low);
    Interval { low: wanted.low.saturating_sub(length), high: wanted.high.saturating_add(length) }
}

fn has_amount(wanted: &Wanted, amount: &Amount<'_>) -> bool {
    let Wanted::Amount(prefix, number, unit) = wanted else { return false };
    unit.as_ref().is_none_or(|unit| is_unit(unit, amount)) && compares(*prefix, number, amount)
}

fn is_unit(wanted: &WantedUnit, amount: &Amount<'_>) -> bool {
    match &wanted.system {
        Some(system) => amount.system == Some(system) && amount.code == Some(&wanted.code),
        None => amount.code == Some(&wanted.code) || amount.unit == Some(&wanted.code),
    }
}

/// Prefixes other than eq, ne and ap take the number as exact.
fn compares(prefix: Prefix, number: &WantedNumber, amount: &Amount<'_>) -> bool {
    let above = |bound: Option<Decimal>, test: fn(Decimal, Decimal) -> bool| bound.is_none_or(|bound| test(bound, number.value));
    let is_within = amount.low.is_some_and(|low| low >= number.low) && amount.high.is_some_and(|high| high < number.high);
    match prefix {
        Prefix::Equal => is_within,
        Prefix::NotEqual => !is_within,
        Prefix::Greater => above(amount.high, |high, value| high > value),
        Prefix::GreaterOrEqual => above(amount.high, |high, value| high >= value),
        Prefix::Less => above(amount.low, |low, value| low < value),
        Prefix::LessOrEqual => above(amount.low, |low, value| low <= value),
        Prefix::StartsAfter => amount.low.is_some_and(|low| low > number.value),
        Prefix::EndsBefore => amount.high.is_some_and(|high| high < number.value),
        Prefix::Approximately => {
            let (low, high) = tolerance(number);
            amount.low.is_none_or(|bound| bound <= high) && amount.high.is_none_or(|bound| bound >= low)
        }
    }
}

/// A tenth to either side, and never less than what the digits allow.
pub(super) fn tolerance(number: &WantedNumber) -> (Decimal, Decimal) {
    let tenth = Decimal::new(1, 1).and_then(|tenth| tenth.checked_mul(number.value.abs())).unwrap_or(Decimal::ZERO);
    let low = number.value.checked_sub(tenth).unwrap_or(number.low);
    let high = number.value.checked_add(tenth).unwrap_or(number.high);
    (low.min(number.low), high.max(number.high))
}
