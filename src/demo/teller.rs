//! How the story looks: chapters, one line for each stage, times at the right.

use std::io::Write;
use std::time::Duration;

/// Columns of the name at the left, and of the text behind it.
const NAME_WIDTH: usize = 12;
const TEXT_WIDTH: usize = 84;

/// Writes the story, and remembers what did not go as told.
pub struct Teller<'w> {
    out: &'w mut dyn Write,
    chapter: u32,
    surprises: Vec<String>,
}

impl<'w> Teller<'w> {
    pub fn new(out: &'w mut dyn Write) -> Teller<'w> {
        Teller { out, chapter: 0, surprises: Vec::new() }
    }

    /// A line on its own.
    pub fn say(&mut self, text: &str) {
        // When nobody reads any more there is nobody to tell, so a failed write changes nothing.
        let _ = writeln!(self.out, "{text}");
    }

    /// Begins a chapter.
    pub fn chapter(&mut self, title: &str) {
        self.chapter += 1;
        self.say(&format!("\n{}. {title}\n", self.chapter));
    }

    /// A line of a chapter: who or what, and what there is to say.
    pub fn line(&mut self, name: &str, text: &str) {
        self.say(format!("   {name:<NAME_WIDTH$} {text}").trim_end());
    }

    /// A line with the time it took.
    pub fn timed(&mut self, name: &str, text: &str, took: Duration) {
        let milliseconds = took.as_secs_f64() * 1000.0;
        self.say(&format!("   {name:<NAME_WIDTH$} {text:<TEXT_WIDTH$} {milliseconds:>7.1} ms"));
    }

    /// Holds the story to what happened. What is expected is said only when it did not come about.
    pub fn expect(&mut self, holds: bool, expected: &str) {
        if !holds {
            self.line("NOT AS TOLD", expected);
            self.surprises.push(expected.to_owned());
        }
    }

    /// What did not go as told.
    pub fn surprises(&self) -> &[String] {
        &self.surprises
    }
}

/// `1 entry`, `2 entries`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}
