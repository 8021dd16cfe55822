//! The Provenance of an accepted version (R4 §6.3, in W3C PROV's terms): who sent it, what it was made from, what was changed on the way in.

use super::leaf::commitment;
use super::receipt::{RAW_DOMAIN, change_commitment, change_key};
use crate::clock::Instant;
use crate::fhir::{Node, Object};
use crate::normalise::Change;
use crate::outcome::Finding;
use crate::sign::{Attestation, GatewaySigner};
use crate::store::{Method, Target};
use data_encoding::HEXLOWER;

/// Extension that carries one change normalisation made: rule, path, keyed commitments to the values before and after.
pub const CHANGE_EXTENSION: &str = "urn:hearthgate:extension:normalisation-change";
/// Extension that carries one finding of what was accepted all the same: severity, kind, rule, path, what it says, and which profile asks.
pub const FINDING_EXTENSION: &str = "urn:hearthgate:extension:validation-finding";
/// Extension that links the receipt of the target version.
pub const RECEIPT_EXTENSION: &str = "urn:hearthgate:extension:receipt";
pub(super) const PARTICIPANT_TYPES: &str = "http://terminology.hl7.org/CodeSystem/provenance-participant-type";
/// R4's own code system has no code for who only passed a record on.
const MORE_PARTICIPANT_TYPES: &str = "http://hl7.org/fhir/us/core/CodeSystem/us-core-provenance-participant-type";
/// The system of client ids, as they are registered here.
const CLIENTS: &str = "urn:hearthgate:client";
const DATA_OPERATION: &str = "http://terminology.hl7.org/CodeSystem/v3-DataOperation";
/// Before the hexadecimal digits of a commitment.
const COMMITMENT: &str = "urn:hearthgate:commitment:";
/// The most changes written out; the rest is counted.
const MAX_CHANGES: usize = 200;
/// The most findings written out, the gravest first; the rest is counted.
const MAX_FINDINGS: usize = 100;

/// What a version was made from.
pub struct Lineage<'a> {
    pub raw_digest: &'a [u8; 32],
    /// The record's key: what is said of values and bytes is committed to under it, and nobody can tell them by trying.
    pub key: &'a [u8; 32],
    /// When they were received.
    pub received: Instant,
    pub changes: &'a [Change],
    /// What normalising and validating found. Their text quotes no data.
    pub findings: &'a [Finding],
    pub target: &'a Target,
    /// The profiles it was judged by, each with its version.
    pub profiles: &'a [String],
    /// What others signed of it.
    pub attestations: &'a [&'a Attestation],
}

/// Who sent it.
pub struct Sender<'a> {
    /// The organisation, as a reference.
    pub organisation: &'a Object,
    /// The client that acted for it.
    pub client: &'a str,
}

/// All that a Provenance says.
pub struct Provenance<'a> {
    pub id: &'a str,
    pub lineage: &'a Lineage<'a>,
    pub sender: Sender<'a>,
    pub at: Instant,
    pub base_url: &'a str,
    pub origin: &'a str,
}

