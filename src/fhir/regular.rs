//! Regular expressions of definitions, which are written for the engine most of the world validates with: Java's
//! (<https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/util/regex/Pattern.html>).
//!
//! In scope: what Java writes otherwise (`\Q..\E`, `\h`, `\R`) is rewritten; what has no match in time in the length of the text (lookaround,
//! backreferences, atomic groups), or is a set of letters unknown here, is told apart from what is no regular expression at all.
//! Out of scope: how large what is compiled may be, which the caller bounds.

use regex::{Error, RegexBuilder};

/// Why a pattern cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is no regular expression.
    Malformed,
    /// It is one, with something that cannot be matched here.
    NotSupported,
    TooLarge,
}

/// Spaces within a line, as members of a class.
const BLANKS: &str = r" \t\xA0\x{1680}\x{180E}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}";

/// Any end of a line.
const LINE_END: &str = r"(?:\r\n|[\n\x0B\f\r\x{85}\x{2028}\x{2029}])";

/// What begins a group that is not matched here, and what stands for it while the rest is read.
const GROUPS: [&str; 5] = ["(?<=", "(?<!", "(?=", "(?!", "(?>"];

/// Bytes that a pattern is compiled to just to see whether it can be read.
const READ_BYTES: usize = 1 << 10;

/// Compiles a pattern by `build`, which bounds it and may put something around it.
pub fn compile<T>(pattern: &str, build: impl Fn(&str) -> Result<T, Error>) -> Result<T, Refusal> {
    match build(pattern) {
        Err(Error::Syntax(_)) => {}
        built => return built.map_err(|_| Refusal::TooLarge),
    }
    let reading = Reading::of(pattern);
    if reading.is_exact {
        return build(&reading.text).map_err(|error| match error {
            Error::Syntax(_) => Refusal::Malformed,
            _ => Refusal::TooLarge,
        });
    }
    match RegexBuilder::new(&reading.text).size_limit(READ_BYTES).build() {
        Err(Error::Syntax(_)) => Err(Refusal::Malformed),
        _ => Err(Refusal::NotSupported),
    }
}

/// A pattern rewritten for the engine here.
struct Reading {
    text: String,
    /// Whether it matches what the pattern does. If not, something that can be read stands where something else was.
    is_exact: bool,
    /// How many classes are open.
    classes: usize,
}

impl Reading {
    fn of(pattern: &str) -> Reading {
        let mut reading = Reading { text: String::with_capacity(pattern.len()), is_exact: true, classes: 0 };
        let mut rest = pattern;
        while let Some(first) = rest.chars().next() {
            rest = match first {
                '\\' => reading.escape(rest),
                '(' if reading.classes == 0 => reading.group(rest),
                _ => {
                    match first {
                        '[' => reading.classes += 1,
                        ']' => reading.classes = reading.classes.saturating_sub(1),
                        _ => {}
                    }
                    reading.text.push(first);
                    rest.get(first.len_utf8()..).unwrap_or_default()
                }
            };
        }
        reading
    }

