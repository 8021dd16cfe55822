//! Equality (`=`), equivalence (`~`), and a hash that agrees with equality, so that sets of items take linear time.

use super::item::{Item, System, TreeItem};
use super::quantity::{Quantity, equivalent_decimals};
use crate::fhir::decimal::Decimal;
use crate::fhir::node::{Node, Object, Value};
use crate::fhir::temporal::{DateTime, Time};
use crate::fhir::types::TypeTable;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash, Hasher, RandomState};

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

/// The items without repetitions, in their order.
pub(super) fn distinct<'d>(types: &TypeTable, items: impl IntoIterator<Item = Item<'d>>) -> Vec<Item<'d>> {
    let mut set = ItemSet::new();
    let mut kept = Vec::new();
    for item in items {
        set.admit(types, &mut kept, item);
    }
    kept
}

/// Whether no item equals one before it.
pub(super) fn are_distinct(types: &TypeTable, items: &[Item<'_>]) -> bool {
    let mut set = ItemSet::for_items(items.len());
    (0..items.len()).all(|position| !set.repeats(types, items, position))
}

/// The items of a list under equality. It remembers positions, not items, so that nothing is copied.
pub(super) struct ItemSet {
    keys: RandomState,
    /// The last position of each hash.
    last: HashMap<u64, usize, BuildHasherDefault<Hashed>>,
    /// Of each position, the one before it with the same hash.
    before: Vec<Option<usize>>,
}

/// Takes a hash as it is.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.0 = (self.0 << 8) | u64::from(byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl ItemSet {
    pub fn new() -> ItemSet {
        ItemSet { keys: RandomState::new(), last: HashMap::default(), before: Vec::new() }
    }

    /// With room for so many, where they are too many for a scan.
    fn for_items(count: usize) -> ItemSet {
        let mut set = ItemSet::new();
        if count > SCAN_ITEMS {
            set.last.reserve(count);
            set.before.reserve(count);
        }
        set
    }

    /// Whether `items` has one equal to `item`. The list may only have grown since the last question.
    pub fn contains<'d>(&mut self, types: &TypeTable, items: &[Item<'d>], item: &Item<'d>) -> bool {
        if items.len() <= SCAN_ITEMS {
            return items.iter().any(|other| equal(types, item, other) == Some(true));
        }
        self.learn(types, items);
        self.finds(types, items, item, fingerprint(types, item, &self.keys))
    }

    /// Adds an item to a list of distinct ones, unless it has its equal.
    pub fn admit<'d>(&mut self, types: &TypeTable, items: &mut Vec<Item<'d>>, item: Item<'d>) -> bool {
        items.push(item);
        let is_new = !self.repeats(types, items, items.len() - 1);
        if !is_new {
            items.pop();
        }
        is_new
    }

    /// Whether the item at a position equals one before it; those are distinct.
    fn repeats(&mut self, types: &TypeTable, items: &[Item<'_>], position: usize) -> bool {
        let Some((item, earlier)) = items.get(..=position).and_then(<[_]>::split_last) else { return false };
        if earlier.len() < SCAN_ITEMS {
            return earlier.iter().any(|other| equal(types, item, other) == Some(true));
        }
        self.learn(types, earlier);
        let hash = fingerprint(types, item, &self.keys);
        let found = self.finds(types, earlier, item, hash);
        if !found {
            self.add(hash);
        }
        found
    }

    fn learn(&mut self, types: &TypeTable, items: &[Item<'_>]) {
        for item in items.iter().skip(self.before.len()) {
            self.add(fingerprint(types, item, &self.keys));
        }
    }

    fn add(&mut self, hash: u64) {
        let position = self.before.len();
        self.before.push(self.last.insert(hash, position));
    }

    fn finds(&self, types: &TypeTable, items: &[Item<'_>], item: &Item<'_>, hash: u64) -> bool {
        let earlier = |&position: &usize| self.before.get(position).copied().flatten();
        let mut alike = std::iter::successors(self.last.get(&hash).copied(), earlier).filter_map(|position| items.get(position));
        alike.any(|other| equal(types, item, other) == Some(true))
    }
}

/// A hash under which equal items agree.
fn fingerprint(types: &TypeTable, item: &Item<'_>, keys: &RandomState) -> u64 {
    let mut state = keys.build_hasher();
    match (item.system(types), item) {
        (Some(value), _) => hash_system(&value, &mut state),
        (None, Item::Tree(place)) => hash_tree(place, &mut state, keys),
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

fn hash_tree(place: &TreeItem<'_>, state: &mut DefaultHasher, keys: &RandomState) {
    if let Some(object) = place.object() {
        hash_object(object, keys).hash(state);
    }
}

/// Members are summed, so that their order does not count.
fn hash_object(object: &Object, keys: &RandomState) -> u64 {
    object.members().iter().fold(0_u64, |sum, member| {
        let mut state = keys.build_hasher();
        member.name.hash(&mut state);
        hash_node(&member.node, &mut state, keys);
        sum.wrapping_add(state.finish())
    })
}

fn hash_node(node: &Node, state: &mut DefaultHasher, keys: &RandomState) {
    match &node.value {
        Value::Null => 0_u8.hash(state),
        Value::Bool(flag) => flag.hash(state),
        Value::Number(number) => match Decimal::parse(number) {
            Some(value) => value.hash(state),
            None => number.hash(state),
        },
        Value::Text(text) => text.hash(state),
        Value::List(items) => items.iter().for_each(|item| hash_node(item, state, keys)),
        Value::Object(object) => hash_object(object, keys).hash(state),
    }
}
