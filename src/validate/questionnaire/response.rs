//! The items of a response beside those of its Questionnaire: which may be there, which must, and in which order.

use super::super::DEPTH_MAX;
use super::super::canonicals;
use super::super::path::Path;
use super::super::profiles::{Found, find};
use super::super::references::Scope;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::{answers, by_id, enable, extension};
use crate::fhir::Node;
use crate::outcome::IssueType;
use enable::Around;
use std::collections::HashMap;

const NOT_NAMED: Rule = Rule::information(IssueType::Required, "Questionnaire_QR_Q_None");
const NOT_IN_HAND: Rule = Rule::warning(IssueType::Required, "Questionnaire_QR_Q_NotFound");
const UNKNOWN: Rule = Rule::error(IssueType::Structure, "Questionnaire_QR_Item_NotFound");
const MISPLACED: Rule = Rule::error(IssueType::Structure, "Questionnaire_QR_Item_Misplaced");
const OUT_OF_ORDER: Rule = Rule::error(IssueType::Structure, "Questionnaire_QR_Item_Order");
const MISSING: Rule = Rule::error(IssueType::Required, "Questionnaire_QR_Item_Missing");
const NOT_ENABLED: Rule = Rule::error(IssueType::Structure, "Questionnaire_QR_Item_NotEnabled2");
const NOT_EVALUATED: Rule = Rule::information(IssueType::NotSupported, "QUESTIONNAIRE_QR_ITEM_ENABLED_NOT_EVALUATED");
const TWICE: Rule = Rule::error(IssueType::Structure, "Questionnaire_QR_Item_OnlyOneI");
const TOO_MANY_ANSWERS: Rule = Rule::error(IssueType::Structure, "Questionnaire_QR_Item_OnlyOneA");
const TOO_FEW: Rule = Rule::error(IssueType::Structure, "QUESTIONNAIRE_QR_ITEM_MIN_OCCURS");
const TOO_MANY: Rule = Rule::error(IssueType::Structure, "QUESTIONNAIRE_QR_ITEM_MAX_OCCURS");
const OTHER_TEXT: Rule = Rule::error(IssueType::Invalid, "Questionnaire_QR_Item_Text");
const EMPTY_GROUP: Rule = Rule::error(IssueType::Required, "QUESTIONNAIRE_QR_ITEM_GROUP_REQUIRED");
const ANSWER_TO_GROUP: Rule = Rule::error(IssueType::Structure, "Questionnaire_QR_Item_Group");
const ITEMS_OF_DISPLAY: Rule = Rule::error(IssueType::Structure, "Questionnaire_QR_Item_Display");
const ITEMS_OUTSIDE_ANSWERS: Rule = Rule::error(IssueType::Structure, "Questionnaire_QR_Item_GroupAnswer");
const ANSWER_TO_DISPLAY: Rule = Rule::error(IssueType::Structure, "QUESTIONNAIRE_QR_ITEM_DISPLAY_NO_VALUE");

/// Judges a response by its Questionnaire: contained, or in hand.
pub fn check(walk: &mut Walk<'_>, response: Found<'_>, scope: &Scope<'_>, path: &Path<'_>) {
    let Some(node) = response.item.node else { return };
    let Some(url) = node.text("questionnaire") else {
        if walk.options.report_undecided {
            walk.report.add(NOT_NAMED, path, node, "No Questionnaire is named, so the answers were not checked against one");
        }
        return;
    };
    let named = match url.strip_prefix('#') {
        Some(id) => node.items("contained").iter().find(|one| one.text("id") == Some(id)),
        None => walk.definitions.resource(url),
    };
    let Some(questionnaire) = named.filter(|found| found.resource_type() == Some("Questionnaire")) else {
        let text = canonicals::absent(walk, url, "Questionnaire", "the answers were not checked against it");
        return walk.report.add(NOT_IN_HAND, path, node, text);
    };
    let is_finished = matches!(node.text("status"), Some("completed" | "amended"));
    let check = Check { known: by_id(questionnaire), is_finished, contained: [questionnaire.items("contained"), node.items("contained")] };
    check.items(walk, questionnaire, response, &mut Around::new(questionnaire, node, scope), path);
}

