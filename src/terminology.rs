//! An external terminology server: asked what the definitions in hand cannot say about a code.
//!
//! In scope: `$validate-code` over HTTP for a document's questions, a bounded cache, time limits, and judging a document with the answers
//! ([`Server::examine`]). Out of scope: deciding (`validate` does, without waiting for anything), expansion, other operations.
//!
//! Invariants: what is sent is a code, its system, version and display, and the value set, never anything else of a document; at most
//! [`QUESTIONS_MAX`](crate::validate::asking::QUESTIONS_MAX) questions a document; a server that is away is not waited for again for a while, and
//! the findings say that it was away.
//!
//! Follows <https://hl7.org/fhir/R4/valueset-operation-validate-code.html> and <https://hl7.org/fhir/R4/codesystem-operation-validate-code.html>.

use crate::clock::{Clock, Instant};
use crate::definitions::Definitions;
use crate::fhir::{Node, Object, json};
use crate::outcome::{Fault, FaultKind, Finding};
use crate::validate::asking::{Answer, Answers, Failure, Question};
use crate::validate::{Options, check_asking};
use futures_util::{StreamExt, stream};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Questions that are asked at the same time.
const CONCURRENCY: usize = 8;
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// How deep an answer may nest.
const ANSWER_DEPTH: usize = 64;
/// Answers that are kept; when there are more, all are forgotten.
const CACHE_MAX: usize = 20_000;
/// How long a server that did not answer is left alone.
const AWAY_FOR: Duration = Duration::from_secs(10);

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// The base of its FHIR interface.
    pub url: String,
    pub time_out: Duration,
    /// How long an answer is taken as still true.
    pub keep_for: Duration,
}

/// A terminology server.
pub struct Server {
    reach: Reach,
    http: reqwest::Client,
    clock: Clock,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    answers: HashMap<Question, (Answer, Instant)>,
    /// Until when the server is left alone, and why.
    away: Option<(Instant, Failure)>,
}

impl Server {
    pub fn new(reach: Reach, clock: Clock) -> Result<Server, Fault> {
        // Another part of the process may have installed the provider before; either way there is one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(reach.time_out).build();
        let http = http.map_err(|error| Fault::new(FaultKind::Internal, format!("no HTTP client can be made: {error}")))?;
        Ok(Server { reach, http, clock, memory: Mutex::default() })
    }

    /// Judges a document, asking where the definitions in hand end.
    pub async fn examine(&self, definitions: &Definitions, resource: &Node, options: &Options) -> Vec<Finding> {
        let (findings, questions) = check_asking(definitions, resource, options);
        if questions.is_empty() {
            return findings;
        }
        let options = Options { answers: Arc::new(self.answers(questions).await), ..options.clone() };
        check_asking(definitions, resource, &options).0
    }

    /// Answers to questions.
    pub async fn answers(&self, questions: Vec<Question>) -> Answers {
        let asked = stream::iter(questions).map(|question| async {
            let answer = self.answer(&question).await;
            (question, answer)
        });
        let all: Vec<(Question, Answer)> = asked.buffered(CONCURRENCY).collect().await;
        let mut answers = Answers::default();
        for (question, answer) in all {
            answers.put(question, answer);
        }
        answers
    }

    async fn answer(&self, question: &Question) -> Answer {
        if let Some(known) = self.remembered(question) {
            return known;
        }
        let answer = self.fetch(question).await.unwrap_or_else(Answer::Away);
        self.remember(question, answer);
        answer
    }

    fn remembered(&self, question: &Question) -> Option<Answer> {
        let now = self.clock.now();
        let memory = self.memory.lock().ok()?;
        if let Some((_, why)) = memory.away.filter(|(until, _)| *until > now) {
            return Some(Answer::Away(why));
        }
        memory.answers.get(question).filter(|(_, at)| now.since(*at) < self.reach.keep_for).map(|(answer, _)| *answer)
    }

    fn remember(&self, question: &Question, answer: Answer) {
        let now = self.clock.now();
        let Ok(mut memory) = self.memory.lock() else { return };
        if let Answer::Away(why) = answer {
            memory.away = Some((now + AWAY_FOR, why));
            return;
        }
        if memory.answers.len() >= CACHE_MAX {
            memory.answers.clear();
        }
        memory.answers.insert(question.clone(), (answer, now));
    }

    async fn fetch(&self, question: &Question) -> Result<Answer, Failure> {
        let kind = if question.value_set.is_some() { "ValueSet" } else { "CodeSystem" };
        let url = format!("{}/{kind}/$validate-code", self.reach.url.trim_end_matches('/'));
        let body = json::write(&parameters(question));
        let request =
            self.http.post(url).header("content-type", "application/fhir+json").header("accept", "application/fhir+json").body(body);
        let mut response = request.send().await.map_err(failure)?;
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failure)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_BYTES_MAX {
                return Err(Failure::TooLarge);
            }
        }
        read_answer(status, &bytes)
    }
}

