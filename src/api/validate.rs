//! `$validate` (<https://hl7.org/fhir/R4/resource-operation-validate.html>): what is wrong with a resource, without storing it.
//!
//! The answer is 200 whether or not the resource is valid; only a question that cannot be asked is refused. An entry of a batch asks the same.

use super::fhir::{Asked, FhirState, parse_body};
use super::negotiate::{self, Wanted};
use super::refusing::{refuse, refuse_about};
use super::render;
use crate::anchor::LeafKind;
use crate::audit::{self, Closing, Outcome};
use crate::fhir::{Node, Release};
use crate::identity::Caller;
use crate::intake::{self, Evidence, Format, Pairs};

use crate::outcome::{Failure, Finding, IssueType, Reason, Refusal, Severity};
use crate::problem::outcome_with_places;
use crate::validate::reading;
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
    /// None for a deletion, and for what is stored until it was read.
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
    let (document, passed) = match document(state, asked) {
        Ok(read) => read,
        // A document that cannot be read, or is of a release that is not, is a finding about it, and the validation has run.
        Err(refusal) if matches!(refusal.reason, Reason::Malformed | Reason::Invalid) => {
            return answer(state, asked, wanted, record, &refusal.findings).await;
        }
        Err(refusal) => return refuse(state, asked.shown(), record.clone(), refusal).await,
    };
    let question = match question(document, &place) {
        Ok(question) => question,
        Err(refusal) => return refuse(state, asked.shown(), record.clone(), refusal).await,
    };
    let came = negotiate::body_media(&asked.headers).map_or((Format::Json, None), |media| (media.format, media.declared));
    let mut findings = passed;
    findings.extend(judged(state, caller, question, &place, came, record).await?);
    answer(state, asked, wanted, record, &findings).await
}

/// The OperationOutcome that answers an entry of a batch.
pub(super) async fn of_entry(
    state: &FhirState,
    caller: &Caller,
    place: Place<'_>,
    parameters: Option<Node>,
    evidence: &Evidence,
    record: &audit::Opened,
) -> Result<Node, Failure> {
    let named = intake::named(&format!("{}/{}", place.type_name.unwrap_or_default(), place.id.unwrap_or_default()), parameters.as_ref());
    let question = match question(parameters, &place) {
        Ok(question) => question,
        Err(refusal) => return refuse_about(state, caller, named, record, refusal).await,
    };
    let findings = judged(state, caller, question, &place, (evidence.format, evidence.declared), record).await?;
    state.pipeline.record(record, &Outcome::Success, LeafKind::Audit, &Closing::default()).await?;
    Ok(outcome_with_places(&findings, Some(&evidence.bytes)))
}

