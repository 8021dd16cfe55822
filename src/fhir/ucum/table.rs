//! The units of `units.tsv`, resolved to base units when first asked for.

use super::grammar::{self, Worth};
use super::special::{Function, Special};
use super::{Dimension, Ratio, Scale};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The base units, in the order of [`Dimension`].
pub const BASE: [&str; 7] = ["m", "s", "g", "rad", "K", "C", "cd"];

/// Prefixes with what they multiply by: a number and a power of ten.
const PREFIXES: [(&str, i128, i32); 24] = [
    ("da", 1, 1),
    ("Ki", 1 << 10, 0),
    ("Mi", 1 << 20, 0),
    ("Gi", 1 << 30, 0),
    ("Ti", 1 << 40, 0),
    ("Y", 1, 24),
    ("Z", 1, 21),
    ("E", 1, 18),
    ("P", 1, 15),
    ("T", 1, 12),
    ("G", 1, 9),
    ("M", 1, 6),
    ("k", 1, 3),
    ("h", 1, 2),
    ("d", 1, -1),
    ("c", 1, -2),
    ("m", 1, -3),
    ("u", 1, -6),
    ("n", 1, -9),
    ("p", 1, -12),
    ("f", 1, -15),
    ("a", 1, -18),
    ("z", 1, -21),
    ("y", 1, -24),
];

/// A unit of the table.
#[derive(Debug, Clone, Copy)]
struct Atom {
    takes_prefixes: bool,
    worth: Worth,
}

/// Units stand after those they are defined by, so one pass settles them; what could not be settled is left out, and a test counts.
static ATOMS: LazyLock<HashMap<&'static str, Atom>> = LazyLock::new(|| {
    let atoms = RefCell::new(HashMap::new());
    for (place, name) in BASE.into_iter().enumerate() {
        let worth = Worth::Scale(Scale { dimension: Dimension::of(place), ..Scale::ONE });
        atoms.borrow_mut().insert(name, Atom { takes_prefixes: true, worth });
    }
    let mut waiting: Vec<(i64, &'static str)> =
        (1..).zip(include_str!("units.tsv").lines().filter(|line| !line.starts_with('#'))).collect();
    // A definition may stand before what it refers to; each round settles at least one or is the last.
    loop {
        let before = waiting.len();
        waiting.retain(|&(number, line)| {
            let settled = row(number, line, &|symbol| find(&atoms.borrow(), symbol));
            settled.map(|(code, atom)| atoms.borrow_mut().insert(code, atom)).is_none() && !line.is_empty()
        });
        if waiting.is_empty() || waiting.len() == before {
            return atoms.into_inner();
        }
    }
});

/// What a unit is worth, bare or with a prefix.
pub fn worth(symbol: &str) -> Option<Worth> {
    find(&ATOMS, symbol)
}

fn find(atoms: &HashMap<&'static str, Atom>, symbol: &str) -> Option<Worth> {
    if let Some(atom) = atoms.get(symbol) {
        return Some(atom.worth);
    }
    PREFIXES.iter().find_map(|&(prefix, number, power)| {
        let atom = atoms.get(symbol.strip_prefix(prefix)?).filter(|atom| atom.takes_prefixes)?;
        Some(atom.worth.scaled(Ratio::new(number, power)))
    })
}

/// `code <tab> m or - <tab> kind <tab> number <tab> unit`.
fn row(number: i64, line: &'static str, find: &dyn Fn(&str) -> Option<Worth>) -> Option<(&'static str, Atom)> {
    let mut fields = line.split('\t');
    let (code, metric, kind) = (fields.next()?, fields.next()?, fields.next()?);
    let (value, unit) = (Ratio::parse(fields.next()?)?, fields.next()?);
    let worth = if kind == "arbitrary" {
        // Multiples of an odd constant are spread over all of the numbers, so sums of a few never meet by chance.
        let dimension = Dimension { arbitrary: number.wrapping_mul(0x1E37_79B9_7F4A_7C15), ..Dimension::default() };
        Worth::Scale(Scale { dimension, ..Scale::ONE })
    } else {
        let Worth::Scale(scale) = grammar::read_with(unit, find).ok()? else { return None };
        let scale = scale.scaled(value)?;
        match Function::named(kind) {
            None => Worth::Scale(scale),
            Some(Function::Offset(offset)) => Worth::Scale(Scale { offset: Ratio::new(offset, -2), ..scale }),
            Some(Function::Curve(curve)) => Worth::Special(Special { curve, scale, prefix: Ratio::ONE }),
        }
    };
    Some((code, Atom { takes_prefixes: metric == "m", worth }))
}

/// How many units the table settled.
#[cfg(test)]
pub fn settled() -> usize {
    ATOMS.len()
}
