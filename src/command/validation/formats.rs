//! How findings are written: for people, for programs, for code review and for build servers.

use crate::fhir::{Node, Object, json};
use crate::outcome::{Finding, Severity};
use crate::problem::outcome_placed;
use clap::ValueEnum;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::io::{self, Write};
use std::sync::Arc;

/// The ways findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line a finding.
    Text,
    /// A line a resource: its file and an OperationOutcome.
    Ndjson,
    /// One OperationOutcome, or a Bundle of them when there are several resources.
    Json,
    /// SARIF 2.1.0, for code review tools.
    Sarif,
    /// JUnit XML, for build servers.
    Junit,
}

/// One resource's findings, with what is needed to place them.
#[derive(Debug)]
pub struct Verdict {
    pub file: String,
    pub line: Option<u64>,
    /// The entry of a Bundle that was judged by itself.
    pub entry: Option<usize>,
    pub bytes: Arc<Vec<u8>>,
    pub findings: Vec<Finding>,
}

impl Verdict {
    /// Line and column of a finding in the file; none of them for one that has no place.
    fn place(&self, finding: &Finding) -> (u64, u64) {
        finding.offset.map_or((self.line.unwrap_or_default(), 0), |offset| self.place_of(offset as usize))
    }

    /// Line and column of a byte in the file. What a stream's line lacks is missing at its end, and not on the next line.
    fn place_of(&self, offset: usize) -> (u64, u64) {
        match self.line {
            Some(number) => {
                let line = self.bytes.trim_ascii_end();
                (number, json::line_and_column(line, offset.min(line.len())).1 as u64)
            }
            None => {
                let (line, column) = json::line_and_column(&self.bytes, offset);
                (line as u64, column as u64)
            }
        }
    }

    fn name(&self) -> String {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        let entry = self.entry.map(|entry| format!(" entry[{entry}]")).unwrap_or_default();
        format!("{}{line}{entry}", self.file)
    }

    fn outcome(&self) -> Node {
        outcome_placed(&self.findings, Some(&|offset| self.place_of(offset)))
    }
}

const OUTCOME_FILE: &str = "http://hl7.org/fhir/StructureDefinition/operationoutcome-file";
const SARIF_SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Writes verdicts as they come, in their order.
pub struct Writer<W: Write> {
    out: W,
    format: Format,
    /// How many verdicts there will be, if it is known that there is just one.
    is_single: bool,
    written: u64,
}