/// What is found.
async fn judged(
    state: &FhirState,
    caller: &Caller,
    mut question: Question,
    place: &Place<'_>,
    came: (Format, Option<Release>),
    record: &audit::Opened,
) -> Result<Vec<Finding>, Failure> {
    let mut is_stored = false;
    if let (None, Some(Mode::Profile), Some(type_name), Some(id)) = (&question.resource, question.mode, place.type_name, place.id) {
        // What is found says what is in it, so it is read as any reader would read it.
        question.resource = Some(state.query.read(caller, type_name, id, record).await?.resource);
        is_stored = true;
    }
    let mut findings = expected_of(&question, place);
    if let Some(resource) = question.resource {
        findings.extend(state.pipeline.examine(caller, (resource, is_stored), &question.profiles, came).await);
    }
    Ok(findings)
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

/// What the body holds, if anything, and what had to be passed over to read it.
fn document(state: &FhirState, asked: &Asked) -> Result<(Option<Node>, Vec<Finding>), Refusal> {
    if asked.body.is_empty() {
        return Ok((None, Vec::new()));
    }
    match parse_body(state, asked) {
        Ok((_, document)) => Ok((Some(document), Vec::new())),
        // What would not be taken in is judged all the same, as far as it can be read.
        Err(refusal) if refusal.reason == Reason::Malformed => {
            let is_xml = negotiate::body_media(&asked.headers)?.format == Format::Xml;
            let read = reading::read(&asked.body, is_xml, state.limits.depth, state.definitions.types(), false);
            read.map(|(document, passed)| (Some(document), passed)).map_err(|finding| Refusal::of(Reason::Malformed, vec![finding]))
        }
        Err(refusal) => Err(refusal),
    }
}

/// The question of a bare body or of Parameters, with what the URL adds.
fn question(document: Option<Node>, place: &Place<'_>) -> Result<Question, Refusal> {
    let of_url = |name: &str| place.pairs.iter().filter(|pair| pair.0 == name).map(|pair| pair.1.clone()).collect::<Vec<String>>();
    known_only(place.pairs.iter().map(|(name, _)| name.as_str()).filter(|name| !name.starts_with('_')), &["mode", "profile"])?;
    let (mut modes, mut profiles) = (of_url("mode"), of_url("profile"));
    let is_wrapped = document.as_ref().and_then(Node::resource_type) == Some("Parameters") && place.type_name != Some("Parameters");
    let resource = match document {
        Some(parameters) if is_wrapped => {
            let parts = parameters.items("parameter");
            known_only(parts.iter().map(|part| part.text("name").unwrap_or_default()), &["resource", "mode", "profile"])?;
            modes.extend(values(&parameters, "mode", &["valueCode", "valueString"])?);
            profiles.extend(values(&parameters, "profile", &["valueUri", "valueCanonical", "valueUrl", "valueString"])?);
            let mut given = parts.iter().filter(|part| part.text("name") == Some("resource"));
            let first = given
                .next()
                .map(|part| part.get("resource").ok_or_else(|| malformed(IssueType::Value, "The parameter 'resource' holds none.")));
            if given.next().is_some() {
                return Err(malformed(IssueType::Invalid, "One 'resource' can be validated at a time."));
            }
            first.transpose()?.cloned()
        }
        other => other,
    };
    if modes.len() > 1 {
        return Err(malformed(IssueType::Invalid, "One 'mode' can be asked for at a time."));
    }
    let mode = modes.first().map(|code| mode_of(code)).transpose()?;
    let is_of_stored = mode == Some(Mode::Profile) && place.id.is_some();
    if resource.is_none() && mode != Some(Mode::Delete) && !is_of_stored {
        let text = "A question for $validate carries a 'resource', unless the mode is delete, or profile for what is stored.";
        return Err(malformed(IssueType::Required, text));
    }
    if mode == Some(Mode::Profile) && profiles.is_empty() {
        return Err(malformed(IssueType::Required, "With the mode profile, a 'profile' must be named."));
    }
    if profiles.len() > PROFILES_MAX {
        return Err(malformed(IssueType::TooCostly, &format!("No more than {PROFILES_MAX} profiles can be asked for at once.")));
    }
    Ok(Question { resource, profiles, mode })
}

/// Refuses a question with a part that is not known, for it may be the one that matters.
fn known_only<'n>(mut names: impl Iterator<Item = &'n str>, known: &[&str]) -> Result<(), Refusal> {
    if names.all(|name| known.contains(&name)) {
        return Ok(());
    }
    Err(malformed(IssueType::NotSupported, &format!("The parameters of $validate are {}.", known.join(", "))))
}

fn malformed(code: IssueType, text: &str) -> Refusal {
    Refusal::new(Reason::Malformed, code, text.to_owned())
}

/// The texts of the parameters of a name. One whose value has another type than those allowed, or none, would be asked for and not heard.
fn values(parameters: &Node, name: &str, types: &[&str]) -> Result<Vec<String>, Refusal> {
    let named = parameters.items("parameter").iter().filter(|parameter| parameter.text("name") == Some(name));
    let refusal = || malformed(IssueType::Value, &format!("The parameter '{name}' has a {}.", types.join(", or a ")));
    named.map(|parameter| Ok(value(parameter, types).ok_or_else(refusal)?.to_owned())).collect()
}

fn value<'n>(parameter: &'n Node, types: &[&str]) -> Option<&'n str> {
    let mut members = parameter.as_object()?.members().iter().filter(|member| member.name.starts_with("value"));
    let (value, other) = (members.next()?, members.next());
    value.node.as_text().filter(|_| other.is_none() && types.contains(&value.name.as_str()))
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
    let is_other_type = |expected: &str| question.resource.as_ref().is_some_and(|resource| resource.resource_type() != Some(expected));
    match question.mode {
        _ if place.type_name.is_some_and(is_other_type) => {
            finding(Severity::Error, IssueType::Invalid, "VALIDATE_OTHER_TYPE", "The resource is not of the type that the URL names")
        }
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