impl Provenance<'_> {
    /// The Provenance with every signature: those of others first, then the gateway's over the version in canonical form.
    pub fn signed(&self, canonical: &str, signer: &GatewaySigner) -> Node {
        let mut provenance = self.unsigned();
        let own = signer.sign(canonical, &provenance, self.at, &self.assembler());
        let signatures: Vec<Node> = self.lineage.attestations.iter().map(|attestation| attestation.element()).chain([own]).collect();
        if let Some(object) = provenance.as_object_mut() {
            object.set("signature", signatures);
        }
        provenance
    }

    fn unsigned(&self) -> Node {
        let target = self.lineage.target;
        let version = format!("{}/{}/_history/{}", target.type_name, target.id, target.version);
        let recorded = self.at.to_fhir_instant();
        let policy: Vec<Node> = self.lineage.profiles.iter().map(|profile| profile.as_str().into()).collect();
        Object::resource("Provenance")
            .with("id", self.id)
            .with("meta", Object::new().with("versionId", "1").with("lastUpdated", recorded.as_str()))
            .with("extension", self.extensions(&version))
            .with("target", vec![reference(&version)])
            .with("occurredDateTime", self.lineage.received.to_fhir_instant())
            .with("recorded", recorded)
            .with_some("policy", (!policy.is_empty()).then_some(policy))
            .with("activity", activity(target.method))
            .with("agent", self.agents())
            .with("entity", self.entities())
            .into()
    }

    fn extensions(&self, version: &str) -> Vec<Node> {
        let receipt = Object::new().with("url", RECEIPT_EXTENSION).with("valueUrl", format!("{}/{version}/$receipt", self.base_url));
        let mut extensions = vec![receipt.into()];
        let key = change_key(self.lineage.key);
        extensions.extend(self.lineage.changes.iter().take(MAX_CHANGES).map(|one| change(one, &key)));
        extensions.extend(omitted(CHANGE_EXTENSION, self.lineage.changes.len(), MAX_CHANGES));
        let mut findings: Vec<&Finding> = self.lineage.findings.iter().collect();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        extensions.extend(findings.into_iter().take(MAX_FINDINGS).map(finding));
        extensions.extend(omitted(FINDING_EXTENSION, self.lineage.findings.len(), MAX_FINDINGS));
        extensions
    }

    /// The organisation whose data it is, the client that sent it, whoever else signed it, and the gateway.
    fn agents(&self) -> Vec<Node> {
        let organisation = self.sender.organisation;
        let client = Object::new().with("system", CLIENTS).with("value", self.sender.client);
        let transmitter = Object::new()
            .with("type", concept(MORE_PARTICIPANT_TYPES, "transmitter"))
            .with("who", Object::new().with("identifier", client))
            .with("onBehalfOf", organisation.clone());
        let mut agents = vec![agent("author", organisation.clone())];
        // What the gateway itself does again over stored bytes, no client sends.
        if !self.sender.client.is_empty() {
            agents.push(transmitter.into());
        }
        let others = self.lineage.attestations.iter().map(|attestation| attestation.who()).filter(|&who| who != organisation);
        let mut named: Vec<&Object> = Vec::new();
        for who in others {
            if !named.contains(&who) {
                named.push(who);
            }
        }
        agents.extend(named.into_iter().map(|who| agent("attester", who.clone())));
        agents.push(agent("assembler", self.assembler()));
        agents
    }

    fn assembler(&self) -> Object {
        let identifier = Object::new().with("system", "urn:ietf:rfc:3986").with("value", format!("urn:hearthgate:log:{}", self.origin));
        Object::new().with("identifier", identifier).with("display", "hearthgate")
    }

    fn entities(&self) -> Vec<Node> {
        let mut entities = vec![received(self.lineage.key, self.lineage.raw_digest)];
        if let Some(previous) = &self.lineage.target.previous {
            let earlier = format!("{}/{}/_history/{}", previous.type_name, previous.id, previous.version);
            entities.push(Object::new().with("role", "revision").with("what", reference(&earlier)).into());
        }
        entities
    }
}

/// The entity that stands for the bytes as received, by the commitment to them: that of the version's leaf.
pub(super) fn received(key: &[u8; 32], raw_digest: &[u8; 32]) -> Node {
    let committed = HEXLOWER.encode(&commitment(key, RAW_DOMAIN, raw_digest));
    let identifier = Object::new().with("system", "urn:ietf:rfc:3986").with("value", format!("{COMMITMENT}{committed}"));
    let what = Object::new().with("identifier", identifier).with("display", "the bytes as received");
    Object::new().with("role", "source").with("what", what).into()
}

fn change(change: &Change, key: &[u8; 32]) -> Node {
    let committed = |value: &Node| HEXLOWER.encode(&change_commitment(key, &change.path, value));
    let parts = [
        Some(part("rule", "valueString", change.rule.to_string())),
        Some(part("path", "valueString", change.path.clone())),
        change.before.as_ref().map(|value| part("before", "valueString", committed(value))),
        change.after.as_ref().map(|value| part("after", "valueString", committed(value))),
    ];
    let parts: Vec<Node> = parts.into_iter().flatten().collect();
    Object::new().with("url", CHANGE_EXTENSION).with("extension", parts).into()
}

fn finding(finding: &Finding) -> Node {
    let given = |url, member, value: &str| (!value.is_empty()).then(|| part(url, member, value.to_owned()));
    let parts = [
        given("severity", "valueCode", finding.severity.code()),
        given("code", "valueCode", finding.code.code()),
        given("rule", "valueString", finding.message_id),
        given("path", "valueString", &finding.expression),
        given("text", "valueString", &finding.text),
        given("profile", "valueString", &finding.context),
    ];
    let parts: Vec<Node> = parts.into_iter().flatten().collect();
    Object::new().with("url", FINDING_EXTENSION).with("extension", parts).into()
}

/// How many of a kind are not written out, where some are not.
fn omitted(url: &str, count: usize, most: usize) -> Option<Node> {
    let more = count.checked_sub(most).filter(|&more| more > 0)?;
    Some(Object::new().with("url", url).with("extension", vec![part("omitted", "valueString", more.to_string())]).into())
}

fn part(url: &str, member: &str, value: String) -> Node {
    Object::new().with("url", url).with(member, value).into()
}

fn reference(to: &str) -> Node {
    Object::new().with("reference", to).into()
}

fn agent(role: &str, who: Object) -> Node {
    Object::new().with("type", concept(PARTICIPANT_TYPES, role)).with("who", who).into()
}

pub(super) fn activity(method: Method) -> Node {
    let code = match method {
        Method::Create => "CREATE",
        Method::Update => "UPDATE",
        Method::Delete => "DELETE",
    };
    concept(DATA_OPERATION, code)
}

pub(super) fn concept(system: &str, code: &str) -> Node {
    let coding: Node = Object::new().with("system", system).with("code", code).into();
    Object::new().with("coding", vec![coding]).into()
}
