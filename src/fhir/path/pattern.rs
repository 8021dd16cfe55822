//! Regular expressions with a price: what compiling and matching one may cost is counted in steps before it is done.
//!
//! Matching takes time in the length of the text times the size of what was compiled, never more; but a short pattern (`\w{1000}`) can
//! compile to something very large, so the size is found out first.

use super::error::{Limit, PathError};
use super::function::Function;
use crate::fhir::regular::{self, Refusal};
use regex::{Error, Regex, RegexBuilder};
use std::borrow::Cow;

/// Sizes a compiled pattern is tried at, in bytes. Ordinary ones fit the first.
const SIZES: [usize; 4] = [1 << 13, 1 << 15, 1 << 18, MAX_PATTERN_BYTES];

/// Bytes that a compiled regular expression may take.
pub const MAX_PATTERN_BYTES: usize = 1 << 21;

/// Bytes that all the patterns written in one expression may take together.
pub const MAX_PATTERNS_BYTES: usize = 8 * MAX_PATTERN_BYTES;

/// Bytes of a compiled pattern that one step compiles, and that one step carries one byte of text through; measured to be about 100 ns.
const BYTES_COMPILED_A_STEP: usize = 64;
const BYTES_MATCHED_A_STEP: usize = 1 << 14;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub regex: Regex,
    /// What it takes compiled, rounded up.
    size_bytes: usize,
}

impl Pattern {
    /// Compiles a pattern for a function: `.` takes line ends too, and `matchesFull` is held to the whole text.
    pub fn compile(pattern: &str, flags: &str, function: Function) -> Result<Pattern, PathError> {
        regular::compile(pattern, |pattern| Pattern::sized(pattern, flags, function)).map_err(|refusal| match refusal {
            Refusal::Malformed => PathError::Pattern,
            Refusal::NotSupported => PathError::PatternNotSupported,
            Refusal::TooLarge => PathError::Limit { limit: Limit::PatternBytes, value: MAX_PATTERN_BYTES as u64 },
        })
    }

    /// The pattern in the least of the sizes it fits.
    fn sized(pattern: &str, flags: &str, function: Function) -> Result<Pattern, Error> {
        let whole = match function {
            Function::MatchesFull => Cow::Owned(format!("\\A(?:{pattern})\\z")),
            _ => Cow::Borrowed(pattern),
        };
        let mut builder = RegexBuilder::new(&whole);
        builder.dot_matches_new_line(true).case_insensitive(flags.contains('i')).multi_line(flags.contains('m'));
        for size_bytes in SIZES {
            match builder.size_limit(size_bytes).dfa_size_limit(MAX_PATTERN_BYTES).build() {
                Ok(regex) => return Ok(Pattern { regex, size_bytes }),
                Err(Error::CompiledTooBig(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::CompiledTooBig(MAX_PATTERN_BYTES))
    }

    /// Adds it to the patterns of an expression, which have a bound together.
    pub fn counted(self, so_far: &mut usize) -> Result<Pattern, PathError> {
        *so_far += self.size_bytes;
        if *so_far > MAX_PATTERNS_BYTES {
            return Err(PathError::Limit { limit: Limit::PatternBytes, value: MAX_PATTERNS_BYTES as u64 });
        }
        Ok(self)
    }

    /// What it cost to compile.
    pub fn compile_steps(&self) -> usize {
        self.size_bytes / BYTES_COMPILED_A_STEP
    }

    /// What it may cost to take a text through it once.
    pub fn match_steps(&self, text: &str) -> usize {
        text.len().saturating_mul(self.size_bytes) / BYTES_MATCHED_A_STEP
    }
}
