//! The items of a response beside those of its Questionnaire: which may be there, which must, and in which order.

use super::super::DEPTH_MAX;
use super::super::canonicals;
use super::super::path::Path;
use super::super::profiles::{Found, find};
use super::super::report::Rule;
use super::super::structure::Walk;
use super::{answers, enable, extension};
use crate::fhir::Node;
use crate::outcome::IssueType;
use enable::Around;
use std::collections::{HashMap, HashSet};

const NOT_IN_HAND: Rule = Rule::warning(IssueType::Required, "Questionnaire_QR_Q_NotFound");
const UNKNOWN: Rule = Rule::error(IssueType::Structure, "Questionnaire_QR_Item_NotFound");
const MISPLACED: Rule = Rule::error(IssueType::Structure, "Questionnaire_QR_Item_Misplaced");
const OUT_OF_ORDER: Rule = Rule::error(IssueType::Structure, "Questionnaire_QR_Item_Order");
const MISSING: Rule = Rule::error(IssueType::Required, "Questionnaire_QR_Item_Missing");
const NOT_ENABLED: Rule = Rule::error(IssueType::Structure, "Questionnaire_QR_Item_NotEnabled2");
const TWICE: Rule = Rule::error(IssueType::Structure, "Questionnaire_QR_Item_OnlyOneI");
const TOO_MANY_ANSWERS: Rule = Rule::error(IssueType::Structure, "Questionnaire_QR_Item_OnlyOneA");
const TOO_FEW: Rule = Rule::error(IssueType::Structure, "QUESTIONNAIRE_QR_ITEM_MIN_OCCURS");
const TOO_MANY: Rule = Rule::error(IssueType::Structure, "QUESTIONNAIRE_QR_ITEM_MAX_OCCURS");
const OTHER_TEXT: Rule = Rule::error(IssueType::Invalid, "Questionnaire_QR_Item_Text");
const ANSWER_TO_GROUP: Rule = Rule::error(IssueType::Structure, "Questionnaire_QR_Item_Group");
const ITEMS_OF_DISPLAY: Rule = Rule::error(IssueType::Structure, "Questionnaire_QR_Item_Display");
const ITEMS_OUTSIDE_ANSWERS: Rule = Rule::error(IssueType::Structure, "Questionnaire_QR_Item_GroupAnswer");
const ANSWER_TO_DISPLAY: Rule = Rule::error(IssueType::Structure, "QUESTIONNAIRE_QR_ITEM_DISPLAY_NO_VALUE");

/// Judges a response by its Questionnaire: contained, or in hand.
pub fn check(walk: &mut Walk<'_>, response: Found<'_>, path: &Path<'_>) {
    let Some(node) = response.item.node else { return };
    let Some(url) = node.text("questionnaire") else { return };
    let named = match url.strip_prefix('#') {
        Some(id) => node.items("contained").iter().find(|one| one.text("id") == Some(id)),
        None => walk.definitions.resource(url),
    };
    let Some(questionnaire) = named.filter(|found| found.resource_type() == Some("Questionnaire")) else {
        let text = canonicals::absent(walk, url, "Questionnaire", "the answers were not checked against it");
        return walk.report.add(NOT_IN_HAND, path, node, text);
    };
    let is_finished = node.text("status") != Some("in-progress");
    let mut known = HashSet::new();
    collect_ids(questionnaire, &mut known, 0);
    let check = Check { known, is_finished, contained: [questionnaire.items("contained"), node.items("contained")] };
    check.items(walk, questionnaire, response, &mut Around::new(node), path);
}

