//! The Task that stands for a submission while it waits, and says afterwards how it ended (R4 §10.6).

use super::held::Held;
use super::progress::{Countersignature, End, Progress};
use crate::clock::Instant;
use crate::fhir::{Node, Object};
use crate::store::Pending;

/// What the gateway says in Tasks of its own.
const TASKS: &str = "urn:hearthgate:task";

pub(super) fn task(row: &Pending, held: &Held, progress: &Progress) -> Node {
    let (status, reason) = match &progress.end {
        None if progress.signatures.is_empty() => ("requested", None),
        None => ("in-progress", None),
        Some(End::Accepted(_)) => ("completed", None),
        Some(End::Refused(label)) => ("rejected", Some(format!("signed, but no longer acceptable: {label}"))),
        Some(End::Expired) => ("failed", Some(format!("not signed in time; missing: {}", progress.missing(&held.rule).join(", ")))),
    };
    let changed = progress.signatures.iter().map(|signature| signature.at).max().map_or(row.at, Instant::from_micros);
    let missing = if progress.end.is_none() { progress.missing(&held.rule) } else { Vec::new() };
    let mut input: Vec<Node> = missing.iter().map(|role| part("missing", "valueString", (*role).into())).collect();
    input.push(part("quorum", "valueInteger", held.rule.quorum.into()));
    let mut output: Vec<Node> = progress.signatures.iter().map(signed).collect();
    if let Some(End::Accepted(versions)) = &progress.end {
        output.extend(versions.iter().map(|version| part("accepted", "valueReference", reference(version))));
    }
    let business = format!("{} of {} signatures", progress.signatures.len(), held.rule.quorum);
    let client = Object::new().with("system", "urn:hearthgate:client").with("value", held.client.as_str());
    Object::resource("Task")
        .with("id", row.id.as_str())
        .with("meta", Object::new().with("versionId", row.revision.to_string()).with("lastUpdated", changed.to_fhir_instant()))
        .with("status", status)
        .with_some("statusReason", reason.map(|text| Object::new().with("text", text)))
        .with("businessStatus", Object::new().with("text", business))
        .with("intent", "order")
        .with("code", concept("sign-off"))
        .with("authoredOn", row.at.to_fhir_instant())
        .with("lastModified", changed.to_fhir_instant())
        .with("requester", Object::new().with("identifier", client))
        .with("restriction", Object::new().with("period", Object::new().with("end", row.expires.to_fhir_instant())))
        .with("input", input)
        .with_some("output", (!output.is_empty()).then_some(output))
        .into()
}

fn signed(signature: &Countersignature) -> Node {
    part("signed", "valueString", signature.role.as_str().into())
}

fn part(kind: &str, member: &str, value: Node) -> Node {
    Object::new().with("type", concept(kind)).with(member, value).into()
}

fn concept(code: &str) -> Node {
    let coding: Node = Object::new().with("system", TASKS).with("code", code).into();
    Object::new().with("coding", vec![coding]).into()
}

fn reference(to: &str) -> Node {
    Object::new().with("reference", to).into()
}
