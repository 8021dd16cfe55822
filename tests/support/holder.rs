//! A FHIR server behind the gateway, as good or as bad as a test wants it: a holder that is asked, or a destination that is sent to.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the server does when it is called.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// Answers searches and reads from its records, and takes what is sent.
    Honest,
    /// Never answers.
    Hang,
    Status(u16),
    /// A page for people, with status 200.
    Html,
    /// A FHIR answer that breaks off.
    Truncated,
    /// Gives every record it has, whoever was asked for.
    Careless,
    /// Has an entry in its answer that stands on another server.
    Mixing,
    /// A next link to the same page, for ever.
    LoopingLink,
    /// A next link to another server.
    ForeignLink,
    /// A body without end.
    Huge,
    /// Sends the caller elsewhere.
    Redirect,
    /// Says that it knows Observations by patient, and nothing else; answers as ever.
    Stating,
    /// FHIR that calls itself a page for people.
    Mislabelled,
    /// Like this when it is asked for one type, and honest otherwise.
    Of(&'static str, Box<Behaviour>),
    /// Answers as ever, this much later.
    Late(Duration),
    /// Says that it knows these types, each with what can be done and the parameters it can be searched by; answers as ever.
    Listing(Vec<(&'static str, &'static [&'static str], &'static [&'static str])>),
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    /// Path and query below the base.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

#[derive(Default)]
struct Inner {
    records: Vec<Value>,
    behaviours: Vec<Behaviour>,
    seen: Vec<Seen>,
}

/// The running server. It stops when it is dropped.
#[derive(Clone)]
pub struct Holder {
    /// Its FHIR base.
    pub base: String,
    inner: Arc<Mutex<Inner>>,
    _stop: Arc<tokio::sync::oneshot::Sender<()>>,
}

impl Holder {
    pub async fn start(records: Vec<Value>) -> Holder {
        let inner = Arc::new(Mutex::new(Inner { records, ..Inner::default() }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/fhir", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state((base.clone(), Arc::clone(&inner)));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        tokio::spawn(async move {
            tokio::select! {
                ended = axum::serve(listener, router).into_future() => ended.unwrap(),
                _ = stopped => {}
            }
        });
        Holder { base, inner, _stop: Arc::new(stop) }
    }

    /// What it has from now on.
    pub fn hold(&self, records: Vec<Value>) {
        self.inner.lock().unwrap().records = records;
    }

    /// From now on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.inner.lock().unwrap().behaviours = vec![behaviour];
    }

    /// One after the other for the next calls, the last one for good.
    pub fn behave_in_turn(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        let mut turns: Vec<Behaviour> = behaviours.into_iter().collect();
        turns.reverse();
        self.inner.lock().unwrap().behaviours = turns;
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.inner.lock().unwrap().seen.clone()
    }

    /// What was sent here with PUT or DELETE.
    pub fn delivered(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.method != Method::GET).collect()
    }
}

async fn answer(
    State((base, inner)): State<(String, Arc<Mutex<Inner>>)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let path = uri.path_and_query().map(|path| path.as_str().trim_start_matches("/fhir/").to_owned()).unwrap_or_default();
    let (behaviour, records) = {
        let mut inner = inner.lock().unwrap();
        inner.seen.push(Seen { method: method.clone(), path: path.clone(), headers, body });
        let behaviour = if inner.behaviours.len() > 1 { inner.behaviours.pop() } else { inner.behaviours.last().cloned() };
        (behaviour.unwrap_or(Behaviour::Honest), inner.records.clone())
    };
    let behaviour = match behaviour {
        Behaviour::Of(type_name, there) if path.split(['/', '?']).next() == Some(type_name) => *there,
        Behaviour::Of(..) => Behaviour::Honest,
        everywhere => everywhere,
    };
    match behaviour {
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Late(by) => {
            let (status, body) = honest(&base, &method, &path, &records);
            tokio::time::sleep(by).await;
            response(status, "application/fhir+json", body.to_string())
        }
        Behaviour::Status(status) => {
            response(status, "application/fhir+json", r#"{"resourceType":"OperationOutcome","issue":[]}"#.to_owned())
        }
        Behaviour::Html => response(200, "text/html", "<html><body>Please log in</body></html>".to_owned()),
        Behaviour::Truncated => {
            let whole = honest(&base, &method, &path, &records).1.to_string();
            response(200, "application/fhir+json", whole[..whole.len() - 20].to_owned())
        }
        Behaviour::Careless if path.contains('?') && !path.starts_with("Patient?") => {
            let type_name = path.split('?').next().unwrap_or_default();
            let all: Vec<&Value> = records.iter().filter(|record| record["resourceType"] == type_name).collect();
            response(200, "application/fhir+json", searchset(&base, &all).to_string())
        }
        Behaviour::Mixing if path.starts_with("Observation?") => {
            let (status, mut body) = honest(&base, &method, &path, &records);
            let mut other = body["entry"][0].clone();
            other["resource"]["id"] = json!("of-another");
            other["fullUrl"] = json!("https://another.example/fhir/Observation/of-another");
            body["entry"].as_array_mut().unwrap().push(other);
            response(status, "application/fhir+json", body.to_string())
        }
        Behaviour::LoopingLink if !path.starts_with("Patient?") => linked(&base, &method, &path, &records, &format!("{base}/{path}")),
        Behaviour::ForeignLink if !path.starts_with("Patient?") => {
            linked(&base, &method, &path, &records, "http://169.254.169.254/fhir/Observation?page=2")
        }
        Behaviour::Huge => {
            let chunks = futures_util::stream::repeat(Ok::<_, Infallible>(Bytes::from(vec![b' '; 64 * 1024])));
            Response::new(Body::from_stream(chunks))
        }
        Behaviour::Redirect => {
            let mut elsewhere = response(302, "text/plain", String::new());
            elsewhere.headers_mut().insert("location", "http://169.254.169.254/latest/meta-data".parse().unwrap());
            elsewhere
        }
        Behaviour::Stating if path == "metadata" => {
            let observation = json!({
                "type": "Observation",
                "interaction": [{"code": "search-type"}],
                "searchParam": [{"name": "patient", "type": "reference"}],
            });
            let statement = json!({"resourceType": "CapabilityStatement", "rest": [{"mode": "server", "resource": [observation]}]});
            response(200, "application/fhir+json", statement.to_string())
        }
        Behaviour::Listing(types) if path == "metadata" => {
            let listed = types.iter().map(|(type_name, interactions, parameters)| {
                let interactions: Vec<Value> = interactions.iter().map(|code| json!({"code": code})).collect();
                let parameters: Vec<Value> = parameters.iter().map(|name| json!({"name": name})).collect();
                json!({"type": type_name, "interaction": interactions, "searchParam": parameters})
            });
            let rest = json!([{"mode": "server", "resource": listed.collect::<Vec<_>>()}]);
            response(200, "application/fhir+json", json!({"resourceType": "CapabilityStatement", "rest": rest}).to_string())
        }
        Behaviour::Mislabelled => response(200, "text/html", honest(&base, &method, &path, &records).1.to_string()),
        Behaviour::Stating
        | Behaviour::Of(..)
        | Behaviour::Listing(_)
        | Behaviour::Honest
        | Behaviour::Careless
        | Behaviour::Mixing
        | Behaviour::LoopingLink
        | Behaviour::ForeignLink => {
            let (status, body) = honest(&base, &method, &path, &records);
            tokio::time::sleep(Duration::from_millis(1)).await;
            response(status, "application/fhir+json", body.to_string())
        }
    }
}

fn linked(base: &str, method: &Method, path: &str, records: &[Value], next: &str) -> Response<Body> {
    let (status, mut body) = honest(base, method, path, records);
    body["link"] = json!([{"relation": "next", "url": next}]);
    response(status, "application/fhir+json", body.to_string())
}

fn response(status: u16, media: &str, body: String) -> Response<Body> {
    Response::builder().status(status).header("content-type", media).body(Body::from(body)).unwrap()
}

/// A small but true server: reads, searches by identifier, `_id`, patient and subject, and accepts what is put. Records of one type and id are its
/// versions, the current one first.
fn honest(base: &str, method: &Method, path: &str, records: &[Value]) -> (u16, Value) {
    if *method != Method::GET {
        return (200, json!({"resourceType": "OperationOutcome", "issue": [{"severity": "information", "code": "informational"}]}));
    }
    let (target, query) = path.split_once('?').unwrap_or((path, ""));
    let is_of = |record: &&Value, type_name: &str, id: &str| record["resourceType"] == type_name && record["id"] == id;
    if let [type_name, id, "_history", rest @ ..] = &target.split('/').collect::<Vec<_>>()[..] {
        let versions: Vec<&Value> = records.iter().filter(|record| is_of(record, type_name, id)).collect();
        let Some(version) = rest.first() else { return (200, history(base, &versions)) };
        let found = versions.into_iter().find(|record| record["meta"]["versionId"] == *version);
        return found.map_or((404, json!({"resourceType": "OperationOutcome", "issue": []})), |record| (200, record.clone()));
    }
    if let Some((type_name, id)) = target.split_once('/') {
        let found = records.iter().find(|record| is_of(record, type_name, id));
        return found.map_or((404, json!({"resourceType": "OperationOutcome", "issue": []})), |record| (200, record.clone()));
    }
    let pairs: Vec<(String, String)> =
        query.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (decode(name), decode(value))).collect();
    let is_asked = |record: &&Value| record["resourceType"] == target && pairs.iter().all(|(name, value)| meets(record, name, value));
    let mut found: Vec<&Value> = records.iter().filter(is_asked).collect();
    found.dedup_by(|later, earlier| later["id"] == earlier["id"]);
    (200, searchset(base, &found))
}

fn history(base: &str, versions: &[&Value]) -> Value {
    let url = |record: &Value| format!("{}/{}", record["resourceType"].as_str().unwrap(), record["id"].as_str().unwrap());
    let entry = |record: &&Value| json!({"fullUrl": format!("{base}/{}", url(record)), "resource": record, "request": {"method": "PUT", "url": url(record)}});
    json!({"resourceType": "Bundle", "type": "history", "entry": versions.iter().map(entry).collect::<Vec<_>>()})
}

fn meets(record: &Value, name: &str, value: &str) -> bool {
    match name {
        "_id" => value.split(',').any(|id| record["id"] == id),
        "identifier" => {
            let identifiers = record["identifier"].as_array().cloned().unwrap_or_default();
            identifiers
                .iter()
                .any(|one| format!("{}|{}", one["system"].as_str().unwrap_or(""), one["value"].as_str().unwrap_or("")) == value)
        }
        "patient" | "subject" => {
            record["subject"]["reference"].as_str().is_some_and(|reference| reference.ends_with(&format!("Patient/{value}")))
        }
        _ => true,
    }
}

fn searchset(base: &str, found: &[&Value]) -> Value {
    let entry = |record: &&Value| {
        let full_url = format!("{base}/{}/{}", record["resourceType"].as_str().unwrap(), record["id"].as_str().unwrap());
        json!({"fullUrl": full_url, "resource": record, "search": {"mode": "match"}})
    };
    json!({"resourceType": "Bundle", "type": "searchset", "total": found.len(), "entry": found.iter().map(entry).collect::<Vec<_>>()})
}

fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}
