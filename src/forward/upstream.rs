//! The HTTP client towards holders and destinations.

use super::capability::Capabilities;
use super::health::{Ended, Health};
use crate::clock::{Clock, Entropy, Instant};
use crate::config::Secret;
use crate::consent::{NOTICE_HEADER, Permitted};
use crate::fhir::{Node, json};
use crate::identity::{AssertionClaims, SigningKey, make_client_assertion, token_request_form};
use crate::normalise::{MAX_ERROR_BODY, open_searchset, plain_url, vendor_error};
use crate::outcome::{Fault, FaultKind};
use crate::registry::{Auth, Holder};
use data_encoding::{BASE64, HEXLOWER};
use futures_util::future::Either;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Certificate, Client, ClientBuilder, Identity, Method, Response, redirect};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The most pages read of one search at one holder.
const MAX_PAGES: usize = 20;
/// The most resources taken of one search at one holder.
const MAX_RESOURCES: usize = 10_000;
/// How deep a holder's JSON may nest.
const MAX_DEPTH: usize = 64;
/// A token is renewed this long before it ends.
const TOKEN_MARGIN: Duration = Duration::from_secs(20);
/// The longest a token is kept, whatever its issuer says.
const MAX_TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// How long a holder's capability statement is relied on, and how long it is not asked for again where there was none.
const STATEMENT_LIFE: Duration = Duration::from_secs(3600);
const SILENCE_LIFE: Duration = Duration::from_secs(300);
/// The longest that is waited for a capability statement.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(1);
/// The largest token answer that is read.
const MAX_TOKEN_BYTES: u64 = 64 * 1024;

/// Why a holder or destination gave no usable answer. The text is fit for an OperationOutcome: it names the problem, never what was in the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamProblem {
    Unreachable,
    TimedOut,
    Status(u16),
    /// A status, and what the error body beside it says by rule 26: HTML, a vendor's JSON or XML, an OperationOutcome.
    Refused {
        status: u16,
        told: String,
    },
    TooLarge,
    /// Not a FHIR document in JSON, or not the one asked for.
    NotFhir,
    /// A next link that leaves the holder, or returns to a page already read.
    BadLink,
    TooManyPages,
    /// No token could be had for it.
    NoToken,
    /// It was not asked, for it failed again and again.
    Resting,
    /// The certificate it wants cannot be shown.
    BadCertificate,
    /// An answer that does not call itself JSON.
    NotJson,
}

impl fmt::Display for UpstreamProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpstreamProblem::Unreachable => write!(f, "could not be reached"),
            UpstreamProblem::TimedOut => write!(f, "did not answer in time"),
            UpstreamProblem::Status(status) => write!(f, "answered with HTTP status {status}"),
            UpstreamProblem::Refused { told, .. } => write!(f, "{told}"),
            UpstreamProblem::TooLarge => write!(f, "sent more than the configured limit"),
            UpstreamProblem::NotFhir => write!(f, "did not answer with the FHIR document asked for"),
            UpstreamProblem::BadLink => write!(f, "sent a page link that cannot be followed safely"),
            UpstreamProblem::TooManyPages => write!(f, "sent more than {MAX_PAGES} pages"),
            UpstreamProblem::NoToken => write!(f, "granted the gateway no token"),
            UpstreamProblem::BadCertificate => write!(f, "was not asked, because the certificate it wants cannot be used"),
            UpstreamProblem::NotJson => write!(f, "did not answer in FHIR JSON"),
            UpstreamProblem::Resting => write!(f, "was not asked, because it failed to answer several times in a row"),
        }
    }
}

impl UpstreamProblem {
    /// Whether the other side is away or broken, rather than refusing what it was asked.
    fn is_failure(&self) -> bool {
        match self {
            UpstreamProblem::Unreachable | UpstreamProblem::TimedOut => true,
            UpstreamProblem::Status(status) | UpstreamProblem::Refused { status, .. } => *status >= 500,
            _ => false,
        }
    }

    /// Whether the same question may be answered at once: nobody was there, or whoever was could not reach the server.
    fn is_worth_another_try(&self) -> bool {
        match self {
            UpstreamProblem::Unreachable => true,
            UpstreamProblem::Status(status) | UpstreamProblem::Refused { status, .. } => matches!(status, 502..=504),
            _ => false,
        }
    }
}