/// One response being judged.
struct Check<'a> {
    /// All items of the Questionnaire by their ids.
    known: HashMap<&'a str, &'a Node>,
    /// What is missing is an error only then: a response that was stopped or entered in error is what it is.
    is_finished: bool,
    /// What the Questionnaire contains, and what the response does.
    contained: [&'a [Node]; 2],
}

/// An item of the Questionnaire, for the response to be judged by.
#[derive(Clone, Copy)]
struct Asked<'n> {
    item: &'n Node,
    /// Whether the other answers enable it; none where that could not be said.
    is_enabled: Option<bool>,
}

impl Asked<'_> {
    fn is_required(self) -> bool {
        let is_marked = self.item.get("required").and_then(Node::as_bool) == Some(true);
        self.is_enabled == Some(true) && is_marked && self.item.text("type") != Some("display")
    }
}

impl<'a> Check<'a> {
    /// The items under `form` (the Questionnaire or an item) beside those under `parent`.
    fn items<'n>(&self, walk: &mut Walk<'_>, form: &'n Node, parent: Found<'n>, around: &mut Around<'n>, path: &Path<'_>)
    where
        'a: 'n,
    {
        if around.depth() >= DEPTH_MAX {
            return;
        }
        let given = find(walk.types, parent.item, "item");
        let listed = form.items("item");
        self.places(walk, listed, &given, parent, around, path);
        let mut by_id: HashMap<Option<&str>, Vec<Found<'n>>> = HashMap::new();
        for found in given {
            by_id.entry(found.item.node.and_then(|node| node.text("linkId"))).or_default().push(found);
        }
        for (place, item) in listed.iter().enumerate() {
            let found = by_id.get(&item.text("linkId")).map(Vec::as_slice).unwrap_or_default();
            let is_enabled = enable::is_enabled(walk, item, around);
            if let Err(why) = &is_enabled {
                let text = format!(
                    "Whether item number {} of those the Questionnaire has here is asked for depends on an expression that could not be evaluated: {why}",
                    place + 1
                );
                walk.report.add_at(NOT_EVALUATED, path, offset(parent), text);
            }
            let asked = Asked { item, is_enabled: is_enabled.ok() };
            if found.is_empty() && asked.is_required() {
                let text = format!("A required item is not there: number {} of those the Questionnaire has here", place + 1);
                walk.report.add_at(MISSING.grave_if(self.is_finished), path, offset(parent), text);
            }
            if found.len() > 1 && !repeats(item) {
                walk.report.add_at(TWICE, path, offset(parent), "An item that does not repeat is there more than once");
            }
            self.given(walk, asked, found, around, path);
        }
    }

    /// The items of the response that answer to one of the Questionnaire. `path` is that of what they stand in.
    fn given<'n>(&self, walk: &mut Walk<'_>, asked: Asked<'n>, found: &[Found<'n>], around: &mut Around<'n>, path: &Path<'_>)
    where
        'a: 'n,
    {
        let name = path.name("item");
        for &one in found {
            let at = name.index(one.index.unwrap_or_default());
            if asked.is_enabled == Some(false) {
                if !says_something(one) {
                    continue;
                }
                walk.report.add_at(NOT_ENABLED, &at, offset(one), "The item is there, though the answers to others do not enable it");
            }
            self.item(walk, asked, one, around, &at);
        }
    }

    /// Every item is one that is asked for here, in the order in which they are.
    fn places<'n>(
        &self,
        walk: &mut Walk<'_>,
        asked: &[Node],
        given: &[Found<'n>],
        parent: Found<'n>,
        around: &mut Around<'n>,
        path: &Path<'_>,
    ) where
        'a: 'n,
    {
        let mut places: HashMap<&str, usize> = HashMap::new();
        for (place, item) in asked.iter().enumerate() {
            if let Some(id) = item.text("linkId") {
                places.entry(id).or_insert(place);
            }
        }
        let (mut last, name) = (None, path.name("item"));
        for found in given {
            let Some(id) = found.item.node.and_then(|node| node.text("linkId")) else { continue };
            let place = places.get(id).copied();
            match (place, self.known.get(id)) {
                (None, Some(&item)) => {
                    walk.report.add_at(MISPLACED, path, offset(parent), "An item is there that the Questionnaire has elsewhere");
                    // Where it belongs decides whether it is asked for; here, what it holds is judged and nothing is missed.
                    self.item(walk, Asked { item, is_enabled: None }, *found, around, &name.index(found.index.unwrap_or_default()));
                }
                (None, None) => walk.report.add_at(UNKNOWN, path, offset(parent), "An item is there that the Questionnaire does not have"),
                (Some(_), _) if place < last => {
                    walk.report.add_at(OUT_OF_ORDER, path, offset(parent), "The items are not in the order of the Questionnaire");
                }
                (Some(_), _) => {}
            }
            last = last.max(place);
        }
    }

    fn item<'n>(&self, walk: &mut Walk<'_>, asked: Asked<'n>, found: Found<'n>, around: &mut Around<'n>, path: &Path<'_>)
    where
        'a: 'n,
    {
        let item = asked.item;
        let given = find(walk.types, found.item, "answer");
        if let Some(node) = found.item.node {
            around.enter(node);
            if let (Some(given), Some(stated)) = (node.text("text"), item.text("text"))
                && given != stated
            {
                walk.report.add(OTHER_TEXT, path, node, "The text of the item is not that of the Questionnaire");
            }
        }
        match item.text("type") {
            // The type `question` only groups others in the hierarchy of types.
            Some("group" | "question") => {
                if !given.is_empty() {
                    walk.report.add_at(ANSWER_TO_GROUP, path, offset(found), "A group has no answers");
                }
                if asked.is_required() && !holds_items(found) {
                    walk.report.add_at(EMPTY_GROUP.grave_if(self.is_finished), path, offset(found), "A required group has no items");
                }
                self.items(walk, item, found, around, path);
            }
            Some("display") => {
                if !given.is_empty() {
                    walk.report.add_at(ANSWER_TO_DISPLAY, path, offset(found), "A display has no answers");
                }
                if holds_items(found) {
                    walk.report.add_at(ITEMS_OF_DISPLAY, path, offset(found), "A display has no items");
                }
            }
            _ => self.answers(walk, asked, found, &given, around, path),
        }
        if found.item.node.is_some() {
            around.leave();
        }
    }

    fn answers<'n>(
        &self,
        walk: &mut Walk<'_>,
        asked: Asked<'n>,
        found: Found<'n>,
        given: &[Found<'n>],
        around: &mut Around<'n>,
        path: &Path<'_>,
    ) where
        'a: 'n,
    {
        let item = asked.item;
        if given.is_empty() && asked.is_required() {
            walk.report.add_at(MISSING.grave_if(self.is_finished), path, offset(found), "A required item has no answer");
        }
        if given.len() > 1 && !repeats(item) {
            walk.report.add_at(TOO_MANY_ANSWERS, path, offset(found), "An item that does not repeat has more than one answer");
        }
        let limit = |name: &str| extension(item, name).and_then(Node::as_number).and_then(|number| number.parse::<usize>().ok());
        if limit("questionnaire-minOccurs").is_some_and(|min| given.len() < min) {
            walk.report.add_at(
                TOO_FEW.grave_if(self.is_finished),
                path,
                offset(found),
                "The item has fewer answers than the Questionnaire asks for",
            );
        }
        if limit("questionnaire-maxOccurs").is_some_and(|max| given.len() > max) {
            walk.report.add_at(TOO_MANY, path, offset(found), "The item has more answers than the Questionnaire allows");
        }
        answers::check_all(walk, item, given, path);
        let name = path.name("answer");
        for answer in given {
            let at = name.index(answer.index.unwrap_or_default());
            answers::check(walk, item, *answer, self.contained, &at);
            if let Some(node) = answer.item.node {
                around.enter(node);
                self.items(walk, item, *answer, around, &at);
                around.leave();
            }
        }
        if holds_items(found) {
            let text = "The items under a question stand in its answers, not beside them";
            walk.report.add_at(ITEMS_OUTSIDE_ANSWERS, path, offset(found), text);
        }
    }
}

/// Whether an item is more than the place for an answer.
fn says_something(found: Found<'_>) -> bool {
    found.item.node.is_some_and(|node| node.get("answer").is_some() || node.get("item").is_some())
}

fn holds_items(found: Found<'_>) -> bool {
    found.item.node.is_some_and(|node| node.get("item").is_some())
}

fn repeats(item: &Node) -> bool {
    item.get("repeats").and_then(Node::as_bool) == Some(true)
}

pub fn offset(found: Found<'_>) -> Option<u32> {
    found.item.node.and_then(Node::place)
}
