//! A small FHIR server of a hospital: it reads, searches, and has the manners that real ones have.

use super::records::{BundleFile, HOSPITAL_A_SERVER, HOSPITAL_B_SERVER, Person};
use crate::fhir::{Node, Object, json};
use crate::intake::{Pairs, decode_pairs};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{Response, StatusCode, header};
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Entries on a page.
const PAGE: usize = 2;

/// What is peculiar to one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    /// Names systems by OID, puts a remark among its results, counts it in the total, links to the next page by a relative URL.
    Remarking,
    /// Gives no total, answers in small pages, and shouts the scheme of its links.
    Terse,
}

/// A hospital's server: its records and its manners.
pub struct Hospital {
    records: Vec<Node>,
    manners: Manners,
    address: SocketAddr,
}

impl Hospital {
    /// Hospital A, which pushes its new records to the gateway and has older ones here.
    pub fn a(person: &Person, address: SocketAddr) -> Hospital {
        Hospital { records: person.records(HOSPITAL_A_SERVER), manners: Manners::Remarking, address }
    }

    /// Hospital B, which pushes nothing.
    pub fn b(person: &Person, address: SocketAddr) -> Hospital {
        Hospital { records: person.records(HOSPITAL_B_SERVER), manners: Manners::Terse, address }
    }

    /// How many records it has besides the patient's own.
    pub fn size(&self) -> usize {
        self.records.iter().filter(|record| record.resource_type() != Some("Patient")).count()
    }

    /// Serves until the future is dropped.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        let routes = Router::new().route("/fhir/{type_name}", get(search)).route("/fhir/{type_name}/{id}", get(read));
        axum::serve(listener, routes.with_state(Arc::new(self))).await
    }
}

/// Hospital B on its own, for trying things out by hand. Answers when it cannot serve any more.
pub async fn serve_alone(listener: TcpListener) -> std::io::Result<()> {
    let address = listener.local_addr()?;
    let person = BundleFile::embedded().person().ok_or_else(|| std::io::Error::other("the embedded records name no patient"))?;
    Hospital::b(&person, address).serve(listener).await
}

async fn read(State(hospital): State<Arc<Hospital>>, Path((type_name, id)): Path<(String, String)>) -> Response<Body> {
    let wanted = |record: &&Node| record.resource_type() == Some(type_name.as_str()) && record.text("id") == Some(id.as_str());
    match hospital.records.iter().find(wanted) {
        Some(record) => answer(StatusCode::OK, record),
        None => answer(StatusCode::NOT_FOUND, &remark("error", "not-found", "It is not here.")),
    }
}

async fn search(State(hospital): State<Arc<Hospital>>, Path(type_name): Path<String>, RawQuery(query): RawQuery) -> Response<Body> {
    let query = query.unwrap_or_default();
    let Ok(pairs) = decode_pairs(&query) else {
        return answer(StatusCode::BAD_REQUEST, &remark("error", "invalid", "The query cannot be read."));
    };
    let value = |name: &str| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let page = value("page").and_then(|page| page.parse::<usize>().ok()).unwrap_or(0);
    let matches = |record: &&Node| record.resource_type() == Some(type_name.as_str()) && is_match(record, &pairs);
    let found: Vec<&Node> = hospital.records.iter().filter(matches).collect();
    let shown: Vec<Node> = found.iter().skip(page * PAGE).take(PAGE).map(|record| entry(record, "match")).collect();
    let next = (found.len() > (page + 1) * PAGE).then(|| next_link(&hospital, &type_name, &pairs, page + 1));
    answer(StatusCode::OK, &hospital.searchset(shown, next))
}

impl Hospital {
    fn searchset(&self, mut entries: Vec<Node>, next: Option<String>) -> Node {
        if self.manners == Manners::Remarking {
            entries.push(entry(&remark("information", "informational", "Records before 2009 are kept on paper."), "outcome"));
        }
        let total = (self.manners == Manners::Remarking).then_some(entries.len() as u64);
        let link = next.map(|url| vec![Object::new().with("relation", "next").with("url", url).into()]);
        Object::resource("Bundle")
            .with("type", "searchset")
            .with_some("total", total)
            .with_some("link", link)
            .with_some("entry", (!entries.is_empty()).then_some(entries))
            .into()
    }
}

/// Parameters it does not know it passes over, as many servers do.
fn is_match(record: &Node, pairs: &Pairs) -> bool {
    pairs.iter().all(|(name, value)| match name.as_str() {
        "_id" => record.text("id") == Some(value),
        "identifier" => record.items("identifier").iter().any(|identifier| {
            let (system, wanted) = value.split_once('|').unwrap_or(("", value));
            identifier.text("value") == Some(wanted) && (system.is_empty() || identifier.text("system") == Some(system))
        }),
        "patient" | "subject" => {
            let reference = record.text_at(&["subject", "reference"]).unwrap_or_default();
            reference.rsplit('/').next() == value.rsplit('/').next()
        }
        "code" => {
            let wanted = value.rsplit('|').next();
            record.get("code").is_some_and(|code| code.items("coding").iter().any(|coding| coding.text("code") == wanted))
        }
        _ => true,
    })
}

fn next_link(hospital: &Hospital, type_name: &str, pairs: &Pairs, page: usize) -> String {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let kept = pairs.iter().filter(|(name, _)| name != "page").map(|(name, value)| format!("{}={}&", escape(name), escape(value)));
    let relative = format!("{type_name}?{}page={page}", kept.collect::<String>());
    match hospital.manners {
        Manners::Remarking => relative,
        Manners::Terse => format!("HTTP://{}/fhir/{relative}", hospital.address),
    }
}

fn entry(resource: &Node, mode: &str) -> Node {
    Object::new().with("resource", resource.clone()).with("search", Object::new().with("mode", mode)).into()
}

fn remark(severity: &str, code: &str, text: &str) -> Node {
    let issue = Object::new().with("severity", severity).with("code", code).with("diagnostics", text);
    Object::resource("OperationOutcome").with("issue", vec![issue.into()]).into()
}

fn answer(status: StatusCode, resource: &Node) -> Response<Body> {
    let mut response = Response::new(Body::from(json::write(resource)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/fhir+json"));
    response
}
