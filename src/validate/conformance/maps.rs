//! StructureMaps: rules name variables that are there, and groups that there are (<https://hl7.org/fhir/R4/structuremap.html>). Whether the elements
//! that they name are in the types they map is judged where it can be told what a variable is of.

mod typed;

use super::super::DEPTH_MAX;
use super::super::path::Path;
use super::super::report::Rule;
use super::super::structure::Walk;
use crate::fhir::Node;
use crate::fhir::types::ElementId;
use crate::outcome::IssueType;
use std::collections::HashMap;

const BAD_NAME: Rule = Rule::error(IssueType::Invalid, "SM_NAME_INVALID");
const INPUT_TWICE: Rule = Rule::error(IssueType::Duplicate, "SM_GROUP_INPUT_DUPLICATE");
const NO_SOURCE: Rule = Rule::error(IssueType::Invalid, "SM_SOURCE_CONTEXT_UNKNOWN");
const NO_TARGET: Rule = Rule::error(IssueType::Invalid, "SM_TARGET_CONTEXT_UNKNOWN");
const NO_GROUP: Rule = Rule::error(IssueType::NotSupported, "SM_RULEGROUP_NOT_FOUND");
const OTHER_NUMBER: Rule = Rule::error(IssueType::Invalid, "SM_RULEGROUP_PARAM_COUNT_MISMATCH");
const IMPORT_NOT_IN_HAND: Rule = Rule::warning(IssueType::Invalid, "SM_IMPORT_NOT_FOUND");

/// Judges a StructureMap.
pub fn check(walk: &mut Walk<'_>, map: &Node, path: &Path<'_>) {
    let (groups, structures) = (groups(walk, map, path), typed::structures(map));
    let name = path.name("group");
    for (index, group) in map.items("group").iter().enumerate() {
        let at = name.index(index);
        named(walk, group, "name", &at);
        if let Some(extended) = group.get("extends") {
            groups.find(walk, extended.as_text(), extended, &at.name("extends"));
        }
        let mut rules = Rules { groups: &groups, structures: &structures, variables: Variables::default() };
        let inputs = at.name("input");
        for (index, input) in group.items("input").iter().enumerate() {
            let (Some(name), is_source) = (input.text("name"), input.text("mode") == Some("source")) else { continue };
            named(walk, input, "name", &inputs.index(index));
            if rules.variables.has(name, true) || rules.variables.has(name, false) {
                walk.report.add(INPUT_TWICE, &inputs.index(index), input, "Another input of the group has this name");
            }
            let of = typed::input(walk, &structures, input, &inputs.index(index));
            rules.variables.add(name, is_source, of);
        }
        rules.check(walk, group, &at, 0);
    }
}

/// Whether a name can stand in the mapping language; one that is not there is none of this one's concern.
fn named(walk: &mut Walk<'_>, node: &Node, member: &str, path: &Path<'_>) -> bool {
    let Some(name) = node.text(member) else { return true };
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_name {
        walk.report.add(BAD_NAME, path, node, format!("A {member} in a map is a letter, and after it letters and digits"));
    }
    is_name
}

/// The groups that can be called: how many inputs each has, by name.
struct Groups<'n> {
    inputs: HashMap<&'n str, usize>,
    /// Whether there may be others, in what is imported and not in hand.
    is_open: bool,
}

/// Those of the map, and of what it imports.
fn groups<'n, 'w: 'n>(walk: &mut Walk<'w>, map: &'n Node, path: &Path<'_>) -> Groups<'n> {
    let definitions = walk.definitions;
    let mut all = Groups { inputs: HashMap::new(), is_open: false };
    all.add(map);
    let name = path.name("import");
    for (index, import) in map.items("import").iter().enumerate() {
        let named = import.as_text().and_then(|url| definitions.resource(url));
        match named.filter(|found| found.resource_type() == Some("StructureMap")) {
            Some(found) => {
                // What is imported from there in turn is not followed.
                all.is_open |= !found.items("import").is_empty();
                all.add(found);
            }
            None => {
                all.is_open = true;
                if walk.options.report_undecided && import.as_text().is_some_and(|url| !url.contains('*')) {
                    let text = "The map that is imported is not in hand, so groups that are called were not looked for in it";
                    walk.report.add(IMPORT_NOT_IN_HAND, &name.index(index), import, text);
                }
            }
        }
    }
    all
}

impl<'n> Groups<'n> {
    fn add(&mut self, map: &'n Node) {
        for group in map.items("group") {
            if let Some(name) = group.text("name") {
                self.inputs.entry(name).or_insert(group.items("input").len());
            }
        }
    }

