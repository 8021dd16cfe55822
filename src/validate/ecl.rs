//! The form of SNOMED CT expression constraints (ECL 2, <https://docs.snomed.org/snomed-ct-specifications/snomed-ct-expression-constraint-language>).
//!
//! Only what decides whether a text can be read at all: operators, concepts with terms, compounds, refinements and their nesting. What stands in
//! filters and history supplements (`{{ … }}`) is passed over as a whole.

/// How deep brackets may nest; deeper ones are taken as unreadable.
const DEPTH_MAX: usize = 32;

/// Whether a text is an expression constraint.
pub fn is_valid(text: &str) -> bool {
    let mut reader = Reader { rest: text };
    reader.expression(0) && reader.rest.trim_start().is_empty()
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn eat(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start();
        match rest.strip_prefix(token) {
            Some(after) => {
                self.rest = after;
                true
            }
            None => false,
        }
    }

    /// A word in either case, not followed by a letter.
    fn word(&mut self, word: &str) -> bool {
        let rest = self.rest.trim_start();
        let Some((head, tail)) = rest.split_at_checked(word.len()) else { return false };
        let fits = head.eq_ignore_ascii_case(word) && !tail.starts_with(|next: char| next.is_alphanumeric());
        if fits {
            self.rest = tail;
        }
        fits
    }

    fn expression(&mut self, depth: usize) -> bool {
        if depth == DEPTH_MAX || !self.operand(depth) {
            return false;
        }
        if self.eat(":") {
            return self.refinement(depth + 1);
        }
        if self.eat(".") {
            return self.operand(depth + 1) && self.dots(depth);
        }
        while self.word("AND") || self.word("OR") || self.word("MINUS") || self.eat(",") {
            if !self.operand(depth) {
                return false;
            }
        }
        true
    }

    fn dots(&mut self, depth: usize) -> bool {
        while self.eat(".") {
            if !self.operand(depth + 1) {
                return false;
            }
        }
        true
    }

    /// An operator, `^`, and a concept, `*` or brackets.
    fn operand(&mut self, depth: usize) -> bool {
        let _ = ["<<!", "<!", "<<", "<", ">>!", ">!", ">>", ">", "!!>", "!!<"].iter().any(|operator| self.eat(operator));
        if self.eat("^") && self.eat("[") && !self.until("]") {
            return false;
        }
        let focus = if self.eat("(") { self.expression(depth + 1) && self.eat(")") } else { self.eat("*") || self.concept() };
        focus && self.filters()
    }

    fn filters(&mut self) -> bool {
        while self.eat("{{") {
            if !self.until("}}") {
                return false;
            }
        }
        true
    }

    fn until(&mut self, end: &str) -> bool {
        match self.rest.split_once(end) {
            Some((_, after)) => {
                self.rest = after;
                true
            }
            None => false,
        }
    }

    /// `404684003 |Clinical finding|`; an alternate identifier is `SCHEME#CODE`.
    fn concept(&mut self) -> bool {
        let rest = self.rest.trim_start();
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, '#' | '-' | '_')).unwrap_or(rest.len());
        let (code, after) = rest.split_at(end);
        let is_id = matches!(code.len(), 6..=18) && code.bytes().all(|byte| byte.is_ascii_digit());
        let is_alternate = code.split_once('#').is_some_and(|(scheme, code)| !scheme.is_empty() && !code.is_empty());
        if !is_id && !is_alternate {
            return false;
        }
        self.rest = after;
        !self.eat("|") || self.until("|")
    }

    fn refinement(&mut self, depth: usize) -> bool {
        if depth >= DEPTH_MAX || !self.attributes(depth) {
            return false;
        }
        while self.eat(",") || self.word("AND") || self.word("OR") {
            if !self.attributes(depth) {
                return false;
            }
        }
        true
    }

    /// A group `{ … }`, a bracketed refinement, or one attribute with its value.
    fn attributes(&mut self, depth: usize) -> bool {
        self.cardinality();
        if self.eat("{") {
            return self.refinement(depth + 1) && self.eat("}");
        }
        let before = self.rest;
        if self.eat("(") && self.refinement(depth + 1) && self.eat(")") {
            return true;
        }
        self.rest = before;
        let _ = self.word("R");
        self.operand(depth)
            && (self.eat("!=") || self.eat(">=") || self.eat("<=") || self.eat("=") || self.eat("<") || self.eat(">"))
            && self.value(depth)
    }

    fn cardinality(&mut self) {
        if self.eat("[") {
            self.until("]");
        }
    }

    fn value(&mut self, depth: usize) -> bool {
        if self.eat("#") {
            let end =
                self.rest.find(|letter: char| !letter.is_ascii_digit() && !matches!(letter, '.' | '-' | '+')).unwrap_or(self.rest.len());
            let (number, after) = self.rest.split_at(end);
            self.rest = after;
            return !number.is_empty();
        }
        if self.eat("\"") {
            return self.until("\"");
        }
        if self.word("true") || self.word("false") {
            return true;
        }
        let before = self.rest;
        if self.eat("(") && self.expression(depth + 1) && self.eat(")") {
            return true;
        }
        self.rest = before;
        self.operand(depth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (text, valid) in [
            ("404684003", true),
            ("<< 404684003 |Clinical finding|", true),
            ("^ 700043003", true),
            ("*", true),
            ("< 19829001 AND < 301867009", true),
            ("(< 19829001 OR < 301867009) MINUS << 64572001", true),
            ("< 404684003: 363698007 = << 39057004, 116676008 = *", true),
            ("< 404684003: {363698007 = << 39057004}, [1..3] R 116676008 != (< 1234567 OR 7654321)", true),
            ("< 27658006: 1142135004 >= #500.0, 1142136003 = \"x\"", true),
            ("< 125605004 . 363698007", true),
            ("< 64572001 {{ term = \"heart\" }}", true),
            ("234234 << 234234", false),
            ("<<", false),
            ("(404684003", false),
            ("404684003 AND", false),
            ("< 404684003: 363698007", false),
            ("12 |x", false),
            ("", false),
        ] {
            assert_eq!(is_valid(text), valid, "{text}");
        }
        assert!(!is_valid(&format!("{}404684003{}", "(".repeat(DEPTH_MAX + 1), ")".repeat(DEPTH_MAX + 1))));
    }
}
