//! What is wrong with a configuration, said so that the operator finds the line.

use super::limits::Limit;
use std::fmt;

/// One thing wrong: where (`[server] listen`, `[[client]] "laboratory" scopes`) and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The section as the file writes it, with the party's name where there are several; empty when the file as a whole is meant.
    pub section: String,
    /// The key, empty when the section as a whole is meant.
    pub key: String,
    /// The line of the file, counted from one, when it is known.
    pub line: Option<usize>,
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = [self.section.as_str(), self.key.as_str()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        match place.is_empty() {
            true => write!(f, "{}", self.text),
            false => write!(f, "{place}: {}", self.text),
        }
    }
}

/// Why a configuration was not taken: every problem found, never empty. Its text holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, or empty for text that came from elsewhere.
    pub file: String,
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            let colon = if self.file.is_empty() { "" } else { ": " };
            write!(f, "{newline}{}{colon}{problem}", self.file)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Collects problems, so that an operator sees all of them at once.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub fn add(&mut self, section: &str, key: &str, text: impl Into<String>) {
        self.0.push(Problem { section: section.to_owned(), key: key.to_owned(), line: None, text: text.into() });
    }

    /// Adds a problem unless the condition holds.
    pub fn require(&mut self, condition: bool, section: &str, key: &str, text: &str) {
        if !condition {
            self.add(section, key, text);
        }
    }

    /// Holds a number to its range.
    pub fn within(&mut self, section: &str, key: &str, value: u64, limit: Limit) {
        if value < limit.min || value > limit.max {
            self.add(section, key, format!("{value} is outside {} to {}; the default is {}", limit.min, limit.max, limit.default));
        }
    }

    /// The value when nothing was wrong, else all that was.
    pub fn finish<T>(self, value: T, file: &str) -> Result<T, ConfigError> {
        match self.0.is_empty() {
            true => Ok(value),
            false => Err(ConfigError { file: file.to_owned(), problems: self.0 }),
        }
    }
}

/// Turns a TOML or shape error into a problem. The offending line itself is not quoted: it may hold a secret written in the wrong place.
pub fn from_toml_error(error: &toml::de::Error, text: &str, file: &str) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map(|before| before.matches('\n').count() + 1);
    let lines_up_to = text.lines().take(line.unwrap_or(0));
    let section = lines_up_to.clone().filter_map(section_header).last().unwrap_or_default();
    let key = lines_up_to.last().and_then(|line| line.split_once('=')).map(|(key, _)| key.trim()).filter(|key| is_bare_key(key));
    let problem =
        Problem { section: section.to_owned(), key: key.unwrap_or_default().to_owned(), line, text: without_values(error.message()) };
    ConfigError { file: file.to_owned(), problems: vec![problem] }
}

fn section_header(line: &str) -> Option<&str> {
    let line = line.split('#').next().unwrap_or_default().trim();
    (line.starts_with('[') && line.ends_with(']') && !line.contains('=') && !line.contains('"')).then_some(line)
}

fn is_bare_key(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// serde quotes an unexpected string in its message; what stands between the quotes might be a password.
fn without_values(message: &str) -> String {
    let message = message.trim();
    let Some((head, rest)) = message.split_once("invalid type: string \"") else { return message.replace('\n', "; ") };
    let expected = rest.rsplit_once("\", expected ").map_or("something else", |(_, expected)| expected);
    format!("{head}invalid type: a string, expected {expected}")
}
