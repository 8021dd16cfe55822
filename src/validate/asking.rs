//! What a document's judgement would need to know from a terminology server, and what one has answered.
//!
//! Judging stays a pure function: it is done once, gives its questions, and is done again with the answers.

use std::collections::HashMap;
use std::fmt;

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
    /// It did not answer, or not in a way that says anything.
    Away(Failure),
}

/// Why a terminology server gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// There was no connection, or it broke off.
    Unreachable,
    TimeOut,
    /// It asks for a credential, or for another one (401, 403).
    Refused,
    /// It answered with this HTTP status.
    Status(u16),
    /// What it said is no answer to the question.
    Malformed,
    TooLarge,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Unreachable => f.write_str("could not be reached"),
            Failure::TimeOut => f.write_str("did not answer in time"),
            Failure::Refused => f.write_str("refused the request: it asks for a credential"),
            Failure::Status(status) => write!(f, "answered with the HTTP status {status}"),
            Failure::Malformed => f.write_str("gave an answer that is none to $validate-code"),
            Failure::TooLarge => f.write_str("gave an answer that is too large"),
        }
    }
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