/// The parameters of `$validate-code`.
fn parameters(question: &Question) -> Node {
    let mut list: Vec<Node> = Vec::new();
    let mut add = |name: &str, member: &str, value: Option<&str>| {
        list.extend(value.map(|value| Node::from(Object::new().with("name", name).with(member, value))));
    };
    let (set, set_version) = question.value_set.as_deref().map(|set| set.split_once('|').unwrap_or((set, ""))).unzip();
    add("url", "valueUri", set.or(question.system.as_deref()));
    add("valueSetVersion", "valueString", set_version.filter(|version| !version.is_empty()));
    if question.value_set.is_some() {
        add("system", "valueUri", question.system.as_deref());
        add("systemVersion", "valueString", question.version.as_deref());
    } else {
        add("version", "valueString", question.version.as_deref());
    }
    add("code", "valueCode", Some(&question.code));
    add("display", "valueString", question.display.as_deref());
    if question.value_set.is_some() && question.system.is_none() {
        list.push(Object::new().with("name", "inferSystem").with("valueBoolean", true).into());
    }
    Object::resource("Parameters").with("parameter", list).into()
}

/// Why there was no response. What the error says of the address is not repeated.
fn failure(error: reqwest::Error) -> Failure {
    if error.is_timeout() { Failure::TimeOut } else { Failure::Unreachable }
}

/// What a response says, if it is an answer.
fn read_answer(status: u16, body: &[u8]) -> Result<Answer, Failure> {
    match status {
        200 => {}
        // What it has no definition of, it refuses.
        400 | 404 | 422 => return Ok(Answer::Unknown),
        401 | 403 => return Err(Failure::Refused),
        _ => return Err(Failure::Status(status)),
    }
    let document = json::parse(body, ANSWER_DEPTH).ok().filter(|document| document.resource_type() == Some("Parameters"));
    document.as_ref().and_then(result).ok_or(Failure::Malformed)
}

