//! An object store as the gateway needs one: objects by path, conditional puts, listing by prefix, bulk deletion.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use hearthgate::ledger::{LedgerError, LogFiles};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// An object and what it was stored with.
#[derive(Clone)]
pub struct Object {
    pub bytes: Vec<u8>,
    pub caching: String,
    number: u64,
}

#[derive(Default)]
struct Inner {
    objects: BTreeMap<String, Object>,
    count: u64,
    fails: bool,
}

/// The running store, with one bucket called `log`.
#[derive(Clone, Default)]
pub struct Bucket {
    inner: Arc<Mutex<Inner>>,
}

impl Bucket {
    /// Starts it; gives the endpoint too.
    pub async fn start() -> (Bucket, String) {
        let bucket = Bucket::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(serve).with_state(bucket.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (bucket, endpoint)
    }

    pub fn objects(&self) -> BTreeMap<String, Object> {
        self.inner.lock().unwrap().objects.clone()
    }

    /// From now on everything fails, or works again.
    pub fn fail(&self, fails: bool) {
        self.inner.lock().unwrap().fails = fails;
    }
}

impl LogFiles for Bucket {
    fn read(&self, path: &str, _max_bytes: usize) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(self.objects().get(&format!("clinic/{path}")).map(|object| object.bytes.clone()))
    }
}

async fn serve(State(bucket): State<Bucket>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let mut inner = bucket.inner.lock().unwrap();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let key = uri.path().trim_start_matches("/log").trim_start_matches('/').to_owned();
    let etag = |object: &Object| format!("\"{}\"", object.number);
    if inner.fails {
        return StatusCode::FORBIDDEN.into_response();
    }
    match (method.as_str(), uri.query()) {
        ("GET", Some(query)) if query.contains("list-type=2") => {
            let prefix = query.split('&').find_map(|part| part.strip_prefix("prefix=")).unwrap_or_default().replace("%2F", "/");
            let found = inner.objects.iter().filter(|(key, _)| key.starts_with(&prefix));
            let rows: String = found
                .map(|(key, object)| {
                    let size = object.bytes.len();
                    format!("<Contents><Key>{key}</Key><LastModified>2026-11-20T00:00:00.000Z</LastModified><Size>{size}</Size></Contents>")
                })
                .collect();
            format!("<?xml version=\"1.0\"?><ListBucketResult>{rows}</ListBucketResult>").into_response()
        }
        ("POST", Some("delete")) => {
            let text = String::from_utf8_lossy(&body).into_owned();
            let mut deleted = String::new();
            for part in text.split("<Key>").skip(1) {
                let key = part.split("</Key>").next().unwrap();
                inner.objects.remove(key);
                deleted += &format!("<Deleted><Key>{key}</Key></Deleted>");
            }
            format!("<?xml version=\"1.0\"?><DeleteResult>{deleted}</DeleteResult>").into_response()
        }
        ("GET", _) => match inner.objects.get(&key) {
            None => StatusCode::NOT_FOUND.into_response(),
            Some(object) => {
                let headers = [("etag", etag(object)), ("last-modified", "Fri, 20 Nov 2026 00:00:00 GMT".to_owned())];
                (headers, object.bytes.clone()).into_response()
            }
        },
        ("PUT", _) => {
            let present = inner.objects.get(&key).map(etag);
            let (wanted, none) = (header("if-match"), header("if-none-match"));
            if (none == "*" && present.is_some()) || (!wanted.is_empty() && present.as_deref() != Some(wanted.as_str())) {
                return StatusCode::PRECONDITION_FAILED.into_response();
            }
            inner.count += 1;
            let object = Object { bytes: body.to_vec(), caching: header("cache-control"), number: inner.count };
            let answer = [("etag", etag(&object))];
            inner.objects.insert(key, object);
            answer.into_response()
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}
