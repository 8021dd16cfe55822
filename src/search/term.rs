//! What a resource is found by.
//!
//! One row is kept for each thing a query can name: a token by its code, a reference by its id. System and type are left to matching,
//! because they hardly narrow what the code leaves, and each further form would cost a row in every write.

use super::fold::{cut, folded, folded_code};
use super::parameter::{Parameter, Source, parameter, parameters_of};
use super::select::Site;
use super::target::{Amount, Pointer, Token};
use crate::definitions::{Definitions, SearchKind};
use crate::fhir::Node;
use crate::fhir::decimal::Decimal;
use crate::fhir::temporal::Interval;
use serde::{Deserialize, Serialize};

/// One entry of the search index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Term {
    /// A code, reference or URI of one parameter, as a stable hash; two that collide are told apart by matching.
    Exact { key: i64 },
    /// Folded text of a string parameter, for prefixes; at most [`MAX_TEXT_BYTES`](super::MAX_TEXT_BYTES).
    Text { parameter: i64, value: String },
    /// Microseconds since 1970, or numbers. Both bounds are finite, belong to the range, and enclose the exact value.
    Range { parameter: i64, low: f64, high: f64 },
}

/// The forms in which one parameter's exact keys are told apart.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Code = 1,
    Id = 2,
    Url = 3,
    Identifier = 4,
}

/// The parameter by which business identifiers are sought.
const IDENTIFIER: &str = "identifier";
/// The part of a key that tells parameters apart; those that collide are told apart by matching.
const PARAMETER_BITS: i64 = (1 << 20) - 1;
const FNV_OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01B3;

fn mixed(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |state, &byte| (state ^ u64::from(byte)).wrapping_mul(FNV_PRIME))
}