/// Where to send, and how to say who we are.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    pub name: &'a str,
    pub base_url: &'a str,
    pub auth: &'a Auth,
    pub timeout: Duration,
    pub body_limit_bytes: u64,
}

impl<'a> Peer<'a> {
    pub fn holder(holder: &'a Holder) -> Peer<'a> {
        Peer {
            name: &holder.name,
            base_url: holder.base_url.as_str(),
            auth: &holder.auth,
            timeout: holder.timeout(),
            body_limit_bytes: holder.body_limit_bytes,
        }
    }
}

/// What holders said they can do, and until when that is relied on.
type Statements = HashMap<String, (Arc<Capabilities>, Instant)>;

/// The client. Cheap to clone; connections are pooled.
#[derive(Clone)]
pub struct Upstream {
    http: Client,
    /// For each peer that wants a certificate, the client that shows it.
    certified: Arc<Mutex<HashMap<String, Client>>>,
    tokens: Arc<Mutex<HashMap<String, (String, Instant)>>>,
    health: Arc<Mutex<HashMap<String, Health>>>,
    known: Arc<Mutex<Statements>>,
    clock: Clock,
    entropy: Entropy,
}

impl Upstream {
    pub fn new(clock: Clock, entropy: Entropy) -> Result<Upstream, Fault> {
        let http = client().build().map_err(|error| Fault::new(FaultKind::Internal, format!("http client: {error}")))?;
        let (certified, tokens, health, known) = Default::default();
        Ok(Upstream { http, certified, tokens, health, known, clock, entropy })
    }

    /// The HTTP client for a peer: the common one, or the one that shows the certificate the peer wants.
    fn http(&self, peer: &Peer<'_>) -> Result<Client, UpstreamProblem> {
        let Auth::Mtls { certificate, key, ca, .. } = peer.auth else { return Ok(self.http.clone()) };
        let mut certified = self.certified.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = certified.get(peer.name) {
            return Ok(known.clone());
        }
        let made = certified_client(certificate, key, ca).map_err(|_| UpstreamProblem::BadCertificate)?;
        certified.insert(peer.name.to_owned(), made.clone());
        Ok(made)
    }

    /// Reads one resource, in its current version or in another.
    pub async fn read(&self, holder: &Holder, type_name: &str, id: &str, version: Option<&str>) -> Result<Node, UpstreamProblem> {
        let path = instance(type_name, id);
        let path =
            version.map_or_else(|| path.clone(), |version| format!("{path}/_history/{}", utf8_percent_encode(version, NON_ALPHANUMERIC)));
        let resource = self.get(&Peer::holder(holder), &holder.base_url.join(&path)).await?;
        let is_it = resource.resource_type() == Some(type_name)
            && version.is_none_or(|version| resource.text_at(&["meta", "versionId"]) == Some(version));
        if is_it { Ok(resource) } else { Err(UpstreamProblem::NotFhir) }
    }

    /// What a holder says it can do, asked for once in a while. One that does not say is taken to do what is asked, and so is one that is left
    /// alone for now.
    pub async fn capabilities(&self, holder: &Holder) -> Arc<Capabilities> {
        let peer = Peer { timeout: holder.timeout().min(STATEMENT_TIMEOUT), ..Peer::holder(holder) };
        if let Some(known) = self.known_capabilities(&peer) {
            return known;
        }
        let url = holder.base_url.join("metadata");
        // Whether it says so tells nothing of its health: many holders answer questions and keep no statement.
        let stated = self.get_once(&peer, &url).await.ok().as_ref().and_then(Capabilities::read);
        let life = if stated.is_some() { STATEMENT_LIFE } else { SILENCE_LIFE };
        let known = Arc::new(stated.unwrap_or_default());
        self.keep_capabilities(&peer, &known, life);
        known
    }

    /// What need not be asked for. Where it must be, whoever comes meanwhile goes on with what was known before.
    fn known_capabilities(&self, peer: &Peer<'_>) -> Option<Arc<Capabilities>> {
        let kept = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(peer.name).cloned();
        let (known, until) = kept.unwrap_or_else(|| (Arc::default(), self.clock.now()));
        if self.clock.now() < until || self.health(peer, |health, now| health.rests(now)) {
            return Some(known);
        }
        self.keep_capabilities(peer, &known, peer.timeout);
        None
    }