    /// The number of inputs of a group that is called; one that there is not is an error.
    fn find(&self, walk: &mut Walk<'_>, name: Option<&str>, node: &Node, path: &Path<'_>) -> Option<usize> {
        let found = name.and_then(|name| self.inputs.get(name)).copied();
        if found.is_none() && !self.is_open {
            walk.report.add(NO_GROUP, path, node, "There is no group of this name");
        }
        found
    }
}

/// The variables in sight: what each is of, once for each time that it is defined, as a source (true) or as a target; and in which order they came.
#[derive(Default)]
struct Variables<'n> {
    defined: HashMap<(&'n str, bool), Vec<Option<ElementId>>>,
    order: Vec<(&'n str, bool)>,
}

impl<'n> Variables<'n> {
    fn has(&self, name: &str, is_source: bool) -> bool {
        self.defined.get(&(name, is_source)).is_some_and(|defined| !defined.is_empty())
    }

    /// What the variable is of that was defined last.
    fn of(&self, name: &str, is_source: bool) -> Option<ElementId> {
        self.defined.get(&(name, is_source))?.last().copied().flatten()
    }

    fn add(&mut self, name: &'n str, is_source: bool, of: Option<ElementId>) {
        self.defined.entry((name, is_source)).or_default().push(of);
        self.order.push((name, is_source));
    }

    /// Forgets what was defined beyond so many.
    fn forget(&mut self, kept: usize) {
        for one in self.order.split_off(kept.min(self.order.len())) {
            if let Some(defined) = self.defined.get_mut(&one) {
                defined.pop();
            }
        }
    }
}

/// The rules of a group.
struct Rules<'g, 'n> {
    groups: &'g Groups<'n>,
    structures: &'g typed::Structures<'n>,
    variables: Variables<'n>,
}

impl<'n> Rules<'_, 'n> {
    /// Judges the rules of a group or of a rule. What one defines is in sight within it.
    fn check(&mut self, walk: &mut Walk<'_>, parent: &'n Node, path: &Path<'_>, depth: usize) {
        if depth == DEPTH_MAX {
            return;
        }
        let name = path.name("rule");
        for (index, rule) in parent.items("rule").iter().enumerate() {
            let (at, kept) = (name.index(index), self.variables.order.len());
            named(walk, rule, "name", &at);
            self.sides(walk, rule, &at);
            self.check(walk, rule, &at, depth + 1);
            self.calls(walk, rule, &at);
            self.variables.forget(kept);
        }
    }

    /// What a rule takes from and what it makes.
    fn sides(&mut self, walk: &mut Walk<'_>, rule: &'n Node, path: &Path<'_>) {
        for (member, is_source, broken) in [("source", true, NO_SOURCE), ("target", false, NO_TARGET)] {
            let name = path.name(member);
            for (index, side) in rule.items(member).iter().enumerate() {
                let is_variable = is_source || side.text("contextType") != Some("type");
                let is_missing = |context: &&str| is_variable && !self.variables.has(context, is_source);
                if named(walk, side, "context", &name.index(index))
                    && let Some(context) = side.text("context").filter(is_missing)
                {
                    let other = if self.variables.has(context, !is_source) { "; it is one of the other side" } else { "" };
                    let text = format!("There is no {member} variable of this name here{other}");
                    walk.report.add(broken, &name.index(index), side, text);
                }
                let within = side.text("context").filter(|_| is_variable).and_then(|context| self.variables.of(context, is_source));
                let of = match is_source {
                    true => typed::source(walk, side, within, &name.index(index)),
                    false => typed::target(walk, self.structures, side, within, &name.index(index)),
                };
                if let Some(variable) = side.text("variable") {
                    self.variables.add(variable, is_source, of);
                }
            }
        }
    }

    /// The groups that a rule calls, with as many variables as they have inputs.
    fn calls(&self, walk: &mut Walk<'_>, rule: &Node, path: &Path<'_>) {
        let name = path.name("dependent");
        for (index, call) in rule.items("dependent").iter().enumerate() {
            let at = name.index(index);
            let Some(inputs) = self.groups.find(walk, call.text("name"), call, &at) else { continue };
            let given = call.items("variable").len();
            if given != inputs {
                let text = format!("The group that is called has {inputs} inputs, and {given} variables are handed to it");
                walk.report.add(OTHER_NUMBER, &at, call, text);
            }
        }
    }
}
