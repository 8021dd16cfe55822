//! What commands say: answers to standard output, everything else to standard error.
//!
//! A reader that goes away, as `head` does, is no mistake of anybody's: what would follow is not written, and the command ends as it would have. A device that
//! takes no more is one: that is said, and the command fails.

use super::{FAULT, complain};
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

/// Why standard output could not be written to, the first time.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Writes a line of an answer.
macro_rules! answer {
    ($($said:tt)*) => { $crate::command::said::write(format_args!("{}\n", format_args!($($said)*))) };
}

/// Writes a piece of an answer as it is.
macro_rules! answer_part {
    ($($said:tt)*) => { $crate::command::said::write(format_args!($($said)*)) };
}

/// Writes a line beside the answer, if anybody listens.
macro_rules! remark {
    ($($said:tt)*) => { $crate::command::said::write_aside(format_args!($($said)*)) };
}

/// Writes to standard output, unless that failed before.
pub fn write(said: fmt::Arguments<'_>) {
    if LOST.get().is_none() {
        note(io::stdout().write_fmt(said));
    }
}

pub fn write_aside(said: fmt::Arguments<'_>) {
    // Where the complaints cannot be written either, there is nobody to tell.
    let _ = io::stderr().write_fmt(format_args!("{said}\n"));
}

fn note(written: io::Result<()>) {
    if let Err(error) = written {
        // One that is known already stays.
        let _ = LOST.set(error);
    }
}

/// Standard output for what writes by itself: it takes everything, and what could not be written is known at the end.
pub struct Answers;

impl Write for Answers {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if LOST.get().is_none() {
            note(io::stdout().write_all(bytes));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if LOST.get().is_none() {
            note(io::stdout().flush());
        }
        Ok(())
    }
}

/// The status of a command that came to its end, once what it wrote is out.
pub fn closed(status: u8) -> u8 {
    let _ = Answers.flush();
    match LOST.get() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe && status != FAULT => {
            complain(FAULT, format!("the answer cannot be written: {error}"))
        }
        _ => status,
    }
}

/// The status of a command that an error stopped, of reading or of writing.
pub fn stopped(error: &io::Error) -> u8 {
    if error.kind() == ErrorKind::BrokenPipe { FAULT } else { complain(FAULT, error) }
}
