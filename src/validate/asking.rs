//! What a document's judgement would need to know from a terminology server, and what one has answered.
//!
//! Judging stays a pure function: it is done once, gives its questions, and is done again with the answers.

use std::collections::HashMap;

/// The most questions one judgement has; codes beyond are not asked about.
pub const QUESTIONS_MAX: usize = 200;

/// Whether a code is of its system, or in a value set. Holds nothing else of the document.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Question {
    /// The value set it should be in; none to ask about the code and its display alone.
    pub value_set: Option<String>,
    pub system: Option<String>,
    pub version: Option<String>,
    pub code: String,
    pub display: Option<String>,
}

/// What a server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The code is right, and so is the display if one was asked about.
    Right,
    WrongDisplay,
    Wrong,
    /// It does not know the system or the value set.
    Unknown,
    /// It did not answer.
    Away,
}

/// The answers to questions that were asked before.
#[derive(Debug, Clone, Default)]
pub struct Answers(HashMap<Question, Answer>);

impl Answers {
    pub fn put(&mut self, question: Question, answer: Answer) {
        self.0.insert(question, answer);
    }

    pub fn get(&self, question: &Question) -> Option<Answer> {
        self.0.get(question).copied()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
