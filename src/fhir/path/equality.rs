//! Equality (`=`), equivalence (`~`), and a hash that agrees with equality, so that sets of items take linear time.

use super::item::{Item, System, TreeItem};
use super::quantity::{Quantity, equivalent_decimals};
use crate::fhir::decimal::Decimal;
use crate::fhir::node::{Node, Object, Value};
use crate::fhir::temporal::{DateTime, Time};
use crate::fhir::types::TypeTable;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// Up to this many items a scan is faster than a hash.
const SCAN_ITEMS: usize = 8;

/// FHIRPath's `=` of two items; `None` where precision or units leave it open.
pub(super) fn equal(types: &TypeTable, a: &Item<'_>, b: &Item<'_>) -> Option<bool> {
    if let (Item::Tree(a), Item::Tree(b)) = (a, b)
        && let (Some(a), Some(b)) = (a.node, b.node)
        && std::ptr::eq(a, b)
    {
        return Some(true);
    }
    match (a.system(types), b.system(types)) {
        (Some(a), Some(b)) => equal_systems(&a, &b),
        (None, None) => Some(equal_trees(a, b)),
        _ => Some(false),
    }
}

/// FHIRPath's `=` of two collections; `None` when either is empty.
pub(super) fn equal_collections(types: &TypeTable, a: &[Item<'_>], b: &[Item<'_>]) -> Option<bool> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    if a.len() != b.len() {
        return Some(false);
    }
    let mut open = false;
    for (a, b) in a.iter().zip(b) {
        match equal(types, a, b) {
            Some(true) => {}
            Some(false) => return Some(false),
            None => open = true,
        }
    }
    (!open).then_some(true)
}

pub(super) fn equal_systems(a: &System<'_>, b: &System<'_>) -> Option<bool> {
    if let (Some(a), Some(b)) = (as_decimal(a), as_decimal(b)) {
        return Some(a == b);
    }
    match (a, b) {
        (System::Boolean(a), System::Boolean(b)) => Some(a == b),
        (System::String(a), System::String(b)) => Some(a == b),
        (System::Time(a), System::Time(b)) => a.compare(*b).map(Ordering::is_eq),
        (System::Type(a), System::Type(b)) => Some(a == b),
        (System::Quantity(_), _) | (_, System::Quantity(_)) => match (as_quantity(a), as_quantity(b)) {
            (Some(a), Some(b)) => a.compare(&b).map(Ordering::is_eq),
            _ => Some(false),
        },
        (System::Date(_) | System::DateTime(_), System::Date(_) | System::DateTime(_)) => {
            as_date_time(a)?.compare(&as_date_time(b)?).map(Ordering::is_eq)
        }
        // A date may be compared with its text, which is how some published expressions write it.
        (System::String(text), date @ (System::Date(_) | System::DateTime(_) | System::Time(_)))
        | (date @ (System::Date(_) | System::DateTime(_) | System::Time(_)), System::String(text)) => Some(**text == date.to_string()),
        _ => Some(false),
    }
}

/// Items without a value of FHIRPath's own: complex elements, and primitives that have only extensions.
fn equal_trees(a: &Item<'_>, b: &Item<'_>) -> bool {
    match (a, b) {
        (Item::Tree(a), Item::Tree(b)) => match (a.object(), b.object()) {
            (Some(a), Some(b)) => equal_objects(a, b),
            _ => false,
        },
        _ => false,
    }
}

fn equal_objects(a: &Object, b: &Object) -> bool {
    a.len() == b.len() && a.members().iter().all(|member| b.get(&member.name).is_some_and(|other| equal_nodes(&member.node, other)))
}

/// Deep equality: the order of members does not count, decimals are compared by value.
fn equal_nodes(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Object(a), Value::Object(b)) => equal_objects(a, b),
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal_nodes(a, b)),
        (Value::Number(a), Value::Number(b)) => match (Decimal::parse(a), Decimal::parse(b)) {
            (Some(a), Some(b)) => a == b,
            _ => a == b,
        },
        (a, b) => a == b,
    }
}

pub(super) fn as_decimal(value: &System<'_>) -> Option<Decimal> {
    match value {
        System::Integer(value) => Some(Decimal::from(*value)),
        System::Decimal(value) => Some(*value),
        _ => None,
    }
}

pub(super) fn as_quantity(value: &System<'_>) -> Option<Quantity> {
    match value {
        System::Quantity(quantity) => Some((**quantity).clone()),
        number => as_decimal(number).map(Quantity::pure),
    }
}

pub(super) fn as_date_time(value: &System<'_>) -> Option<DateTime> {
    match value {
        System::Date(date) => Some(DateTime { date: *date, time: None, zone: None }),
        System::DateTime(value) => Some(*value),
        _ => None,
    }
}

/// FHIRPath's `~` of two items.
pub(super) fn equivalent(types: &TypeTable, a: &Item<'_>, b: &Item<'_>) -> bool {
    match (a.system(types), b.system(types)) {
        (Some(a), Some(b)) => equivalent_systems(&a, &b),
        (None, None) => equal_trees(a, b),
        _ => false,
    }
}