    fn group<'p>(&mut self, rest: &'p str) -> &'p str {
        match GROUPS.iter().find_map(|begin| rest.strip_prefix(begin)) {
            Some(after) => {
                self.stand_in("(?:");
                after
            }
            None => {
                self.text.push('(');
                rest.get(1..).unwrap_or_default()
            }
        }
    }

    /// What begins with a backslash; gives what follows.
    fn escape<'p>(&mut self, rest: &'p str) -> &'p str {
        let mut letters = rest.chars();
        letters.next();
        let letter = letters.next();
        let after = letters.as_str();
        let is_in_class = self.classes > 0;
        match letter {
            Some('Q') => {
                let (quoted, after) = after.split_once("\\E").unwrap_or((after, ""));
                self.text.push_str(&regex::escape(quoted));
                return after;
            }
            Some('h') => self.text.push_str(&if is_in_class { BLANKS.to_owned() } else { format!("[{BLANKS}]") }),
            Some('H') => self.text.push_str(&format!("[^{BLANKS}]")),
            Some('R') if !is_in_class => self.text.push_str(LINE_END),
            Some('e') => self.text.push_str("\\x1B"),
            Some('1'..='9' | 'G' | 'X' | 'Z') if !is_in_class => {
                self.stand_in("(?:)");
                return after.trim_start_matches(|letter: char| letter.is_ascii_digit());
            }
            Some('k') if !is_in_class => return self.stand_in_for_named(after, '<', '>'),
            Some('p' | 'P' | 'N') => return self.property(rest, after),
            Some('c') => return self.stand_in_for(after, 1),
            Some('0') => return self.stand_in_for(after, after.chars().take(3).take_while(|digit| digit.is_digit(8)).count()),
            Some('u') => return self.code_unit(after),
            Some(letter) => self.text.extend(['\\', letter]),
            None => self.text.push('\\'),
        }
        after
    }

    /// A set of letters by its name: kept where it is known here.
    fn property<'p>(&mut self, rest: &'p str, after: &'p str) -> &'p str {
        let length = rest.len() - after.len() + after.find('}').map_or(0, |end| end + 1);
        let whole = rest.get(..length).unwrap_or(rest);
        if regex::Regex::new(whole).is_ok() {
            self.text.push_str(whole);
            return rest.get(length..).unwrap_or_default();
        }
        self.stand_in_for_named(after, '{', '}')
    }

    /// Half of a pair of UTF-16 stands for no letter here, and each half may be written by itself.
    fn code_unit<'p>(&mut self, after: &'p str) -> &'p str {
        match after.get(..4).map(|digits| u32::from_str_radix(digits, 16)) {
            Some(Ok(unit)) if char::from_u32(unit).is_none() => self.stand_in_for(after, 4),
            _ => {
                self.text.push_str("\\u");
                after
            }
        }
    }

    fn stand_in(&mut self, text: &str) {
        self.is_exact = false;
        self.text.push_str(text);
    }

    /// A letter in the place of a name between two marks; without them it stays what cannot be read.
    fn stand_in_for_named<'p>(&mut self, after: &'p str, open: char, close: char) -> &'p str {
        let named = after.strip_prefix(open).and_then(|name| name.split_once(close)).filter(|(name, _)| !name.is_empty());
        match named {
            Some((_, after)) => {
                self.stand_in("a");
                after
            }
            None => {
                self.text.push_str("\\p{");
                after
            }
        }
    }

    /// A letter in the place of an escape that takes so many letters more.
    fn stand_in_for<'p>(&mut self, after: &'p str, letters: usize) -> &'p str {
        self.stand_in("a");
        after.char_indices().nth(letters).and_then(|(at, _)| after.get(at..)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    fn compiled(pattern: &str) -> Result<Regex, Refusal> {
        compile(pattern, |text| RegexBuilder::new(text).size_limit(1 << 16).build())
    }

    #[test]
    fn what_java_writes_otherwise_matches_the_same() {
        for (pattern, yes, no) in [
            (r"^\Qa.b\E$", "a.b", "axb"),
            (r"^\Qa.b", "a.b", "axb"),
            (r"^[\Q]-\E]+$", "]-", "a"),
            (r"^a\hb$", "a\u{a0}b", "a\nb"),
            (r"^[\h_]+$", " _\t", "\n"),
            (r"^\H$", "a", "\t"),
            (r"^a\Rb$", "a\r\nb", "a b"),
            (r"^\e$", "\u{1b}", "e"),
            (r"^[A-Z&&[^O]]+$", "AB", "AO"),
        ] {
            let regex = compiled(pattern).unwrap_or_else(|refusal| panic!("{pattern}: {refusal:?}"));
            assert!(regex.is_match(yes) && !regex.is_match(no), "{pattern}");
        }
    }

    #[test]
    fn what_is_not_supported_is_not_malformed() {
        let lookahead_of_many = format!("(?=x){}", r"\w{1000}");
        for pattern in [
            "^(?!000)[0-9]+$",
            "(?=.*[A-Z])a",
            "(?<=a)b",
            "(?<!a)b",
            "^(?>[0-9]+)$",
            r"([0-9])\1",
            r"(?<x>a)\k<x>",
            r"a\Z",
            r"\Ga",
            r"[\p{javaLowerCase}a]",
            r"\p{InGreek}+",
            r"\cA\0101",
            r"\uD83D\uDE00",
            &lookahead_of_many,
        ] {
            assert_eq!(compiled(pattern).err(), Some(Refusal::NotSupported), "{pattern}");
        }
    }

    #[test]
    fn what_is_malformed_is_so_whatever_else_it_has() {
        for pattern in ["(", "(?=a", "(?!a)(", "[a", "*a", r"(a)\1(", r"\k<x", r"\p{javaLowerCase", "a\\", "^{a}$", r"(?<=a)[b", r"\Qa\E("]
        {
            assert_eq!(compiled(pattern).err(), Some(Refusal::Malformed), "{pattern}");
        }
        assert_eq!(compiled(r"\w{1000}{1000}").err(), Some(Refusal::TooLarge));
        assert_eq!(compiled(r"\h\w{1000}{1000}").err(), Some(Refusal::TooLarge));
    }
}
