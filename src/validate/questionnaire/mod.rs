//! Questionnaires, and QuestionnaireResponses beside the Questionnaire they answer (<https://hl7.org/fhir/R4/questionnaireresponse.html>).

mod answers;
mod derived;
mod enable;
mod expression;
mod form;
mod limits;
pub mod options;
mod response;

pub use form::check as check_form;
pub use response::check as check_response;

use super::DEPTH_MAX;
use crate::fhir::{Node, Object};
use std::collections::HashMap;

/// Where the extensions of Questionnaires are defined.
const EXTENSIONS: &str = "http://hl7.org/fhir/StructureDefinition/";

/// The value of an extension by its URL.
fn extension<'a>(node: &'a Node, url: &str) -> Option<&'a Node> {
    extensions(node, url).next()
}

/// The values of all extensions of a URL. URLs are given in full, or by their name among HL7's own.
fn extensions<'a>(node: &'a Node, url: &str) -> impl Iterator<Item = &'a Node> {
    let is_named = move |extension: &&Node| {
        extension.text("url").is_some_and(|found| found == url || found.strip_prefix(EXTENSIONS).is_some_and(|name| name == url))
    };
    node.items("extension").iter().filter(is_named).filter_map(value)
}

/// The value of a choice `value[x]`.
fn value(node: &Node) -> Option<&Node> {
    let members = node.as_object().map(Object::members)?;
    members.iter().find(|member| member.name.starts_with("value")).map(|member| &member.node)
}

/// All items of a Questionnaire by their ids.
fn by_id(questionnaire: &Node) -> HashMap<&str, &Node> {
    fn collect<'n>(parent: &'n Node, known: &mut HashMap<&'n str, &'n Node>, depth: usize) {
        if depth < DEPTH_MAX {
            for item in parent.items("item") {
                known.extend(item.text("linkId").map(|id| (id, item)));
                collect(item, known, depth + 1);
            }
        }
    }
    let mut known = HashMap::new();
    collect(questionnaire, &mut known, 0);
    known
}