    fn keep_capabilities(&self, peer: &Peer<'_>, known: &Arc<Capabilities>, life: Duration) {
        let kept = (Arc::clone(known), self.clock.now() + life);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(peer.name.to_owned(), kept);
    }

    /// Searches one type and follows the pages. What the holder made of the parameters is for the caller to check again.
    pub async fn search(&self, holder: &Holder, type_name: &str, pairs: &[(String, String)]) -> Result<Pages, UpstreamProblem> {
        let query: Vec<String> = pairs
            .iter()
            .map(|(name, value)| {
                format!("{}={}", utf8_percent_encode(name, NON_ALPHANUMERIC), utf8_percent_encode(value, NON_ALPHANUMERIC))
            })
            .collect();
        self.pages(holder, &format!("{type_name}?{}", query.join("&"))).await
    }

    /// The versions of one resource that were not deletions, newest first as the holder has them.
    pub async fn history(&self, holder: &Holder, type_name: &str, id: &str) -> Result<Pages, UpstreamProblem> {
        self.pages(holder, &format!("{}/_history", instance(type_name, id))).await
    }

    /// What a question answers on all its pages.
    async fn pages(&self, holder: &Holder, question: &str) -> Result<Pages, UpstreamProblem> {
        let peer = Peer::holder(holder);
        let base = plain_url(peer.base_url.trim_end_matches('/')).into_owned();
        let mut next = Some(holder.base_url.join(question));
        let mut visited = Vec::new();
        let mut found = Pages::default();
        while let Some(url) = next {
            if visited.len() == MAX_PAGES || found.resources.len() > MAX_RESOURCES {
                return Err(UpstreamProblem::TooManyPages);
            }
            let mut page = open_searchset(self.get(&peer, &url).await?);
            if page.outcomes.iter().any(crate::outcome::Finding::is_error) {
                return Err(UpstreamProblem::NotFhir);
            }
            found.foreign += page.leave_out_foreign(&base);
            found.resources.extend(page.matches.into_iter().map(|opened| opened.resource));
            visited.push(url);
            next = page.next.map(|link| below(peer.base_url, &link)).transpose()?;
            if next.as_ref().is_some_and(|link| visited.contains(link)) {
                return Err(UpstreamProblem::BadLink);
            }
        }
        Ok(found)
    }

    /// Sends what may be sent with PUT, under a key that stays the same for every attempt, with the notices the law wants said.
    pub async fn put(&self, peer: &Peer<'_>, type_name: &str, id: &str, permitted: &Permitted, key: &str) -> Result<(), UpstreamProblem> {
        let url = format!("{}/{type_name}/{id}", peer.base_url.trim_end_matches('/'));
        let mut request =
            self.http(peer)?.request(Method::PUT, url).header("content-type", "application/fhir+json").header("idempotency-key", key);
        for notice in permitted.notices() {
            request = request.header(NOTICE_HEADER, notice.text());
        }
        let response = self.send(peer, request.body(json::write(permitted.resource()))).await?;
        if response.status().is_success() { Ok(()) } else { Err(UpstreamProblem::Status(response.status().as_u16())) }
    }

    /// Tells a destination that a resource is gone.
    pub async fn delete(&self, peer: &Peer<'_>, type_name: &str, id: &str, key: &str) -> Result<(), UpstreamProblem> {
        let url = format!("{}/{type_name}/{id}", peer.base_url.trim_end_matches('/'));
        let response = self.send(peer, self.http(peer)?.request(Method::DELETE, url).header("idempotency-key", key)).await?;
        match response.status().as_u16() {
            200..=299 | 404 | 410 => Ok(()),
            status => Err(UpstreamProblem::Status(status)),
        }
    }

    /// Asks a holder that is worth asking, a second time where the first is slow or found nobody.
    async fn get(&self, peer: &Peer<'_>, url: &str) -> Result<Node, UpstreamProblem> {
        if !self.health(peer, |health, now| health.admits(now)) {
            return Err(UpstreamProblem::Resting);
        }
        let watch = self.clock.stopwatch();
        let mut answer = self.hedged(peer, url).await;
        if answer.as_ref().is_err_and(UpstreamProblem::is_worth_another_try) && self.health(peer, |health, _| health.spend()) {
            count_second(peer, "retry");
            answer = self.get_once(peer, url).await;
        }
        let is_failed = answer.as_ref().is_err_and(UpstreamProblem::is_failure);
        let ended = if is_failed { Ended::Failed } else { Ended::Answered(watch.elapsed()) };
        self.health(peer, |health, now| health.note(ended, now));
        answer
    }

