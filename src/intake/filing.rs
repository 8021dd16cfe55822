//! What is filed with a consent: the body of `$fileConsent`, as the writes it asks for.

use super::bundle::Write;
use super::interaction::Interaction;
use crate::fhir::{Node, Object};
use crate::outcome::{IssueType, Reason, Refusal};

/// The types a consent may be given on.
const DOCUMENTS: [&str; 2] = ["DocumentReference", "QuestionnaireResponse"];
/// The most documents that go with one consent.
const MAX_DOCUMENTS: usize = 20;

/// A resource with the name others may call it by.
type Named = (Option<String>, Node);

/// Takes the body apart: a Consent alone, `Parameters` with `consent` and `document`, or a Bundle of them.
///
/// The documents come first, and a consent that names no source of its own gets the first of them as its source. What was received is kept as
/// evidence; where a resource stood in it is not told, for it was not sent as a request of its own.
pub fn filing(body: Node) -> Result<Vec<Write>, Refusal> {
    let named = match body.resource_type() {
        Some("Consent") => vec![(None, body)],
        Some("Parameters") => of_parameters(&body)?,
        Some("Bundle") => of_bundle(&body)?,
        _ => return Err(refused("$fileConsent takes a Consent, Parameters or a Bundle.")),
    };
    let (mut consents, documents): (Vec<Named>, Vec<Named>) =
        named.into_iter().partition(|(_, resource)| resource.resource_type() == Some("Consent"));
    let Some((_, mut consent)) = consents.pop().filter(|_| consents.is_empty()) else {
        return Err(refused("$fileConsent files one Consent at a time."));
    };
    if documents.len() > MAX_DOCUMENTS {
        return Err(refused("More documents than one consent can have been given on."));
    }
    if documents.iter().any(|(_, resource)| !resource.resource_type().is_some_and(|name| DOCUMENTS.contains(&name))) {
        return Err(refused("A consent is filed with DocumentReferences and QuestionnaireResponses, and with nothing else."));
    }
    let mut writes: Vec<Write> = documents.into_iter().enumerate().map(|(index, named)| write(index, named)).collect();
    if let Some(document) = writes.first().and_then(|write| write.full_url.clone()) {
        name_source(&mut consent, &document);
    }
    writes.push(write(writes.len(), (None, consent)));
    Ok(writes)
}

fn of_parameters(body: &Node) -> Result<Vec<Named>, Refusal> {
    let of = |parameter: &Node| match (parameter.text("name"), parameter.get("resource")) {
        (Some("consent" | "document"), Some(resource)) => Ok((None, resource.clone())),
        _ => Err(refused("$fileConsent takes the parameters 'consent' and 'document', each a resource.")),
    };
    body.items("parameter").iter().map(of).collect()
}

fn of_bundle(body: &Node) -> Result<Vec<Named>, Refusal> {
    let of = |entry: &Node| match entry.get("resource") {
        Some(resource) if entry.get("modifierExtension").is_none() => Ok((entry.text("fullUrl").map(str::to_owned), resource.clone())),
        _ => Err(refused("Each entry of the Bundle must hold a resource, and nothing that would change its meaning.")),
    };
    body.items("entry").iter().map(of).collect()
}

/// An own id is kept to, so that what is filed again is the same consent.
fn write(index: usize, (full_url, resource): Named) -> Write {
    let type_name = resource.resource_type().unwrap_or_default().to_owned();
    let interaction = match resource.text("id") {
        Some(id) => Interaction::Update { type_name, id: id.to_owned(), if_match: None, only_new: false },
        None => Interaction::Create { type_name, if_none_exist: None },
    };
    let full_url = full_url.or_else(|| Some(format!("urn:uuid:00000000-0000-4000-8000-{index:012x}")));
    Write { interaction, resource: Some(resource), full_url, path: String::new() }
}

fn name_source(consent: &mut Node, document: &str) {
    let has_source = ["sourceAttachment", "sourceReference"].iter().any(|name| consent.get(name).is_some());
    let reference: Node = Object::new().with("reference", document).into();
    if let Some(object) = consent.as_object_mut().filter(|_| !has_source) {
        object.set("sourceReference", reference);
    }
}

fn refused(text: &str) -> Refusal {
    Refusal::new(Reason::Malformed, IssueType::Invalid, text)
}
