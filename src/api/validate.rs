//! `$validate` (<https://hl7.org/fhir/R4/resource-operation-validate.html>): what is wrong with a resource, without storing it.
//!
//! The answer is 200 whether or not the resource is valid; only a question that cannot be asked is refused.

use super::fhir::{Asked, FhirState, parse_body, refuse};
use super::negotiate::Wanted;
use super::render;
use crate::anchor::LeafKind;
use crate::audit::{self, Closing, Outcome};
use crate::fhir::{Node, Object};
use crate::identity::Caller;
use crate::intake::Pairs;
use crate::outcome::{Failure, Finding, IssueType, Reason, Refusal, Severity};
use crate::problem::outcome_with_places;
use axum::body::Body;
use axum::http::Response;

/// How many profiles one question may name.
const PROFILES_MAX: usize = 32;

/// Where the operation was called, and with which parameters in the URL.
pub(super) struct Place<'a> {
    pub type_name: Option<&'a str>,
    pub id: Option<&'a str>,
    pub pairs: &'a Pairs,
}

/// What is asked.
struct Question {
    /// None for a deletion.
    resource: Option<Node>,
    profiles: Vec<String>,
    mode: Option<Mode>,
}

/// The codes of the value set `resource-validation-mode`, and `profile` of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Create,
    Update,
    Delete,
    Profile,
}

/// Answers with the findings.
pub(super) async fn validate(
    state: &FhirState,
    asked: &Asked,
    wanted: &Wanted,
    caller: &Caller,
    place: Place<'_>,
    record: &audit::Opened,
) -> Result<Response<Body>, Failure> {
    let question = match question(state, asked, &place) {
        Ok(question) => question,
        // A document that cannot be read is a finding about it, and the validation has run.
        Err(refusal) if refusal.reason == Reason::Malformed => return answer(state, asked, wanted, record, &refusal.findings).await,
        Err(refusal) => return refuse(state, record, refusal).await,
    };
    let mut findings = expected_of(&question, &place);
    if let Some(resource) = question.resource {
        let declared = super::negotiate::body_media(&asked.headers).ok().and_then(|media| media.declared);
        findings.extend(state.pipeline.examine(caller, resource, &question.profiles, declared).await);
    }
    answer(state, asked, wanted, record, &findings).await
}

async fn answer(
    state: &FhirState,
    asked: &Asked,
    wanted: &Wanted,
    record: &audit::Opened,
    findings: &[Finding],
) -> Result<Response<Body>, Failure> {
    state.pipeline.record(record, &Outcome::Success, LeafKind::Audit, &Closing::default()).await?;
    Ok(render::resource(200, &outcome_with_places(findings, Some(&asked.body)), wanted, state.definitions))
}

/// The question of a bare body or of Parameters, with what the URL adds.
fn question(state: &FhirState, asked: &Asked, place: &Place<'_>) -> Result<Question, Refusal> {
    let of_url = |name: &str| place.pairs.iter().filter(|pair| pair.0 == name).map(|pair| pair.1.clone()).collect::<Vec<String>>();
    let (mut modes, mut profiles) = (of_url("mode"), of_url("profile"));
    let deletes = modes.iter().any(|mode| mode == "delete");
    let document = if asked.body.is_empty() && deletes { None } else { Some(parse_body(state, asked)?.1) };
    let is_wrapped = document.as_ref().and_then(Node::resource_type) == Some("Parameters") && place.type_name != Some("Parameters");
    let resource = match document {
        Some(parameters) if is_wrapped => {
            modes.extend(values(&parameters, "mode"));
            profiles.extend(values(&parameters, "profile"));
            let given = parameters.items("parameter").iter().find(|parameter| parameter.text("name") == Some("resource"));
            given.and_then(|parameter| parameter.get("resource")).cloned()
        }
        other => other,
    };
    let mode = modes.first().map(|code| mode_of(code)).transpose()?;
    if resource.is_none() && mode != Some(Mode::Delete) {
        return Err(malformed(IssueType::Required, "Parameters for $validate carry a 'resource', unless the mode is delete."));
    }
    if mode == Some(Mode::Profile) && profiles.is_empty() {
        return Err(malformed(IssueType::Required, "With the mode profile, a 'profile' must be named."));
    }
    if profiles.len() > PROFILES_MAX {
        return Err(malformed(IssueType::TooCostly, &format!("No more than {PROFILES_MAX} profiles can be asked for at once.")));
    }
    let is_other = |expected: &str| resource.as_ref().is_some_and(|resource| resource.resource_type() != Some(expected));
    match place.type_name {
        Some(expected) if is_other(expected) => {
            Err(malformed(IssueType::Invalid, &format!("The resource is not of the type {expected} that the URL names.")))
        }
        _ => Ok(Question { resource, profiles, mode }),
    }
}

fn malformed(code: IssueType, text: &str) -> Refusal {
    Refusal::new(Reason::Malformed, code, text.to_owned())
}

/// The texts of the parameters of a name, whichever type their value has.
fn values(parameters: &Node, name: &str) -> Vec<String> {
    let named = parameters.items("parameter").iter().filter(|parameter| parameter.text("name") == Some(name));
    let members = named.flat_map(|parameter| parameter.as_object().map(Object::members).unwrap_or_default());
    members.filter(|member| member.name.starts_with("value")).filter_map(|member| Some(member.node.as_text()?.to_owned())).collect()
}

fn mode_of(code: &str) -> Result<Mode, Refusal> {
    Ok(match code {
        "create" => Mode::Create,
        "update" => Mode::Update,
        "delete" => Mode::Delete,
        "profile" => Mode::Profile,
        _ => return Err(malformed(IssueType::CodeInvalid, "The mode is create, update, delete or profile.")),
    })
}

/// What the mode asks beyond the resource itself.
fn expected_of(question: &Question, place: &Place<'_>) -> Vec<Finding> {
    let own_id = question.resource.as_ref().and_then(|resource| resource.text("id"));
    let finding = |severity: Severity, code: IssueType, id: &'static str, text: &str| vec![Finding::new(severity, code, id, text)];
    match question.mode {
        Some(Mode::Update) if own_id.is_none() => finding(
            Severity::Error,
            IssueType::Required,
            "VALIDATE_UPDATE_NO_ID",
            "For an update, the resource must have the id it is stored under",
        ),
        Some(Mode::Update) if place.id.is_some() && place.id != own_id => finding(
            Severity::Error,
            IssueType::Invalid,
            "VALIDATE_UPDATE_OTHER_ID",
            "For an update, the resource must have the id that the URL names",
        ),
        Some(Mode::Delete) => finding(
            Severity::Information,
            IssueType::NotSupported,
            "VALIDATE_DELETE",
            "Whether a deletion is allowed is decided by consent and policy when it is asked for; nothing was checked here",
        ),
        _ => Vec::new(),
    }
}
