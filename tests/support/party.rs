//! A system that calls the gateway, and what it is answered.

use reqwest::header::HeaderMap;
use serde_json::Value;

pub const FHIR_JSON: &str = "application/fhir+json";
pub const FHIR_XML: &str = "application/fhir+xml";

/// One request, before it is sent.
#[derive(Debug, Clone)]
pub struct Call {
    method: reqwest::Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Call {
    pub fn new(method: &str, path: &str) -> Call {
        Call { method: method.parse().unwrap(), path: path.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    pub fn get(path: &str) -> Call {
        Call::new("GET", path)
    }

    pub fn post(path: &str, body: &Value) -> Call {
        Call::new("POST", path).json(body)
    }

    pub fn put(path: &str, body: &Value) -> Call {
        Call::new("PUT", path).json(body)
    }

    pub fn delete(path: &str) -> Call {
        Call::new("DELETE", path)
    }

    pub fn header(mut self, name: &str, value: &str) -> Call {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn json(self, body: &Value) -> Call {
        self.body(FHIR_JSON, body.to_string())
    }

    pub fn form(self, body: &str) -> Call {
        self.body("application/x-www-form-urlencoded", body)
    }

    pub fn body(self, media: &str, body: impl Into<Vec<u8>>) -> Call {
        let mut call = self.header("content-type", media);
        call.body = body.into();
        call
    }

    /// A body without a Content-Type.
    pub fn bare_body(mut self, body: impl Into<Vec<u8>>) -> Call {
        self.body = body.into();
        self
    }
}

/// Somebody who calls, with the token it was given, if any.
#[derive(Clone)]
pub struct Party {
    pub http: reqwest::Client,
    /// Where the gateway is: `http://127.0.0.1:…`.
    pub origin: String,
    pub token: Option<String>,
}

impl Party {
    /// Sends a request below the FHIR base, or to a whole URL.
    pub async fn call(&self, call: Call) -> Answer {
        self.try_call(call).await.unwrap()
    }

    pub async fn try_call(&self, call: Call) -> Result<Answer, reqwest::Error> {
        let url = if call.path.starts_with("http") { call.path.clone() } else { format!("{}/fhir/{}", self.origin, call.path) };
        let mut request = self.http.request(call.method.clone(), url).body(call.body);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let what = format!("{} {}", call.method, call.path);
        Ok(Answer { what, status, headers, bytes: response.bytes().await?.to_vec() })
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Call::get(path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Call::post(path, body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(Call::put(path, body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Call::delete(path)).await
    }

    /// Creates a resource and gives its gateway id.
    pub async fn create(&self, body: &Value) -> String {
        let answer = self.post(body["resourceType"].as_str().unwrap(), body).await.expect(201);
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// A search that succeeds; the matches, without outcome entries.
    pub async fn search(&self, path: &str) -> Vec<Value> {
        self.get(path).await.expect(200).matches()
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    what: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}: {}", self.what, self.text());
        self
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{}: {error}: {}", self.what, self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The first issue of an OperationOutcome, which the answer must be: it says its code, and something people can read.
    #[track_caller]
    pub fn issue(&self) -> String {
        let outcome = self.json();
        assert_eq!(outcome["resourceType"], "OperationOutcome", "{}: {}", self.what, self.text());
        let issue = &outcome["issue"][0];
        assert!(issue["details"]["text"].as_str().is_some_and(|text| text.len() > 10), "{}: an issue without text: {issue}", self.what);
        issue["code"].as_str().unwrap().to_owned()
    }

    /// The resources a searchset found.
    #[track_caller]
    pub fn matches(&self) -> Vec<Value> {
        let bundle = self.json();
        assert_eq!(bundle["type"], "searchset", "{}", self.what);
        let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
        entries.into_iter().filter(|entry| entry["search"]["mode"] == "match").map(|entry| entry["resource"].clone()).collect()
    }

    /// A Bundle's link of a relation.
    #[track_caller]
    pub fn link(&self, relation: &str) -> Option<String> {
        let bundle = self.json();
        let links = bundle["link"].as_array().cloned().unwrap_or_default();
        links.iter().find(|link| link["relation"] == relation).map(|link| link["url"].as_str().unwrap().to_owned())
    }
}

/// The ids of resources, in order.
pub fn ids(resources: &[Value]) -> Vec<String> {
    resources.iter().map(|resource| resource["id"].as_str().unwrap().to_owned()).collect()
}
