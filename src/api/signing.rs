//! What a submission is signed with: found in its headers and in the Provenances it brings, checked with the keys registered for its sender.
//!
//! Everything is checked before anything is accepted. What holds goes on as evidence; what does not refuses the submission.

use super::fhir::{Asked, FhirState};
use crate::audit::organisation_reference;
use crate::clock::Instant;
use crate::fhir::{Node, json};
use crate::identity::Caller;
use crate::intake::Write;
use crate::outcome::{Failure, Fault};
use crate::sign::{Attestation, Candidate, Freshness, Problem, PublicKey, Request, http_signatures, signatures_of};
use crate::store::StoredVersion;
use axum::http::HeaderMap;
use std::time::Duration;

/// How long after it was made the signature of a request is taken.
const MAX_AGE: Duration = Duration::from_secs(300);
/// Signed Provenances of one submission that are looked at.
const MAX_SIGNED: usize = 32;
/// Targets of one signed Provenance that are looked at.
const MAX_TARGETS: usize = 64;
const MAX_DEPTH: usize = 32;
const PROVENANCE_HEADER: &str = "x-provenance";

/// What came with a submission.
pub(super) struct Signed {
    pub attestations: Vec<Attestation>,
    /// The Provenance of the header X-Provenance, of everything that is submitted.
    pub provenance: Option<Node>,
}

/// Checks every signature of a submission but those of a batch's entries, which stand for themselves.
pub(super) async fn of_submission(state: &FhirState, asked: &Asked, caller: &Caller, document: Option<&Node>) -> Result<Signed, Failure> {
    let signer = Signer { state, caller, freshness: freshness(state, asked.at) };
    let mut attestations = signer.request(asked).await?;
    let provenance = header_provenance(&asked.headers).map_err(|problem| problem.refusal())?;
    if let Some(provenance) = &provenance {
        let whole: Vec<Candidate<'_>> = document.into_iter().map(|resource| Candidate { path: "", resource }).collect();
        attestations.extend(signer.document(provenance, &whole).await?);
    }
    match document.map(|document| (document, document.resource_type(), document.text("type"))) {
        Some((bundle, Some("Bundle"), Some("transaction"))) => attestations.extend(signer.entries(bundle).await?),
        Some((one, Some("Provenance"), _)) => attestations.extend(signer.stored_targets(one, "").await?),
        _ => {}
    }
    Ok(Signed { attestations, provenance })
}

/// Checks a party's signatures on a document that waits for them.
pub(super) async fn of_waiting(
    state: &FhirState,
    caller: &Caller,
    provenance: &Node,
    document: &Node,
    at: Instant,
) -> Result<Vec<Attestation>, Failure> {
    let signer = Signer { state, caller, freshness: freshness(state, at) };
    signer.document(provenance, &[Candidate { path: "", resource: document }]).await
}

/// Checks what an entry of a batch brings.
pub(super) async fn of_entry(state: &FhirState, caller: &Caller, write: &Write, at: Instant) -> Result<Vec<Attestation>, Failure> {
    let signer = Signer { state, caller, freshness: freshness(state, at) };
    match &write.resource {
        Some(provenance) if provenance.resource_type() == Some("Provenance") => signer.stored_targets(provenance, &write.path).await,
        _ => Ok(Vec::new()),
    }
}

fn freshness(state: &FhirState, now: Instant) -> Freshness {
    Freshness { now, skew: state.identity.skew(), max_age: MAX_AGE }
}

/// The Provenance of the header X-Provenance (R4 §6.3.4.3).
fn header_provenance(headers: &HeaderMap) -> Result<Option<Node>, Problem> {
    const NAME: &str = "The X-Provenance header";
    let mut values = headers.get_all(PROVENANCE_HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::Repeated(NAME));
    }
    let provenance = json::parse(value.as_bytes(), MAX_DEPTH).map_err(|_| Problem::Unreadable(NAME))?;
    if provenance.resource_type() == Some("Provenance") { Ok(Some(provenance)) } else { Err(Problem::Unreadable(NAME)) }
}

