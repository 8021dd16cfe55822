//! The grammar: terms of components joined by `.` and `/`, from left to right.

use super::special::Special;
use super::{CODE_MAX, Dimension, Invalid, NESTING_MAX, Ratio, Scale, table};

/// The largest exponent whose power is reckoned; beyond, a unit is valid but compares with nothing.
const EXPONENT_MAX: i16 = 30;

/// What a well-formed code is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    Scale(Scale),
    Special(Special),
    /// Well formed, but no amount can be given: a special unit inside a product, a power beyond measure, a division by nought.
    Unmeasured,
}

impl Worth {
    const ONE: Worth = Worth::Scale(Scale::ONE);

    pub fn dimension(&self) -> Option<Dimension> {
        match self {
            Worth::Scale(scale) => Some(scale.dimension),
            Worth::Special(special) => Some(special.scale.dimension),
            Worth::Unmeasured => None,
        }
    }

    /// The same unit under a prefix.
    pub fn scaled(self, by: Ratio) -> Worth {
        match self {
            Worth::Scale(scale) => scale.scaled(by).map_or(Worth::Unmeasured, Worth::Scale),
            Worth::Special(special) => {
                special.prefix.times(by).map_or(Worth::Unmeasured, |prefix| Worth::Special(Special { prefix, ..special }))
            }
            Worth::Unmeasured => Worth::Unmeasured,
        }
    }

    fn combined(self, other: Worth, sign: i16) -> Worth {
        match (self, other) {
            (one, other) if one == Worth::ONE && sign > 0 => other,
            (one, other) if other == Worth::ONE => one,
            (Worth::Scale(mine), Worth::Scale(theirs)) => mine.combined(theirs, sign).map_or(Worth::Unmeasured, Worth::Scale),
            _ => Worth::Unmeasured,
        }
    }

    fn power(self, exponent: i16) -> Worth {
        match self {
            Worth::Scale(scale) if exponent.abs() <= EXPONENT_MAX => scale.power(exponent).map_or(Worth::Unmeasured, Worth::Scale),
            worth if exponent == 1 => worth,
            _ => Worth::Unmeasured,
        }
    }
}

/// Reads a code.
pub fn read(code: &str) -> Result<Worth, Invalid> {
    read_with(code, &table::worth)
}

/// Reads a code with units from elsewhere: the table is made so.
pub fn read_with(code: &str, find: &dyn Fn(&str) -> Option<Worth>) -> Result<Worth, Invalid> {
    if code.is_empty() {
        return Err(Invalid::Empty);
    }
    if code.len() > CODE_MAX {
        return Err(Invalid::TooLong);
    }
    let mut reader = Reader { rest: code, depth: 0, find };
    let worth = reader.term()?;
    match reader.rest.chars().next() {
        None => Ok(worth),
        Some(')') => Err(Invalid::Incomplete),
        Some(_) => Err(Invalid::Operator),
    }
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
    find: &'a dyn Fn(&str) -> Option<Worth>,
}

impl<'a> Reader<'a> {
    fn take(&mut self, symbol: char) -> bool {
        match self.rest.strip_prefix(symbol) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn term(&mut self) -> Result<Worth, Invalid> {
        let mut product = Worth::ONE;
        let mut sign = if self.take('/') { -1 } else { 1 };
        loop {
            product = product.combined(self.component()?, sign);
            sign = match (self.take('.'), self.take('/')) {
                (true, false) => 1,
                (false, true) => -1,
                // `.` and `/` side by side leave nothing between them.
                (true, true) => return Err(Invalid::Incomplete),
                (false, false) => return Ok(product),
            };
        }
    }

    fn component(&mut self) -> Result<Worth, Invalid> {
        if self.take('(') {
            if self.depth == NESTING_MAX {
                return Err(Invalid::TooDeep);
            }
            self.depth += 1;
            let inner = self.term()?;
            self.depth -= 1;
            if !self.take(')') {
                return Err(Invalid::Incomplete);
            }
            // The grammar has no annotation here, but UCUM's own table of example units and R4's common units have: `g/(8.h){shift}`.
            self.annotation()?;
            return Ok(inner);
        }
        if self.annotation()? {
            return Ok(Worth::ONE);
        }
        let simple = self.simple_unit()?;
        self.annotation()?;
        Ok(simple)
    }

    /// `{…}`; whether there was one.
    fn annotation(&mut self) -> Result<bool, Invalid> {
        if !self.take('{') {
            return Ok(false);
        }
        let (inner, rest) = self.rest.split_once('}').ok_or(Invalid::Incomplete)?;
        // The grammar has no blanks here, but UCUM's own table of example units and R4's common units have: `{# of calculi}`.
        if !inner.bytes().all(|byte| (byte.is_ascii_graphic() || byte == b' ') && byte != b'{') {
            return Err(Invalid::Annotation);
        }
        self.rest = rest;
        Ok(true)
    }

    /// A number, or a unit with its exponent.
    fn simple_unit(&mut self) -> Result<Worth, Invalid> {
        let symbol = self.symbol();
        if symbol.is_empty() {
            return Err(Invalid::Incomplete);
        }
        if symbol.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(symbol
                .parse()
                .map_or(Worth::Unmeasured, |number| Worth::Scale(Scale { factor: Ratio::new(number, 0), ..Scale::ONE })));
        }
        let (unit, exponent) = split_exponent(symbol);
        let worth = (self.find)(unit).ok_or(Invalid::UnknownUnit)?;
        Ok(match exponent {
            None => worth,
            Some(digits) => digits.parse().map_or(Worth::Unmeasured, |exponent| worth.power(exponent)),
        })
    }

    /// Everything up to the next operator, parenthesis or annotation that stands outside square brackets.
    fn symbol(&mut self) -> &'a str {
        let mut in_brackets = false;
        let end = self.rest.find(|letter: char| {
            match letter {
                '[' => in_brackets = true,
                ']' => in_brackets = false,
                _ => {}
            }
            !in_brackets && matches!(letter, '.' | '/' | '(' | ')' | '{' | '}')
        });
        let (symbol, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        symbol
    }
}

/// `m2`, `s-1`, `10*+3`: the unit and the exponent behind it. A plus or minus belongs to the digits after it.
fn split_exponent(symbol: &str) -> (&str, Option<&str>) {
    let stem = symbol.trim_end_matches(|letter: char| letter.is_ascii_digit());
    if stem.len() == symbol.len() {
        return (symbol, None);
    }
    let unit = stem.strip_suffix(['+', '-']).unwrap_or(stem);
    let (unit, exponent) = symbol.split_at(unit.len());
    (unit, Some(exponent))
}
