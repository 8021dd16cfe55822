//! The part of FHIRPath in which search parameters are written, as paths that can be walked without an engine.
//!
//! A search parameter's expression is a union of paths; a path is names with type filters, equality filters, extensions and indexes between
//! them. Anything else is not understood and gives `None`, so that the parameter is refused instead of half applied.

use compact_str::CompactString;

/// How deep parentheses may nest.
const MAX_NESTING: usize = 8;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Op {
    Name(CompactString),
    /// `ofType(T)`, `as(T)` or `as T`.
    OfType(CompactString),
    /// `[n]`
    Index(usize),
    /// `where(member='text')`
    WhereEquals(CompactString, CompactString),
    /// `where(resolve() is T)`
    WhereResolves(CompactString),
    /// `where(hasExtension('url'))`
    WhereExtension(CompactString),
    /// `extension('url')`
    Extension(CompactString),
    /// `%resource`
    Resource,
    /// `x.exists() and x != false`: true when there is a value that is not false.
    Truth,
}

pub(super) type Path = Vec<Op>;

/// The paths of a union, `None` when any of it is not understood.
pub(super) fn parse(text: &str) -> Option<Vec<Path>> {
    if let Some(subject) = truth_subject(text) {
        let mut paths = parse(subject)?;
        paths.iter_mut().for_each(|path| path.push(Op::Truth));
        return Some(paths);
    }
    let mut parser = Parser { rest: text, nesting: 0 };
    let paths = parser.union()?;
    parser.rest.trim().is_empty().then_some(paths)
}

fn truth_subject(text: &str) -> Option<&str> {
    let (exists, differs) = text.split_once(" and ")?;
    let subject = exists.trim().strip_suffix(".exists()")?;
    (differs.trim().strip_suffix("false")?.trim().strip_suffix("!=")?.trim() == subject).then_some(subject)
}

struct Parser<'a> {
    rest: &'a str,
    nesting: usize,
}

impl<'a> Parser<'a> {
    fn take(&mut self, token: &str) -> bool {
        let trimmed = self.rest.trim_start();
        match trimmed.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn name(&mut self) -> Option<&'a str> {
        let trimmed = self.rest.trim_start();
        let end = trimmed.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(trimmed.len());
        let (name, rest) = trimmed.split_at(end);
        self.rest = rest;
        (!name.is_empty()).then_some(name)
    }

    fn quoted(&mut self) -> Option<&'a str> {
        let (text, rest) = self.rest.trim_start().strip_prefix('\'')?.split_once('\'')?;
        self.rest = rest;
        Some(text)
    }

    fn union(&mut self) -> Option<Vec<Path>> {
        let mut paths = self.term()?;
        while self.take("|") {
            paths.extend(self.term()?);
        }
        Some(paths)
    }

    fn term(&mut self) -> Option<Vec<Path>> {
        let mut paths = self.head()?;
        loop {
            let trimmed = self.rest.trim_start();
            let op = if trimmed.starts_with('.') {
                self.take(".");
                self.step()?
            } else if trimmed.starts_with('[') {
                self.take("[");
                let index = self.name()?.parse().ok()?;
                self.take("]").then_some(Op::Index(index))?
            } else if let Some(rest) = trimmed.strip_prefix("as ") {
                self.rest = rest;
                Op::OfType(self.name()?.into())
            } else {
                return Some(paths);
            };
            paths.iter_mut().for_each(|path| path.push(op.clone()));
        }
    }

    fn head(&mut self) -> Option<Vec<Path>> {
        if self.take("%resource") {
            return Some(vec![vec![Op::Resource]]);
        }
        if self.take("(") {
            self.nesting += 1;
            if self.nesting > MAX_NESTING {
                return None;
            }
            let paths = self.union()?;
            self.nesting -= 1;
            return self.take(")").then_some(paths);
        }
        Some(vec![vec![self.step()?]])
    }

    fn step(&mut self) -> Option<Op> {
        let name = self.name()?;
        if !self.rest.starts_with('(') {
            return Some(Op::Name(name.into()));
        }
        self.take("(");
        let op = match name {
            "ofType" | "as" => Op::OfType(self.name()?.into()),
            "extension" => Op::Extension(self.quoted()?.into()),
            "where" => self.condition()?,
            _ => return None,
        };
        self.take(")").then_some(op)
    }

    fn condition(&mut self) -> Option<Op> {
        if self.take("resolve()") {
            return if self.name()? == "is" { Some(Op::WhereResolves(self.name()?.into())) } else { None };
        }
        if self.take("hasExtension(") {
            let url = self.quoted()?;
            return self.take(")").then(|| Op::WhereExtension(url.into()));
        }
        let member = self.name()?;
        if !self.take("=") {
            return None;
        }
        Some(Op::WhereEquals(member.into(), self.quoted()?.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str) -> Vec<Op> {
        path.split('.').map(|name| Op::Name(name.into())).collect()
    }

    #[test]
    fn paths_of_search_parameters() {
        let check = |text: &str, expected: Option<Vec<Path>>| assert_eq!(parse(text), expected, "{text}");
        check("Patient.name.family", Some(vec![names("Patient.name.family")]));
        check("A.b | C.d", Some(vec![names("A.b"), names("C.d")]));
        let of_type = |text: &str| vec![Op::Name("A".into()), Op::Name("b".into()), Op::OfType(text.into())];
        check("(A.b as Quantity)", Some(vec![of_type("Quantity")]));
        check("A.b.ofType(dateTime)", Some(vec![of_type("dateTime")]));
        check("(A.b as X).text", Some(vec![[of_type("X"), names("text")].concat()]));
        check("A.where(resolve() is Patient)", Some(vec![vec![Op::Name("A".into()), Op::WhereResolves("Patient".into())]]));
        check("A.where(system='email')", Some(vec![vec![Op::Name("A".into()), Op::WhereEquals("system".into(), "email".into())]]));
        check("A.extension('u')", Some(vec![vec![Op::Name("A".into()), Op::Extension("u".into())]]));
        check("A[0].r", Some(vec![vec![Op::Name("A".into()), Op::Index(0), Op::Name("r".into())]]));
        check("A.d.exists() and A.d != false", Some(vec![[names("A.d"), vec![Op::Truth]].concat()]));
        check("%resource.a", Some(vec![vec![Op::Resource, Op::Name("a".into())]]));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in ["", "A.", "A.b + 1", "A.repeat(b)", "(A", "A.where(b > 1)", "A.d.exists() and A.e != false", &"(".repeat(100)] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