/// One sender's submission being checked.
struct Signer<'a> {
    state: &'a FhirState,
    caller: &'a Caller,
    freshness: Freshness,
}

impl Signer<'_> {
    async fn keys(&self, key_id: &str) -> Result<Vec<PublicKey>, Fault> {
        self.state.identity.signature_keys(&self.caller.client_id, key_id).await
    }

    /// The signatures of the request itself (RFC 9421), and its Content-Digest.
    async fn request(&self, asked: &Asked) -> Result<Vec<Attestation>, Failure> {
        if !["signature", "signature-input", "content-digest"].iter().any(|name| asked.headers.contains_key(*name)) {
            return Ok(Vec::new());
        }
        let fields: Vec<(String, String)> = asked
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), std::str::from_utf8(value.as_bytes()).ok()?.to_owned())))
            .collect();
        let place = Place::of(self.state, asked);
        let request = Request {
            method: asked.method.as_str(),
            scheme: &place.scheme,
            authority: &place.authority,
            path: &place.path,
            query: asked.target.query(),
            fields: &fields,
            body: &asked.body,
        };
        let mut attestations = Vec::new();
        for signature in http_signatures(&request, self.freshness).map_err(|problem| problem.refusal())? {
            let keys = self.keys(signature.key_id()).await?;
            let verified = signature.verify(&keys).map_err(|problem| problem.refusal())?;
            attestations.push(verified.by(organisation_reference(&self.caller.organisation)));
        }
        Ok(attestations)
    }

    /// The JWS of a Provenance, each over one of the candidates.
    async fn document(&self, provenance: &Node, candidates: &[Candidate<'_>]) -> Result<Vec<Attestation>, Failure> {
        let mut attestations = Vec::new();
        for signature in signatures_of(provenance, self.freshness).map_err(|problem| problem.refusal())? {
            if candidates.is_empty() {
                let problem = Problem::Missing("a target in the same submission, or one that was accepted from this client before");
                return Err(problem.refusal().at("Provenance.target").into());
            }
            let keys = self.keys(signature.key_id()).await?;
            let verified = signature.verify(&keys, candidates).map_err(|problem| problem.refusal().at("Provenance.signature"))?;
            attestations.push(verified.by(organisation_reference(&self.caller.organisation)));
        }
        Ok(attestations)
    }

    /// The signed Provenances among the entries of a transaction, each over other entries or over what was accepted before.
    async fn entries(&self, bundle: &Node) -> Result<Vec<Attestation>, Failure> {
        let siblings: Vec<Sibling<'_>> =
            bundle.items("entry").iter().enumerate().filter_map(|(index, entry)| Sibling::of(index, entry)).collect();
        let signed: Vec<&Sibling<'_>> = siblings.iter().filter(|sibling| is_signed_provenance(sibling.resource)).collect();
        if signed.len() > MAX_SIGNED {
            return Err(Problem::TooMany("signed Provenances in one submission").refusal().into());
        }
        let mut attestations = Vec::new();
        for provenance in signed {
            let targets = targets(provenance.resource)?;
            let here: Vec<Candidate<'_>> = siblings
                .iter()
                .filter(|sibling| targets.iter().any(|target| sibling.is_called(target)))
                .map(|sibling| Candidate { path: &sibling.path, resource: sibling.resource })
                .collect();
            attestations.extend(match here.as_slice() {
                [] => self.stored_targets(provenance.resource, &provenance.path).await?,
                here => self.document(provenance.resource, here).await?,
            });
        }
        Ok(attestations)
    }

    /// A Provenance over what was accepted from this client before. What it signs is kept with the Provenance itself, which stands at `path`.
    async fn stored_targets(&self, provenance: &Node, path: &str) -> Result<Vec<Attestation>, Failure> {
        if !is_signed_provenance(provenance) {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for target in targets(provenance)? {
            let stored = self.stored(target).await?;
            found.extend(stored.map(|version| version.parse()).transpose()?);
        }
        let candidates: Vec<Candidate<'_>> = found.iter().map(|resource| Candidate { path, resource }).collect();
        self.document(provenance, &candidates).await
    }

    /// The version a reference names, where this client sent it.
    async fn stored(&self, reference: &str) -> Result<Option<StoredVersion>, Failure> {
        let relative = reference.strip_prefix(&*self.state.base_url).unwrap_or(reference).trim_start_matches('/');
        let (type_name, id, version) = match relative.split('/').collect::<Vec<_>>().as_slice() {
            [type_name, id] => ((*type_name).to_owned(), *id, None),
            [type_name, id, "_history", version] => match version.parse::<u32>() {
                Ok(version) => ((*type_name).to_owned(), *id, Some(version)),
                Err(_) => return Ok(None),
            },
            _ => return Ok(None),
        };
        let id = self.state.pipeline.dialect(self.caller).id(&type_name, id);
        let reading = move |reader: &crate::store::Reader<'_>| match version {
            Some(version) => reader.version(&type_name, &id, version),
            None => reader.current(&type_name, &id),
        };
        let stored = self.state.pipeline.store.read(reading).await?;
        Ok(stored.filter(|version| !version.deleted() && Some(&version.source) == self.caller.source.as_ref()))
    }
}

