//! Breaking the glass: a patient's record is opened in an emergency where the patient has not denied it.
//!
//! Who: a client with the role `break-glass`, with a reason. How far: as `[consent.break_glass]` says, for a while, for requests whose one purpose
//! is BTG. What it costs: a notice the patient can read, an alarm for the operator, and records like of any disclosure. The notice is all there is
//! to the state of it: the glass is broken while there is one that has not run out.

use super::Pipeline;
use super::implicit::implicit_policies;
use crate::anchor::{LeafKind, OwnVersion};
use crate::audit::{self, Closing, Outcome, organisation_reference};
use crate::clock::Instant;
use crate::consent::ImplicitPolicy;
use crate::definitions::Definitions;
use crate::fhir::{Node, Object};
use crate::identity::Caller;
use crate::intake;
use crate::outcome::{Failure, Fault, FaultKind, IssueType, Reason, Refusal};
use crate::registry::Role;
use crate::search::Query;
use crate::store::{Assumption, Committed, Reader, Unit};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// The system of what the gateway's own Communications are about.
pub const NOTICE_SYSTEM: &str = "urn:hearthgate:notice";
/// The code of a notice that the glass was broken.
pub const BREAK_GLASS: &str = "break-glass";
const UNTIL: &str = "urn:hearthgate:break-glass:until";
const CLIENT: &str = "urn:hearthgate:break-glass:client";
const PURPOSE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
/// How long a reason may be, and how short.
const REASON_CHARACTERS: std::ops::RangeInclusive<usize> = 10..=1_000;
/// The purpose for which the glass is broken.
const BTG: &str = "BTG";

/// What breaking the glass opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub until: Instant,
    /// `Communication/hg-…`: what the patient is told.
    pub notice: String,
}

/// Whether a caller may break the glass and asks for that and nothing else.
pub(crate) fn asks_to_break(caller: &Caller) -> bool {
    caller.has_role(Role::BreakGlass) && !caller.purposes.is_empty() && caller.purposes.iter().all(|purpose| purpose.code() == BTG)
}