/// FNV-1a spreads its last bytes poorly; two rounds of multiply and shift put that right.
fn finished(state: u64) -> i64 {
    let once = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let twice = (once ^ (once >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (twice ^ (twice >> 31)).cast_signed()
}

/// Where every key of a parameter begins.
pub(super) fn seed(type_name: &str, code: &str) -> u64 {
    mixed(mixed(mixed(FNV_OFFSET, type_name.as_bytes()), &[0]), code.as_bytes())
}

impl Parameter {
    /// The number under which texts and ranges of this parameter are kept.
    pub(super) fn number(&self) -> i64 {
        finished(self.seed)
    }

    /// The value gives the high bits and the parameter the low ones, so that all that is indexed under one value (a patient's id under every
    /// parameter of every type) lies together in the store's tree, and a write touches few of its pages.
    pub(super) fn key(&self, form: Form, text: &str) -> i64 {
        let value = finished(mixed(FNV_OFFSET, text.as_bytes()));
        let parameter = finished(mixed(self.seed, &[0, form as u8]));
        (value & !PARAMETER_BITS) | (parameter & PARAMETER_BITS)
    }

    pub(super) fn code_key(&self, code: &str, is_case_sensitive: bool) -> i64 {
        if is_case_sensitive { self.key(Form::Code, code) } else { self.key(Form::Code, &folded_code(code)) }
    }
}

/// The key under which a reference to a resource with this id is indexed by one parameter; `None` when the type has no such parameter.
pub fn reference_key(definitions: &'static Definitions, type_name: &str, code: &str, id: &str) -> Option<i64> {
    parameters_of(definitions, type_name).iter().find(|parameter| parameter.code() == code).map(|parameter| parameter.key(Form::Id, id))
}

/// The lowest and the highest key under which a reference to a resource with this id may be indexed, by any parameter of any type. Other values
/// may have keys between them.
pub fn reference_keys(id: &str) -> (i64, i64) {
    let value = finished(mixed(FNV_OFFSET, id.as_bytes()));
    (value & !PARAMETER_BITS, value | PARAMETER_BITS)
}

/// The lowest and the highest keys under which this value may be indexed as a code or an identifier, in either case, by any parameter of any type.
/// Other values may have keys between them.
pub fn value_keys(value: &str) -> Vec<(i64, i64)> {
    let folded = folded_code(value);
    let forms = [value, &folded];
    forms.into_iter().take(if folded == value { 1 } else { 2 }).map(reference_keys).collect()
}

/// The index terms of a resource, each once; none for a document without a known `resourceType`.
/// `_id` and `_lastUpdated` have none: the store knows both.
pub fn terms(definitions: &'static Definitions, resource: &Node) -> Vec<Term> {
    let Some(type_name) = resource.resource_type() else { return Vec::new() };
    let mut collector = Collector::default();
    for parameter in parameters_of(definitions, type_name).iter().filter(|parameter| parameter.is_indexed) {
        if let Source::Elements(_) = parameter.source {
            parameter.visit(resource, &mut |site| collector.site(parameter, site));
        }
    }
    collector.finish()
}

/// The keys under which a resource is indexed by its business identifiers; none where its type has none.
pub fn identifier_keys(definitions: &'static Definitions, resource: &Node) -> Vec<i64> {
    let Some(parameter) = resource.resource_type().and_then(|type_name| parameter(definitions, type_name, IDENTIFIER)) else {
        return Vec::new();
    };
    let mut collector = Collector::default();
    if parameter.kind() == SearchKind::Token && matches!(parameter.source, Source::Elements(_)) {
        parameter.visit(resource, &mut |site| collector.site(parameter, site));
    }
    collector.keys
}

#[derive(Default)]
struct Collector {
    keys: Vec<i64>,
    texts: Vec<(i64, String)>,
    ranges: Vec<(i64, f64, f64)>,
}

impl Collector {
    fn site(&mut self, parameter: &Parameter, site: Site<'_>) {
        match parameter.kind() {
            SearchKind::Token => site.tokens(&mut |token| self.token(parameter, token)),
            SearchKind::String => site.texts(&mut |text| self.text(parameter, text)),
            SearchKind::Reference => self.reference(parameter, site),
            SearchKind::Uri => self.keys.extend(site.uri().map(|uri| parameter.key(Form::Url, unversioned(uri)))),
            SearchKind::Date => self.range(parameter, site.span().map(bounds_of_span)),
            SearchKind::Number | SearchKind::Quantity => self.range(parameter, site.amount().map(|amount| bounds_of_amount(&amount))),
            SearchKind::Composite | SearchKind::Special => {}
        }
    }

    fn token(&mut self, parameter: &Parameter, token: Token<'_>) {
        self.keys.extend(token.code.map(|code| parameter.code_key(code, token.is_case_sensitive)));
    }

    fn text(&mut self, parameter: &Parameter, text: &str) {
        let folded = folded(text);
        self.texts.push((parameter.number(), cut(&folded).to_owned()));
    }

    fn range(&mut self, parameter: &Parameter, bounds: Option<(f64, f64)>) {
        self.ranges.extend(bounds.map(|(low, high)| (parameter.number(), low, high)));
    }

    fn reference(&mut self, parameter: &Parameter, site: Site<'_>) {
        site.pointers(&mut |pointer| {
            self.keys.push(match pointer {
                Pointer::Relative { id, .. } => parameter.key(Form::Id, id),
                Pointer::Absolute(url) => parameter.key(Form::Url, unversioned(url)),
            });
        });
        let identifier = site.pointer_identifier().and_then(|token| token.code);
        self.keys.extend(identifier.map(|value| parameter.key(Form::Identifier, value)));
    }

    fn finish(mut self) -> Vec<Term> {
        self.keys.sort_unstable();
        self.keys.dedup();
        self.texts.sort_unstable();
        self.texts.dedup();
        self.ranges.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2)));
        self.ranges.dedup();
        let keys = self.keys.into_iter().map(|key| Term::Exact { key });
        let texts = self.texts.into_iter().map(|(parameter, value)| Term::Text { parameter, value });
        let ranges = self.ranges.into_iter().map(|(parameter, low, high)| Term::Range { parameter, low, high });
        keys.chain(texts).chain(ranges).collect()
    }
}

/// A canonical without its `|version`.
pub(super) fn unversioned(url: &str) -> &str {
    url.split_once('|').map_or(url, |(url, _)| url)
}

/// Bounds that enclose a span, the ends of the number line where it is open.
/// Past the year 2255 microseconds need more digits than a float has, hence the steps outward.
#[expect(clippy::cast_precision_loss, reason = "the bounds are widened by one step, which is more than the loss")]
pub(super) fn bounds_of_span(span: Interval) -> (f64, f64) {
    let low = if span.low == i64::MIN { f64::MIN } else { (span.low as f64).next_down() };
    let high = if span.high == i64::MAX { f64::MAX } else { (span.high as f64).next_up() };
    (low, high)
}

/// Bounds that enclose an amount.
pub(super) fn bounds_of_amount(amount: &Amount<'_>) -> (f64, f64) {
    (lower_bound(amount.low), upper_bound(amount.high))
}

/// A finite float not above the number.
pub(super) fn lower_bound(number: Option<Decimal>) -> f64 {
    number.map_or(f64::MIN, |number| number.to_f64().next_down().clamp(f64::MIN, f64::MAX))
}

/// A finite float not below the number.
pub(super) fn upper_bound(number: Option<Decimal>) -> f64 {
    number.map_or(f64::MAX, |number| number.to_f64().next_up().clamp(f64::MIN, f64::MAX))
}