fn is_signed_provenance(resource: &Node) -> bool {
    resource.resource_type() == Some("Provenance") && !resource.items("signature").is_empty()
}

fn targets(provenance: &Node) -> Result<Vec<&str>, Failure> {
    let targets = provenance.items("target");
    if targets.len() > MAX_TARGETS {
        return Err(Problem::TooMany("targets in one signed Provenance").refusal().into());
    }
    Ok(targets.iter().filter_map(|target| target.text("reference")).collect())
}

/// An entry of the same transaction.
struct Sibling<'a> {
    path: String,
    full_url: Option<&'a str>,
    resource: &'a Node,
}

impl<'a> Sibling<'a> {
    fn of(index: usize, entry: &'a Node) -> Option<Sibling<'a>> {
        let resource = entry.get("resource")?;
        Some(Sibling { path: format!("Bundle.entry[{index}].resource"), full_url: entry.text("fullUrl"), resource })
    }

    /// Whether a reference within the Bundle means this entry (R4 §2.36.4.1).
    fn is_called(&self, reference: &str) -> bool {
        let own = || Some(format!("{}/{}", self.resource.resource_type()?, self.resource.text("id")?));
        self.full_url == Some(reference) || own().is_some_and(|own| own == reference)
    }
}

/// Where a client believes it has sent its request.
struct Place {
    scheme: String,
    authority: String,
    path: String,
}

impl Place {
    /// By the configured origin, else by what the request says itself.
    fn of(state: &FhirState, asked: &Asked) -> Place {
        let origin = state.settings.server.origin();
        let (scheme, rest) = origin.split_once("://").unwrap_or(("http", &origin));
        let (authority, prefix) = rest.split_once('/').map_or((rest, ""), |(authority, prefix)| (authority, prefix));
        let host = asked.headers.get("host").and_then(|host| host.to_str().ok()).or_else(|| asked.target.authority().map(|it| it.as_str()));
        let authority = if state.settings.server.base_url.is_some() { authority } else { host.unwrap_or(authority) };
        let default_port = if scheme == "https" { ":443" } else { ":80" };
        let lower = authority.to_ascii_lowercase();
        let path = asked.target.path();
        Place {
            scheme: scheme.to_owned(),
            authority: lower.strip_suffix(default_port).unwrap_or(&lower).to_owned(),
            path: if prefix.is_empty() { path.to_owned() } else { format!("/{prefix}{path}") },
        }
    }
}