impl<W: Write> Writer<W> {
    pub fn begin(mut out: W, format: Format, is_single: bool) -> io::Result<Writer<W>> {
        match format {
            Format::Json if !is_single => write!(out, "{{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\":[")?,
            Format::Sarif => write!(
                out,
                "{{\"$schema\":\"{SARIF_SCHEMA}\",\"version\":\"2.1.0\",\"runs\":[{{\"tool\":{{\"driver\":{{\"name\":\"hearthgate\",\"version\":\"{}\"}}}},\"results\":[",
                env!("CARGO_PKG_VERSION")
            )?,
            Format::Junit => {
                writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites><testsuite name=\"hearthgate validate\">")?
            }
            _ => {}
        }
        Ok(Writer { out, format, is_single, written: 0 })
    }

    pub fn write(&mut self, verdict: &Verdict) -> io::Result<()> {
        match self.format {
            Format::Text => self.text(verdict),
            Format::Ndjson => self.line(verdict),
            Format::Json => self.json(verdict),
            Format::Sarif => self.sarif(verdict),
            Format::Junit => self.junit(verdict),
        }
    }

    pub fn end(mut self) -> io::Result<()> {
        match self.format {
            Format::Json if !self.is_single => writeln!(self.out, "]}}")?,
            Format::Sarif => writeln!(self.out, "]}}]}}")?,
            Format::Junit => writeln!(self.out, "</testsuite></testsuites>")?,
            _ => {}
        }
        self.out.flush()
    }

    fn text(&mut self, verdict: &Verdict) -> io::Result<()> {
        for finding in &verdict.findings {
            let (line, column) = verdict.place(finding);
            let (severity, place) = (finding.severity.code(), &finding.expression);
            writeln!(self.out, "{}:{line}:{column}: {severity}: {place}: {} [{}]", verdict.file, finding.text, finding.message_id)?;
        }
        Ok(())
    }

    fn line(&mut self, verdict: &Verdict) -> io::Result<()> {
        let line = Object::new()
            .with("file", verdict.file.as_str())
            .with_some("line", verdict.line)
            .with_some("entry", verdict.entry.map(|entry| entry as u64))
            .with("outcome", verdict.outcome());
        writeln!(self.out, "{}", json::write(&line.into()))
    }

    fn json(&mut self, verdict: &Verdict) -> io::Result<()> {
        if self.is_single {
            return writeln!(self.out, "{}", json::write_pretty(&verdict.outcome()));
        }
        let file = Object::new().with("url", OUTCOME_FILE).with("valueString", verdict.name());
        let mut outcome = Object::resource("OperationOutcome").with("extension", vec![Node::from(file)]);
        if let Some(issues) = verdict.outcome().get("issue") {
            outcome.set("issue", issues.clone());
        }
        self.separate()?;
        write!(self.out, "{{\"resource\":{}}}", json::write(&outcome.into()))
    }

    fn separate(&mut self) -> io::Result<()> {
        self.written += 1;
        if self.written > 1 { write!(self.out, ",") } else { Ok(()) }
    }

    fn sarif(&mut self, verdict: &Verdict) -> io::Result<()> {
        for finding in &verdict.findings {
            let level = match finding.severity {
                Severity::Fatal | Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Information => "note",
            };
            let (line, column) = verdict.place(finding);
            let region = (line > 0).then(|| Object::new().with("startLine", line).with("startColumn", column.max(1)));
            let physical =
                Object::new().with("artifactLocation", Object::new().with("uri", uri(&verdict.file))).with_some("region", region);
            let logical = Object::new().with("fullyQualifiedName", finding.expression.as_str());
            let location = Object::new()
                .with("physicalLocation", physical)
                .with_some("logicalLocations", (!finding.expression.is_empty()).then(|| vec![Node::from(logical)]));
            let result = Object::new()
                .with("ruleId", finding.message_id)
                .with("level", level)
                .with("message", Object::new().with("text", finding.text.as_str()))
                .with("locations", vec![Node::from(location)]);
            self.separate()?;
            write!(self.out, "{}", json::write(&result.into()))?;
        }
        Ok(())
    }

    fn junit(&mut self, verdict: &Verdict) -> io::Result<()> {
        writeln!(self.out, "<testcase name=\"{}\" classname=\"{}\">", escaped(&verdict.name()), escaped(&verdict.file))?;
        let (errors, others): (Vec<&Finding>, Vec<&Finding>) = verdict.findings.iter().partition(|finding| finding.is_error());
        for finding in errors {
            let (line, column) = verdict.place(finding);
            let (kind, text) = (escaped(finding.message_id), escaped(&format!("{}: {}", finding.expression, finding.text)));
            writeln!(self.out, "<failure type=\"{kind}\" message=\"{text}\">line {line}, column {column}</failure>")?;
        }
        if !others.is_empty() {
            let lines: Vec<String> =
                others.iter().map(|finding| format!("{}: {}: {}", finding.severity.code(), finding.expression, finding.text)).collect();
            writeln!(self.out, "<system-out>{}</system-out>", escaped(&lines.join("\n")))?;
        }
        writeln!(self.out, "</testcase>")
    }
}

/// A file's name as a relative URI (RFC 3986, section 3.3). A colon would be allowed, but for that it ends a scheme where the name begins with it.
fn uri(file: &str) -> String {
    #[rustfmt::skip]
    const NOT_IN_PATHS: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'!').remove(b'$').remove(b'&').remove(b'\'').remove(b'(').remove(b')')
        .remove(b'*').remove(b'+').remove(b',').remove(b';').remove(b'=').remove(b'@').remove(b'/');
    utf8_percent_encode(file, NOT_IN_PATHS).to_string()
}

