//! Which elements meet which profiles, as one walk found out: nothing is judged twice to which references lead along several ways.
//!
//! A profile that is asked of an element while the same is being found out holds as far as anybody knows. A verdict that leans on that is good as long as
//! the question that it leans on is open, and after it if the answer is yes; a no needs nothing to lean on.

use std::collections::HashMap;

/// A profile, or a part of it, and an element, by their addresses, and what the element is taken for.
pub type Question = (usize, usize, u32);

#[derive(Debug, Default)]
pub struct Verdicts {
    known: HashMap<Question, Verdict>,
    /// The verdicts that lean on open questions, in the order they were given.
    leaning: Vec<Question>,
    /// The outermost open question that was taken for a yes since the innermost was opened.
    leaned_on: Option<usize>,
    /// How many checks are under way whose findings are not reported; only their verdicts are asked for again.
    pub trials: usize,
    /// Whether profiles asked for one another deeper than is followed.
    pub is_too_deep: bool,
}

#[derive(Debug, Clone, Copy)]
enum Verdict {
    /// For good.
    Settled(bool),
    /// Yes, if the open question at this depth is.
    Leaning(usize),
}

/// What was so before a question was opened.
#[derive(Debug)]
pub struct Opened {
    leaning: usize,
    leaned_on: Option<usize>,
}

impl Verdicts {
    /// What is known of a question.
    pub fn of(&mut self, question: Question) -> Option<bool> {
        match *self.known.get(&question)? {
            Verdict::Settled(verdict) => Some(verdict),
            Verdict::Leaning(depth) => {
                self.lean_on(depth);
                Some(true)
            }
        }
    }

    /// Takes the open question at a depth for a yes.
    pub fn lean_on(&mut self, depth: usize) {
        self.leaned_on = Some(self.leaned_on.map_or(depth, |outer| outer.min(depth)));
    }

    pub fn open(&mut self) -> Opened {
        Opened { leaning: self.leaning.len(), leaned_on: self.leaned_on.take() }
    }

    /// Closes the question that was opened at a depth.
    pub fn close(&mut self, question: Question, opened: Opened, depth: usize, verdict: bool) {
        let outer = self.leaned_on.filter(|on| *on < depth);
        let is_kept = self.trials > 0;
        match (verdict, outer) {
            (false, _) => self.leaning.drain(opened.leaning..).for_each(|question| {
                self.known.remove(&question);
            }),
            (true, None) => self.leaning.drain(opened.leaning..).for_each(|question| {
                self.known.insert(question, Verdict::Settled(true));
            }),
            (true, Some(_)) => {}
        }
        match (verdict, outer) {
            (true, Some(on)) if is_kept => {
                self.known.insert(question, Verdict::Leaning(on));
                self.leaning.push(question);
            }
            (_, None) | (false, _) if is_kept => {
                self.known.insert(question, Verdict::Settled(verdict));
            }
            _ => {}
        }
        self.leaned_on = match (opened.leaned_on, outer.filter(|_| verdict)) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}
