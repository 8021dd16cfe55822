//! A submission put aside: the bytes as received and how they were to be read, so that it can be taken up again as if it had just arrived.

use crate::clock::Instant;
use crate::config::SignOff;
use crate::definitions::Definitions;
use crate::fhir::{Node, Object, Release, json};
use crate::identity::Caller;
use crate::intake::{Entry, Evidence, Format, Interaction, Limits, Received, Write, document, split};
use crate::outcome::{Failure, Fault, FaultKind};
use crate::sign::{Attestation, X_PROVENANCE};
use serde::{Deserialize, Serialize};

/// What of the bytes the submission is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Shape {
    Single(Interaction),
    Transaction,
    /// The entry of a batch whose resource stands at this path.
    Entry(String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Held {
    shape: Shape,
    is_xml: bool,
    pub bytes: Vec<u8>,
    at: i64,
    /// The Provenance that came in a header, JSON.
    provenance: Option<String>,
    pub client: String,
    /// The rule as it was when this was submitted.
    pub rule: SignOff,
    /// Of the request that submitted it.
    pub request_id: String,
    /// The release of FHIR that its media type said, by number.
    pub declared: Option<String>,
}

impl Held {
    /// `alone` is what is kept instead of the bytes that the entry of a batch came in ([`Held::alone`]).
    pub fn of(received: &Received, rule: &SignOff, (caller, request_id): (&Caller, &str), alone: Option<Vec<u8>>) -> Held {
        let evidence = received.evidence();
        let (brought, writes): (Vec<&Write>, Vec<&Write>) = received.writes().iter().partition(|write| write.path == X_PROVENANCE);
        let shape = match writes.as_slice() {
            [entry] if received.is_shared() => Shape::Entry(entry.path.clone()),
            [single] if single.path.is_empty() => Shape::Single(single.interaction.clone()),
            _ => Shape::Transaction,
        };
        let shape = if alone.is_some() { Shape::Entry(ALONE.to_owned()) } else { shape };
        let provenance = brought.first().and_then(|write| write.resource.as_ref()).map(json::write);
        Held {
            shape,
            is_xml: evidence.format == Format::Xml && alone.is_none(),
            declared: evidence.declared.map(|release| release.number().to_owned()),
            bytes: alone.unwrap_or_else(|| evidence.bytes.to_vec()),
            at: super::micros(evidence.at),
            provenance,
            client: caller.client_id.clone(),
            rule: rule.clone(),
            request_id: request_id.to_owned(),
        }
    }

    /// Of the entry of a batch what is kept of the batch: nothing but that entry, for the others may be other people's.
    pub fn alone(received: &Received, limits: &Limits, definitions: &Definitions) -> Option<Vec<u8>> {
        let write = received.writes().iter().find(|write| received.is_shared() && write.path != X_PROVENANCE)?;
        alone(received.evidence(), &write.path, limits, definitions)
    }

    pub fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).unwrap_or_default()
    }

    pub fn decode(bytes: &[u8]) -> Result<Held, Fault> {
        postcard::from_bytes(bytes).map_err(|_| damaged())
    }

    /// What stays when it no longer waits: who was to sign, and nothing of what.
    pub fn without_content(&self) -> Held {
        Held { bytes: Vec::new(), provenance: None, shape: Shape::Transaction, ..self.clone() }
    }

    /// The resource or transaction, as sent.
    pub fn document(&self, limits: &Limits, definitions: &Definitions) -> Result<Node, Failure> {
        let whole = self.whole(limits, definitions)?;
        match &self.shape {
            Shape::Single(_) | Shape::Transaction => Ok(whole),
            Shape::Entry(path) => Ok(self.entry(whole, path, limits, definitions)?.resource.ok_or_else(damaged)?),
        }
    }

    /// The submission anew.
    pub fn received(&self, limits: &Limits, definitions: &Definitions, attestations: Vec<Attestation>) -> Result<Received, Failure> {
        let format = self.format();
        let evidence = Evidence::new(self.bytes.clone().into(), format, Instant::from_micros(self.at))
            .attested(attestations)
            .declared(self.declared());
        let whole = self.whole(limits, definitions)?;
        let received = match &self.shape {
            Shape::Single(interaction) => Received::single(evidence, interaction.clone(), Some(whole), None)?,
            Shape::Entry(path) => Received::batch_entry(evidence, self.entry(whole, path, limits, definitions)?),
            Shape::Transaction => {
                let (_, entries) = split(whole, limits, definitions)?;
                let writes = entries.into_iter().filter_map(|entry| match entry {
                    Entry::Write(write) => Some(*write),
                    _ => None,
                });
                Received::transaction(evidence, writes.collect(), None)
            }
        };
        let brought = self.provenance.as_ref().map(|text| json::parse(text.as_bytes(), json::DEFAULT_DEPTH).map_err(|_| damaged()));
        Ok(brought.transpose()?.into_iter().fold(received, Received::with_provenance))
    }

    fn declared(&self) -> Option<Release> {
        self.declared.as_deref().and_then(Release::parse)
    }

    fn format(&self) -> Format {
        if self.is_xml { Format::Xml } else { Format::Json }
    }

    pub fn whole(&self, limits: &Limits, definitions: &Definitions) -> Result<Node, Failure> {
        Ok(document(&self.bytes, self.format(), limits, definitions.types())?)
    }

    fn entry(&self, whole: Node, path: &str, limits: &Limits, definitions: &Definitions) -> Result<Write, Failure> {
        let (_, entries) = split(whole, limits, definitions)?;
        let found = entries.into_iter().find_map(|entry| match entry {
            Entry::Write(write) if write.path == path => Some(*write),
            _ => None,
        });
        Ok(found.ok_or_else(damaged)?)
    }
}

/// Where the resource stands in a batch of one entry.
const ALONE: &str = "Bundle.entry[0].resource";

/// A batch of the entry whose resource stands at a path, with all that this entry says; JSON.
fn alone(evidence: &Evidence, path: &str, limits: &Limits, definitions: &Definitions) -> Option<Vec<u8>> {
    let number: usize = path.strip_prefix("Bundle.entry[")?.split_once(']')?.0.parse().ok()?;
    let entry = evidence.whole(limits, definitions.types())?.items("entry").get(number)?.clone();
    let batch = Object::resource("Bundle").with("type", "batch").with("entry", vec![entry]);
    Some(json::write(&batch.into()).into_bytes())
}

fn damaged() -> Fault {
    Fault::new(FaultKind::StorageCorrupt, "a waiting submission cannot be read")
}