fn equivalent_systems(a: &System<'_>, b: &System<'_>) -> bool {
    if let (Some(a), Some(b)) = (as_decimal(a), as_decimal(b)) {
        return equivalent_decimals(a, b);
    }
    match (a, b) {
        (System::String(a), System::String(b)) => plain_letters(a).eq(plain_letters(b)),
        (System::Quantity(_), _) | (_, System::Quantity(_)) => {
            matches!((as_quantity(a), as_quantity(b)), (Some(a), Some(b)) if a.equivalent(&b))
        }
        _ => equal_systems(a, b) == Some(true),
    }
}

/// The text in lower case with every run of white space as one space.
fn plain_letters(text: &str) -> impl Iterator<Item = char> {
    let words = text.split_whitespace().enumerate();
    words.flat_map(|(index, word)| (index > 0).then_some(' ').into_iter().chain(word.chars())).flat_map(char::to_lowercase)
}

/// FHIRPath's `~` of two collections: the same items in any order.
pub(super) fn equivalent_collections(types: &TypeTable, a: &[Item<'_>], b: &[Item<'_>]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut free: Vec<&Item<'_>> = b.iter().collect();
    a.iter().all(|item| match free.iter().position(|other| equivalent(types, item, other)) {
        Some(index) => {
            free.swap_remove(index);
            true
        }
        None => false,
    })
}

/// A growing set of items under equality. It remembers positions, not items, so that nothing is copied.
pub(super) struct ItemSet {
    /// Hash to positions in the caller's list.
    buckets: HashMap<u64, Vec<usize>>,
    hashed: usize,
}

impl ItemSet {
    pub fn new() -> ItemSet {
        ItemSet { buckets: HashMap::new(), hashed: 0 }
    }

    /// Whether `items` has one equal to `item`. The list may only have grown since the last question.
    pub fn contains<'d>(&mut self, types: &TypeTable, items: &[Item<'d>], item: &Item<'d>) -> bool {
        if items.len() <= SCAN_ITEMS {
            return items.iter().any(|other| equal(types, item, other) == Some(true));
        }
        for (position, added) in items.iter().enumerate().skip(self.hashed) {
            self.buckets.entry(fingerprint(types, added)).or_default().push(position);
        }
        self.hashed = items.len();
        let Some(bucket) = self.buckets.get(&fingerprint(types, item)) else { return false };
        bucket.iter().filter_map(|&position| items.get(position)).any(|other| equal(types, item, other) == Some(true))
    }
}

/// A hash under which equal items agree.
fn fingerprint(types: &TypeTable, item: &Item<'_>) -> u64 {
    let mut state = DefaultHasher::new();
    match (item.system(types), item) {
        (Some(value), _) => hash_system(&value, &mut state),
        (None, Item::Tree(place)) => hash_tree(place, &mut state),
        (None, Item::System(_)) => {}
    }
    state.finish()
}

fn hash_system(value: &System<'_>, state: &mut DefaultHasher) {
    if let Some(quantity) = as_quantity(value) {
        match quantity.fingerprint() {
            Some(ratio) => (ratio.numerator, ratio.denominator, ratio.exponent).hash(state),
            // A unit without a factor equals only itself.
            None => quantity.value.hash(state),
        }
        return;
    }
    match value {
        System::Boolean(flag) => flag.hash(state),
        System::String(text) => text.hash(state),
        System::Date(_) | System::DateTime(_) => {
            let moment = as_date_time(value).map(|moment| moment.in_utc().unwrap_or(moment));
            moment.map(|moment| (moment.date, moment.time.map(fields))).hash(state);
        }
        System::Time(time) => fields(*time).hash(state),
        System::Type(info) => info.name.hash(state),
        System::Integer(_) | System::Decimal(_) | System::Quantity(_) => {}
    }
}

/// What counts when times are equal: not how many zeros the fraction was written with.
fn fields(time: Time) -> (u8, Option<u8>, Option<u8>, u32) {
    (time.hour(), time.minute(), time.second(), time.nanos())
}

fn hash_tree(place: &TreeItem<'_>, state: &mut DefaultHasher) {
    if let Some(object) = place.object() {
        hash_object(object).hash(state);
    }
}

/// Members are summed, so that their order does not count.
fn hash_object(object: &Object) -> u64 {
    object.members().iter().fold(0_u64, |sum, member| {
        let mut state = DefaultHasher::new();
        member.name.hash(&mut state);
        hash_node(&member.node, &mut state);
        sum.wrapping_add(state.finish())
    })
}

fn hash_node(node: &Node, state: &mut DefaultHasher) {
    match &node.value {
        Value::Null => 0_u8.hash(state),
        Value::Bool(flag) => flag.hash(state),
        Value::Number(number) => match Decimal::parse(number) {
            Some(value) => value.hash(state),
            None => number.hash(state),
        },
        Value::Text(text) => text.hash(state),
        Value::List(items) => items.iter().for_each(|item| hash_node(item, state)),
        Value::Object(object) => hash_object(object).hash(state),
    }
}