    /// The first good answer of the question and, where that is slow, the same question again.
    async fn hedged(&self, peer: &Peer<'_>, url: &str) -> Result<Node, UpstreamProblem> {
        let delay = self.health(peer, |health, _| health.hedge_after(peer.timeout));
        let mut first = std::pin::pin!(self.get_once(peer, url));
        if let Ok(answer) = tokio::time::timeout(delay, &mut first).await {
            return answer;
        }
        if !self.health(peer, |health, _| health.spend()) {
            return first.await;
        }
        count_second(peer, "hedge");
        let second = std::pin::pin!(self.get_once(peer, url));
        match futures_util::future::select(first, second).await {
            Either::Left((Err(_), second)) => second.await,
            Either::Right((Err(_), first)) => first.await,
            Either::Left((answer, _)) | Either::Right((answer, _)) => answer,
        }
    }

    /// How long the slowest of these usually takes to answer, of those that are asked.
    pub fn usual<'h>(&self, holders: impl Iterator<Item = &'h Holder>) -> Duration {
        let now = self.clock.now();
        let all = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        holders.filter_map(|holder| all.get(holder.name.as_str())?.usual(now)).max().unwrap_or_default()
    }

    fn health<T>(&self, peer: &Peer<'_>, look: impl FnOnce(&mut Health, Instant) -> T) -> T {
        let now = self.clock.now();
        let mut all = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(peer.name) {
            Some(health) => look(health, now),
            None => look(all.entry(peer.name.to_owned()).or_default(), now),
        }
    }

    async fn get_once(&self, peer: &Peer<'_>, url: &str) -> Result<Node, UpstreamProblem> {
        let response = self.send(peer, self.http(peer)?.request(Method::GET, url)).await?;
        if !response.status().is_success() {
            return Err(refused(response).await);
        }
        if !is_json(&response) {
            return Err(UpstreamProblem::NotJson);
        }
        let body = bounded_body(response, peer.body_limit_bytes).await?;
        json::parse(&body, MAX_DEPTH).map_err(|_| UpstreamProblem::NotFhir)
    }

    async fn send(&self, peer: &Peer<'_>, request: reqwest::RequestBuilder) -> Result<Response, UpstreamProblem> {
        let request = request.header("accept", "application/fhir+json").timeout(peer.timeout);
        let request = match peer.auth {
            Auth::None | Auth::Mtls { .. } => request,
            Auth::Basic { user, password, .. } => {
                request.header("authorization", format!("Basic {}", BASE64.encode(format!("{user}:{}", password.reveal()).as_bytes())))
            }
            Auth::Bearer { token, .. } => request.bearer_auth(token.reveal()),
            Auth::BackendServices { .. } => request.bearer_auth(self.token(peer).await?),
        };
        request.send().await.map_err(problem)
    }

    /// The gateway's own token for a peer, from the cache or fetched anew.
    async fn token(&self, peer: &Peer<'_>) -> Result<String, UpstreamProblem> {
        let now = self.clock.now();
        let cached = self.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(peer.name).cloned();
        if let Some((token, until)) = cached
            && now < until
        {
            return Ok(token);
        }
        let Auth::BackendServices { token_endpoint, client_id, key_id, algorithm, scopes, key, .. } = peer.auth else {
            return Err(UpstreamProblem::NoToken);
        };
        let jti = HEXLOWER.encode(&self.entropy.bytes::<16>());
        let signing = SigningKey::from_pem(key.reveal(), *algorithm).map_err(|_| UpstreamProblem::NoToken)?;
        let claims = AssertionClaims { client_id, key_id, audience: token_endpoint.as_str(), jti: &jti, now };
        let assertion = make_client_assertion(&signing, claims).map_err(|_| UpstreamProblem::NoToken)?;
        let scope = scopes.to_string();
        let form = token_request_form(&assertion, &scope);
        let body: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))).collect();
        let request = self
            .http
            .request(Method::POST, token_endpoint.as_str())
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json");
        let response = request.timeout(peer.timeout).body(body.join("&")).send().await.map_err(problem)?;
        if !response.status().is_success() {
            return Err(UpstreamProblem::NoToken);
        }
        let answer = bounded_body(response, MAX_TOKEN_BYTES).await?;
        let answer: serde_json::Value = serde_json::from_slice(&answer).map_err(|_| UpstreamProblem::NoToken)?;
        let token = answer.get("access_token").and_then(serde_json::Value::as_str).ok_or(UpstreamProblem::NoToken)?.to_owned();
        let life = Duration::from_secs(answer.get("expires_in").and_then(serde_json::Value::as_u64).unwrap_or(0)).min(MAX_TOKEN_LIFE);
        let until = now + life.saturating_sub(TOKEN_MARGIN);
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(peer.name.to_owned(), (token.clone(), until));
        Ok(token)
    }
}