/// Text as XML 1.0 can hold it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            letter if letter.is_control() => escaped.push('\u{FFFD}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::IssueType;

    #[test]
    fn every_format() {
        let text = b"{\"resourceType\":\"X\",\n \"a\":1}".to_vec();
        let finding = Finding::error(IssueType::Invalid, "SOME_RULE", "No <a> & \"b\"").at("X.a").at_offset(Some(26));
        let verdict =
            || Verdict { file: "a b.json".into(), line: None, entry: None, bytes: text.clone().into(), findings: vec![finding.clone()] };
        let written = |format, count: usize| {
            let mut out = Vec::new();
            let mut writer = Writer::begin(&mut out, format, count == 1).unwrap();
            for _ in 0..count {
                writer.write(&verdict()).unwrap();
            }
            writer.end().unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(Format::Text, 1), "a b.json:2:6: error: X.a: No <a> & \"b\" [SOME_RULE]\n");
        let parse = |text: &str| json::parse(text.as_bytes(), 64).unwrap();
        let line = parse(&written(Format::Ndjson, 1));
        assert_eq!(line.text("file"), Some("a b.json"));
        assert_eq!(parse(&written(Format::Json, 1)).resource_type(), Some("OperationOutcome"));
        assert_eq!(parse(&written(Format::Json, 2)).items("entry").len(), 2);
        assert_eq!(parse(&written(Format::Json, 0)).items("entry").len(), 0);
        let sarif = parse(&written(Format::Sarif, 2));
        let results = sarif.items("runs")[0].items("results");
        assert_eq!(results.len(), 2);
        let place = results[0].items("locations")[0].get("physicalLocation").unwrap();
        assert_eq!(place.get("artifactLocation").unwrap().text("uri"), Some("a%20b.json"));
        assert_eq!(place.get("region").unwrap().get("startLine").unwrap().as_number(), Some("2"));
        let junit = written(Format::Junit, 1);
        assert!(junit.contains("message=\"X.a: No &lt;a&gt; &amp; &quot;b&quot;\""), "{junit}");
    }

    #[test]
    fn names_of_files_are_uris() {
        for (file, expected) in [
            ("a b/c.json", "a%20b/c.json"),
            ("od d/<&\"'>.json", "od%20d/%3C&%22'%3E.json"),
            ("100%#1?.json", "100%25%231%3F.json"),
            ("x:y[0]{^}|\\`.json", "x%3Ay%5B0%5D%7B%5E%7D%7C%5C%60.json"),
            ("/é.json", "/%C3%A9.json"),
        ] {
            assert_eq!(uri(file), expected);
        }
    }

    /// A stream's line is a line of the file for every format, and what it lacks is missing at its end.
    #[test]
    fn lines_of_a_stream() {
        let bytes = b"{\"a\":1\n".to_vec();
        let finding = Finding::error(IssueType::Structure, "SOME_RULE", "No end").at_offset(Some(8));
        let verdict = Verdict { file: "a.ndjson".into(), line: Some(3), entry: None, bytes: bytes.into(), findings: vec![finding] };
        let written = |format| {
            let mut out = Vec::new();
            let mut writer = Writer::begin(&mut out, format, true).unwrap();
            writer.write(&verdict).unwrap();
            writer.end().unwrap();
            String::from_utf8(out).unwrap()
        };
        assert!(written(Format::Text).starts_with("a.ndjson:3:7: "));
        for format in [Format::Ndjson, Format::Json] {
            let document = json::parse(written(format).as_bytes(), 64).unwrap();
            let outcome = document.get("outcome").unwrap_or(&document);
            let places = outcome.items("issue")[0].items("extension").iter().filter_map(|one| one.get("valueInteger")?.as_number());
            assert_eq!(places.collect::<Vec<_>>(), ["3", "7"]);
        }
    }
}