/// Whether a client has broken the glass for a patient, and its time has not run out.
pub(crate) fn is_glass_broken(
    reader: &Reader<'_>,
    definitions: &'static Definitions,
    client: &str,
    patient: &str,
    now: Instant,
) -> Result<bool, Fault> {
    let criteria =
        format!("subject=Patient/{patient}&category={NOTICE_SYSTEM}%7C{BREAK_GLASS}&identifier={CLIENT}%7C{}", mark(client, patient));
    let query = Query::criteria(definitions, "Communication", &criteria);
    let query = query.map_err(|_| Fault::new(FaultKind::Internal, "the query for broken glass does not parse"))?;
    // More notices than can be looked at: then the glass counts as whole.
    for version in reader.candidates(&query)?.unwrap_or_default() {
        if version.source == audit::SOURCE && !version.deleted() {
            let notice = version.parse()?;
            let runs = |until: Instant| version.at <= now && now < until;
            if query.matches(&notice) && until(&notice).is_some_and(runs) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn until(notice: &Node) -> Option<Instant> {
    let told = notice.items("extension").iter().find(|extension| extension.text("url") == Some(UNTIL))?;
    Instant::from_fhir_instant(told.text("valueInstant")?)
}

/// What a client's notices for a patient are found by, without naming the client.
fn mark(client: &str, patient: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(format!("break-glass\0{patient}\0{client}")))
}

impl Pipeline {
    /// Breaks the glass for a patient. The patient's notice, the audit record and its leaf are on record when this returns.
    pub async fn break_glass(&self, caller: &Caller, id: &str, reason: &str, opened: &audit::Opened) -> Result<Broken, Failure> {
        match self.try_break(caller, id, reason, opened).await {
            Err(Failure::Refused(refusal)) => {
                let named = (intake::named(&format!("Patient/{id}"), None), None);
                self.record_refused_request(caller, named, opened, &refusal).await?;
                metrics::counter!("hearthgate_break_glass_total", "outcome" => "refused").increment(1);
                Err(Failure::Refused(refusal))
            }
            Ok(broken) => {
                metrics::counter!("hearthgate_break_glass_total", "outcome" => "broken").increment(1);
                tracing::warn!(client = caller.client_id, request = opened.request_id, "the glass was broken");
                Ok(broken)
            }
            fault => fault,
        }
    }

    /// Whether there is a glass to break: where all is closed, nobody is to believe that it was opened.
    fn has_glass(&self, caller: &Caller, patient: &Node) -> bool {
        let names: Vec<String> = caller.organisation.names().collect();
        let (general, by_sensitivity) = implicit_policies(&self.consent, &names, Some(patient));
        by_sensitivity.widest(general) > ImplicitPolicy::Deny
    }

    async fn try_break(&self, caller: &Caller, id: &str, reason: &str, opened: &audit::Opened) -> Result<Broken, Failure> {
        if !caller.has_role(Role::BreakGlass) || !caller.purposes.iter().any(|purpose| purpose.code() == BTG) {
            let text = "Breaking the glass is for clients with the role break-glass, whose token allows the purpose BTG.";
            return Err(Refusal::new(Reason::Forbidden, IssueType::Forbidden, text).into());
        }
        let reason = reason.trim();
        if !REASON_CHARACTERS.contains(&reason.chars().count()) {
            let text = format!("A reason has {} to {} characters.", REASON_CHARACTERS.start(), REASON_CHARACTERS.end());
            return Err(Refusal::new(Reason::Malformed, IssueType::Value, text).at("Parameters.parameter").into());
        }
        let id = self.dialect(caller).id("Patient", id);
        let wanted = id.clone();
        let known = self.store.read(move |reader| reader.current("Patient", &wanted)).await?;
        let Some(known) = known.filter(|version| !version.deleted()) else {
            return Err(Refusal::new(Reason::NotFound, IssueType::NotFound, "No Patient with this id is known here.").into());
        };
        if !self.has_glass(caller, &known.parse()?) {
            let text = "The operator's policy opens this record in no emergency.";
            return Err(Refusal::new(Reason::Forbidden, IssueType::Forbidden, text).into());
        }
        let at = self.clock.now();
        let until = at + Duration::from_secs(self.consent.break_glass.lasts_s);
        let notice_id = self.anchor.fresh_id(at);
        let patients = [id.clone()];
        let own = OwnVersion {
            type_name: "Communication",
            id: &notice_id,
            previous: None,
            resource: Some(notice(caller, &id, reason, at, until)),
            patients: &patients,
            reason: "The glass was broken.",
            source: audit::SOURCE,
            at,
        };
        let (versions, leaves) = self.anchor.own_version(own, 0)?;
        let assumptions = vec![Assumption::Absent { type_name: "Communication".to_owned(), id: notice_id.clone() }];
        let unit = Unit { assumptions, versions, leaves, ..Unit::default() };
        let reference = format!("Communication/{notice_id}");
        let closing = Closing {
            resources: vec![format!("{reference}/_history/1")],
            patients: patients.to_vec(),
            description: Some("the glass was broken".to_owned()),
            ..Closing::default()
        };
        match self.record_with(unit, opened, &Outcome::Success, LeafKind::Disclose, &closing).await? {
            Committed::Done { .. } => Ok(Broken { until, notice: reference }),
            _ => Err(Fault::new(FaultKind::Overloaded, "a notice of broken glass kept being overtaken").into()),
        }
    }
}

/// What the patient is told: which organisation opened the record, why, and until when.
fn notice(caller: &Caller, patient: &str, reason: &str, at: Instant, until: Instant) -> Node {
    let concept = |system: &str, code: &str| {
        let coding: Node = Object::new().with("system", system).with("code", code).into();
        Object::new().with("coding", vec![coding])
    };
    let reference = || Object::new().with("reference", format!("Patient/{patient}"));
    let expiry: Node = Object::new().with("url", UNTIL).with("valueInstant", until.to_fhir_instant()).into();
    let identifier: Node = Object::new().with("system", CLIENT).with("value", mark(&caller.client_id, patient)).into();
    let organisation = caller.organisation.name.as_deref().unwrap_or("An organisation");
    let text = format!(
        "{organisation} opened your record in an emergency on {}. It stays open to them until {}. The reason they gave: {reason}",
        at.to_fhir_instant(),
        until.to_fhir_instant()
    );
    let payload: Node = Object::new().with("contentString", text).into();
    Object::resource("Communication")
        .with("extension", vec![expiry])
        .with("identifier", vec![identifier])
        .with("status", "completed")
        .with("category", vec![concept(NOTICE_SYSTEM, BREAK_GLASS).into()])
        .with("priority", "urgent")
        .with("subject", reference())
        .with("sent", at.to_fhir_instant())
        .with("recipient", vec![reference().into()])
        .with("sender", organisation_reference(&caller.organisation))
        .with("reasonCode", vec![concept(PURPOSE, BTG).into()])
        .with("payload", vec![payload])
        .into()
}