/// What the Parameters of `$validate-code` say; none where they have no result.
fn result(document: &Node) -> Option<Answer> {
    let parameter = |name: &str| document.items("parameter").iter().find(|one| one.text("name") == Some(name));
    let issues = parameter("issues").and_then(|one| one.get("resource")).map(|outcome| outcome.items("issue")).unwrap_or_default();
    let codes: Vec<&str> = issues
        .iter()
        .filter_map(|issue| issue.get("details"))
        .flat_map(|details| details.items("coding"))
        .filter_map(|coding| coding.text("code"))
        .collect();
    let is_true = parameter("result")?.get("valueBoolean").and_then(Node::as_bool)?;
    let no_definition =
        parameter("x-caused-by-unknown-system").is_some() || parameter("x-unknown-system").is_some() || codes.contains(&"not-found");
    Some(match is_true {
        true => Answer::Right,
        false if no_definition => Answer::Unknown,
        false if codes.contains(&"invalid-code") || codes.contains(&"not-in-vs") => Answer::Wrong,
        // A server that states the right display knows the code, so only the display was wrong.
        false if codes.contains(&"invalid-display") || parameter("display").is_some() => Answer::WrongDisplay,
        false => Answer::Wrong,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ScriptedTime;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    #[test]
    fn answers_are_read() {
        let parameters = |rest: &str| format!(r#"{{"resourceType": "Parameters", "parameter": [{rest}]}}"#);
        let no = r#"{"name": "result", "valueBoolean": false}"#;
        let issue = |code: &str| {
            format!(
                r#"{no}, {{"name": "issues", "resource": {{"resourceType": "OperationOutcome", "issue": [{{"details": {{"coding": [{{"code": "{code}"}}]}}}}]}}}}"#
            )
        };
        for (status, body, expected) in [
            (200, parameters(r#"{"name": "result", "valueBoolean": true}"#), Ok(Answer::Right)),
            (200, parameters(no), Ok(Answer::Wrong)),
            (200, parameters(&issue("invalid-code")), Ok(Answer::Wrong)),
            (200, parameters(&issue("invalid-display")), Ok(Answer::WrongDisplay)),
            (200, parameters(&format!(r#"{no}, {{"name": "display", "valueString": "right"}}"#)), Ok(Answer::WrongDisplay)),
            (200, parameters(&issue("not-found")), Ok(Answer::Unknown)),
            (200, parameters(&format!(r#"{no}, {{"name": "x-caused-by-unknown-system", "valueUri": "x"}}"#)), Ok(Answer::Unknown)),
            (404, r#"{"resourceType": "OperationOutcome"}"#.to_owned(), Ok(Answer::Unknown)),
            (200, parameters(""), Err(Failure::Malformed)),
            (200, "<html>".to_owned(), Err(Failure::Malformed)),
            (503, "{}".to_owned(), Err(Failure::Status(503))),
            (401, parameters(no), Err(Failure::Refused)),
            (403, String::new(), Err(Failure::Refused)),
            (302, String::new(), Err(Failure::Status(302))),
        ] {
            assert_eq!(read_answer(status, body.as_bytes()), expected, "{status} {body}");
        }
    }

    #[test]
    fn the_version_of_a_value_set_is_asked_for() {
        let sent = |set: &str| json::write(&parameters(&Question { value_set: Some(set.into()), ..question("a") }));
        let url = r#"{"name":"url","valueUri":"http://example.org/vs"}"#;
        let version = r#"{"name":"valueSetVersion","valueString":"1"}"#;
        assert!(sent("http://example.org/vs|1").contains(&format!("{url},{version}")));
        assert!(sent("http://example.org/vs").contains(url) && !sent("http://example.org/vs").contains("valueSetVersion"));
    }

    fn question(code: &str) -> Question {
        Question { value_set: None, system: Some("http://example.org/cs".into()), version: None, code: code.into(), display: None }
    }

    /// A server that answers so many requests, one a connection, with a fixed body.
    fn serve(times: usize, body: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming().take(times) {
                let mut stream = stream.unwrap();
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).unwrap();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
            }
        });
        url
    }

    #[tokio::test]
    async fn answers_are_kept_and_absence_is_said() {
        let time = ScriptedTime::starting_at(Instant::from_fhir_instant("2026-01-01T00:00:00Z").unwrap());
        let right = r#"{"resourceType": "Parameters", "parameter": [{"name": "result", "valueBoolean": true}]}"#;
        let reach = Reach { url: serve(1, right), time_out: Duration::from_secs(5), keep_for: Duration::from_secs(60) };
        let server = Server::new(reach, time.clock()).unwrap();
        assert_eq!(server.answer(&question("a")).await, Answer::Right);
        assert_eq!(server.answer(&question("a")).await, Answer::Right, "the server answers once; the second is from memory");
        time.advance(Duration::from_secs(61));
        assert_eq!(
            server.answer(&question("a")).await,
            Answer::Away(Failure::Unreachable),
            "what is too old is asked again, and nobody is there"
        );
        assert_eq!(server.remembered(&question("b")), Some(Answer::Away(Failure::Unreachable)), "nor is it asked again at once");
        time.advance(AWAY_FOR + Duration::from_secs(1));
        assert_eq!(server.remembered(&question("b")), None);
        let text =
            r#"{"resourceType": "Observation", "status": "final", "code": {"coding": [{"system": "http://example.org/cs", "code": "a"}]}}"#;
        let resource = json::parse(text.as_bytes(), 16).unwrap();
        let findings = server.examine(Definitions::embedded(), &resource, &Options::default()).await;
        assert!(findings.iter().any(|finding| finding.message_id == "TERMINOLOGY_SERVER_AWAY"), "{findings:?}");
    }
    /// A server that takes one request and gives this as its whole response, or keeps silent.
    fn serve_once(response: String) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let _ = stream.write_all(response.as_bytes());
            // Until the other side has enough.
            while response.is_empty() && stream.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
        });
        url
    }

    #[tokio::test]
    async fn failures_are_told_apart() {
        let response =
            |status: &str, body: &str| format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        for (response, words) in [
            (String::new(), "did not answer in time"),
            (response("401 Unauthorized", "secret"), "asks for a credential"),
            (response("503 Service Unavailable", "secret"), "status 503"),
            (response("200 OK", "secret"), "none to $validate-code"),
            (response("200 OK", &"secret".repeat(ANSWER_BYTES_MAX / 6 + 1)), "too large"),
            ("secret".to_owned(), "could not be reached"),
        ] {
            let time = ScriptedTime::starting_at(Instant::from_fhir_instant("2026-01-01T00:00:00Z").unwrap());
            let reach = Reach { url: serve_once(response), time_out: Duration::from_millis(500), keep_for: Duration::from_secs(60) };
            let text = r#"{"resourceType": "Basic", "code": {"coding": [{"system": "http://example.org/cs", "code": "a"}]}}"#;
            let resource = json::parse(text.as_bytes(), 16).unwrap();
            let server = Server::new(reach, time.clock()).unwrap();
            let findings = server.examine(Definitions::embedded(), &resource, &Options::default()).await;
            let away = findings.iter().find(|finding| finding.message_id == "TERMINOLOGY_SERVER_AWAY").unwrap();
            assert!(away.text.contains(words) && !away.text.contains("secret"), "{words}: {}", away.text);
        }
    }
}