/// A holder's answer to a question, from all its pages.
#[derive(Debug, Default)]
pub struct Pages {
    pub resources: Vec<Node>,
    /// How many it sent that stand on another server.
    pub foreign: usize,
}

fn instance(type_name: &str, id: &str) -> String {
    format!("{type_name}/{}", utf8_percent_encode(id, NON_ALPHANUMERIC))
}

/// What every client has: redirects are never followed, so that neither credentials nor questions go where nobody configured them to.
fn client() -> ClientBuilder {
    Client::builder()
        .redirect(redirect::Policy::none())
        .referer(false)
        // What the environment says of proxies must not lead patient data and credentials past the configured base.
        .no_proxy()
        .user_agent("hearthgate")
}

fn certified_client(certificate: &str, key: &Secret, ca: &str) -> reqwest::Result<Client> {
    let identity = Identity::from_pem(format!("{certificate}\n{}", key.reveal()).as_bytes())?;
    let builder = client().identity(identity);
    let builder = if ca.is_empty() { builder } else { builder.tls_certs_only(Certificate::from_pem_bundle(ca.as_bytes())?) };
    builder.build()
}

/// Counts a question that is asked a second time, and why.
fn count_second(peer: &Peer<'_>, why: &'static str) {
    metrics::counter!("hearthgate_holder_second_questions_total", "holder" => peer.name.to_owned(), "why" => why).increment(1);
}

fn problem(error: reqwest::Error) -> UpstreamProblem {
    if error.is_timeout() { UpstreamProblem::TimedOut } else { UpstreamProblem::Unreachable }
}

/// What a failed answer says. A body that cannot be read whole is told of like none.
async fn refused(response: Response) -> UpstreamProblem {
    let status = response.status().as_u16();
    let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = bounded_body(response, MAX_ERROR_BODY as u64).await.unwrap_or_default();
    let findings = vendor_error(status, content_type.as_deref(), &body);
    let said = findings.first().map(|finding| finding.text.as_str()).unwrap_or_default();
    UpstreamProblem::Refused { status, told: said.strip_prefix("the holder ").unwrap_or(said).to_owned() }
}

/// Whether an answer calls itself JSON, by whatever of its names; one that calls itself nothing is looked at.
fn is_json(response: &Response) -> bool {
    let Some(stated) = response.headers().get("content-type") else { return true };
    let media = stated.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media == "application/json" || media == "text/json" || media.ends_with("+json")
}

async fn bounded_body(mut response: Response, limit: u64) -> Result<Vec<u8>, UpstreamProblem> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(problem)? {
        if body.len() as u64 + chunk.len() as u64 > limit {
            return Err(UpstreamProblem::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A page link as an absolute URL, if it stays below the holder's base (R4 §3.1.1.2 lets it be relative).
fn below(base: &str, link: &str) -> Result<String, UpstreamProblem> {
    let base = plain_url(base.trim_end_matches('/')).into_owned();
    let absolute = if link.contains("://") { plain_url(link).into_owned() } else { format!("{base}/{}", link.trim_start_matches('/')) };
    let rest = absolute.strip_prefix(&base).ok_or(UpstreamProblem::BadLink)?;
    let stays = (rest.is_empty() || rest.starts_with(['/', '?'])) && !rest.split(['/', '?']).any(|step| step == "..");
    if stays { Ok(absolute) } else { Err(UpstreamProblem::BadLink) }
}
