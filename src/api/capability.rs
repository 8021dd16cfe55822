//! The CapabilityStatement, generated from what is really there: the embedded types, the search parameters that work, the interactions offered.

use crate::config::Settings;
use crate::definitions::{Definitions, SearchKind};
use crate::fhir::types::TypeKind;
use crate::fhir::{Node, Object};
use crate::search;

/// When the shape of this statement last changed.
const DATE: &str = "2026-11-20";
const INTERACTIONS: [&str; 8] = ["read", "vread", "update", "delete", "history-instance", "history-type", "create", "search-type"];

/// What `GET [base]/metadata` answers.
pub fn statement(settings: &Settings, definitions: &'static Definitions, base_url: &str) -> Node {
    let software = Object::new().with("name", "hearthgate").with("version", env!("CARGO_PKG_VERSION"));
    let implementation = Object::new().with("description", "FHIR interoperability gateway").with("url", base_url);
    Object::resource("CapabilityStatement")
        .with("name", "Hearthgate")
        .with("status", "active")
        .with("date", DATE)
        .with("kind", "instance")
        .with("software", software)
        .with("implementation", implementation)
        .with("fhirVersion", definitions.types().version.as_str())
        .with("format", texts(&["application/fhir+json", "application/fhir+xml", "json", "xml"]))
        .with("rest", vec![rest(settings, definitions)])
        .into()
}

fn texts(items: &[&str]) -> Vec<Node> {
    items.iter().map(|&item| item.into()).collect()
}

fn rest(settings: &Settings, definitions: &'static Definitions) -> Node {
    let types = definitions.types().types().iter().filter(|definition| definition.kind == TypeKind::Resource && !definition.is_abstract);
    let resources: Vec<Node> = types.map(|definition| resource(definitions, &definition.name)).collect();
    let interactions: Vec<Node> =
        ["transaction", "batch", "history-system"].iter().map(|&code| Object::new().with("code", code).into()).collect();
    let operations = vec![operation("validate", "http://hl7.org/fhir/OperationDefinition/Resource-validate")];
    Object::new()
        .with("mode", "server")
        .with("security", security(settings))
        .with("resource", resources)
        .with("interaction", interactions)
        .with("operation", operations)
        .into()
}

fn security(settings: &Settings) -> Node {
    let service: Node =
        Object::new().with("system", "http://terminology.hl7.org/CodeSystem/restful-security-service").with("code", "SMART-on-FHIR").into();
    let concept: Node = Object::new().with("coding", vec![service]).into();
    let text = format!("SMART Backend Services, as {}/.well-known/smart-configuration says.", settings.server.fhir_base());
    Object::new().with("service", vec![concept]).with("description", text).into()
}

fn resource(definitions: &'static Definitions, name: &str) -> Node {
    let interactions: Vec<Node> = INTERACTIONS.iter().map(|&code| Object::new().with("code", code).into()).collect();
    let parameters: Vec<Node> = search::supported(definitions, name)
        .map(|parameter| Object::new().with("name", parameter.code()).with("type", parameter.kind().code()).into())
        .collect();
    let mut operations = vec![
        operation("validate", "http://hl7.org/fhir/OperationDefinition/Resource-validate"),
        operation("receipt", "urn:hearthgate:operation:receipt"),
        operation("provenance-trail", "urn:hearthgate:operation:provenance-trail"),
        operation("erase", "urn:hearthgate:operation:erase"),
    ];
    if name == "Patient" {
        operations.push(operation("everything", "http://hl7.org/fhir/OperationDefinition/Patient-everything"));
        operations.push(operation("match", "http://hl7.org/fhir/OperationDefinition/Patient-match"));
        operations.push(operation("golden-record", "urn:hearthgate:operation:golden-record"));
        operations.push(operation("disclosures", "urn:hearthgate:operation:disclosures"));
        operations.push(operation("consent-decide", "urn:hearthgate:operation:consent-decide"));
        operations.push(operation("break-glass", "urn:hearthgate:operation:break-glass"));
    }
    if name == "Consent" {
        operations.push(operation("consent-decide", "urn:hearthgate:operation:consent-decide"));
        operations.push(operation("fileConsent", "http://hl7.org/fhir/us/consent-management/OperationDefinition/file-consent"));
        operations.push(operation("revokeConsent", "http://hl7.org/fhir/us/consent-management/OperationDefinition/revoke-consent"));
    }
    if name == "Task" {
        operations.push(operation("pending", "urn:hearthgate:operation:pending"));
        operations.push(operation("sign-off", "urn:hearthgate:operation:sign-off"));
    }
    let references = search::supported(definitions, name).filter(|parameter| parameter.kind() == SearchKind::Reference);
    let includes: Vec<Node> = references.map(|parameter| format!("{name}:{}", parameter.code()).as_str().into()).collect();
    Object::new()
        .with("type", name)
        .with("profile", format!("http://hl7.org/fhir/StructureDefinition/{name}"))
        .with("interaction", interactions)
        .with("versioning", "versioned-update")
        .with("readHistory", true)
        .with("updateCreate", true)
        .with("conditionalCreate", true)
        .with("conditionalRead", "full-support")
        .with("conditionalUpdate", true)
        .with("conditionalDelete", "single")
        .with_some("searchInclude", (!includes.is_empty()).then_some(includes))
        .with_some("searchParam", (!parameters.is_empty()).then_some(parameters))
        .with("operation", operations)
        .into()
}

fn operation(name: &str, definition: &str) -> Node {
    Object::new().with("name", name).with("definition", definition).into()
}