/// One response being judged.
struct Check<'a> {
    /// The ids of all items of the Questionnaire.
    known: HashSet<&'a str>,
    /// What is missing counts only then.
    is_finished: bool,
    /// What the Questionnaire contains, and what the response does.
    contained: [&'a [Node]; 2],
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
        let asked = form.items("item");
        self.places(walk, asked, &given, parent, path);
        let name = path.name("item");
        let mut by_id: HashMap<Option<&str>, Vec<Found<'n>>> = HashMap::new();
        for found in given {
            by_id.entry(found.item.node.and_then(|node| node.text("linkId"))).or_default().push(found);
        }
        for (place, item) in asked.iter().enumerate() {
            let found = by_id.get(&item.text("linkId")).map(Vec::as_slice).unwrap_or_default();
            let is_enabled = enable::is_enabled(item, around);
            if found.is_empty() && is_enabled && self.is_required(item) {
                let text = format!("A required item is not there: number {} of those the Questionnaire has here", place + 1);
                walk.report.add_at(MISSING, path, offset(parent), text);
            }
            if found.len() > 1 && !repeats(item) {
                walk.report.add_at(TWICE, path, offset(parent), "An item that does not repeat is there more than once");
            }
            for &one in found {
                let at = name.index(one.index.unwrap_or_default());
                if is_enabled {
                    self.item(walk, item, one, around, &at);
                } else if says_something(one) {
                    walk.report.add_at(NOT_ENABLED, &at, offset(one), "The item is there, though the answers to others do not enable it");
                }
            }
        }
    }

    fn is_required(&self, item: &Node) -> bool {
        self.is_finished && item.get("required").and_then(Node::as_bool) == Some(true) && item.text("type") != Some("display")
    }

    /// Every item is one that is asked for here, in the order in which they are.
    fn places(&self, walk: &mut Walk<'_>, asked: &[Node], given: &[Found<'_>], parent: Found<'_>, path: &Path<'_>) {
        let mut places: HashMap<&str, usize> = HashMap::new();
        for (place, item) in asked.iter().enumerate() {
            if let Some(id) = item.text("linkId") {
                places.entry(id).or_insert(place);
            }
        }
        let mut last = None;
        for found in given {
            let Some(id) = found.item.node.and_then(|node| node.text("linkId")) else { continue };
            let place = places.get(id).copied();
            match place {
                None if self.known.contains(id) => {
                    walk.report.add_at(MISPLACED, path, offset(parent), "An item is there that the Questionnaire has elsewhere");
                }
                None => walk.report.add_at(UNKNOWN, path, offset(parent), "An item is there that the Questionnaire does not have"),
                Some(_) if place < last => {
                    walk.report.add_at(OUT_OF_ORDER, path, offset(parent), "The items are not in the order of the Questionnaire");
                }
                Some(_) => {}
            }
            last = last.max(place);
        }
    }

    fn item<'n>(&self, walk: &mut Walk<'_>, item: &'n Node, found: Found<'n>, around: &mut Around<'n>, path: &Path<'_>)
    where
        'a: 'n,
    {
        let given = find(walk.types, found.item, "answer");
        if let Some(node) = found.item.node {
            around.enter(node);
            if let (Some(given), Some(asked)) = (node.text("text"), item.text("text"))
                && given != asked
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
            _ => self.answers(walk, item, found, &given, around, path),
        }
        if found.item.node.is_some() {
            around.leave();
        }
    }

    fn answers<'n>(
        &self,
        walk: &mut Walk<'_>,
        item: &'n Node,
        found: Found<'n>,
        given: &[Found<'n>],
        around: &mut Around<'n>,
        path: &Path<'_>,
    ) where
        'a: 'n,
    {
        if given.is_empty() && self.is_required(item) {
            walk.report.add_at(MISSING, path, offset(found), "A required item has no answer");
        }
        if given.len() > 1 && !repeats(item) {
            walk.report.add_at(TOO_MANY_ANSWERS, path, offset(found), "An item that does not repeat has more than one answer");
        }
        let limit = |name: &str| extension(item, name).and_then(Node::as_number).and_then(|number| number.parse::<usize>().ok());
        if self.is_finished && limit("questionnaire-minOccurs").is_some_and(|min| given.len() < min) {
            walk.report.add_at(TOO_FEW, path, offset(found), "The item has fewer answers than the Questionnaire asks for");
        }
        if limit("questionnaire-maxOccurs").is_some_and(|max| given.len() > max) {
            walk.report.add_at(TOO_MANY, path, offset(found), "The item has more answers than the Questionnaire allows");
        }
        answers::check_all(walk, item, given, found, path);
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

fn collect_ids<'a>(parent: &'a Node, ids: &mut HashSet<&'a str>, depth: usize) {
    if depth < DEPTH_MAX {
        for item in parent.items("item") {
            ids.extend(item.text("linkId"));
            collect_ids(item, ids, depth + 1);
        }
    }
}

pub fn offset(found: Found<'_>) -> Option<u32> {
    found.item.node.and_then(Node::place)
}
