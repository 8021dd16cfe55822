//! The conversion tables: what is done to which element, read from `facts/conversions-*.tsv`.

use super::Release;
use crate::fhir::{Node, Object};
use std::collections::HashMap;
use std::sync::LazyLock;

/// One line of a table.
#[derive(Debug)]
pub(super) struct Row {
    /// The R4 path of the element that holds the member, or a data type: `Encounter.diagnosis`, `Dosage`.
    pub container: &'static str,
    pub member: &'static str,
    pub action: Action,
    /// The member's path in its own release, for the URL of an extension.
    pub origin: String,
    /// The extension's URL where HL7 has a better one than the cross-version URL.
    url: Option<&'static str>,
}

/// What is carried over in an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Carried {
    /// A value of one data type.
    Value(&'static str),
    /// An object, by the types of its members.
    Members(Vec<(&'static str, &'static str)>),
}

#[derive(Debug)]
pub(super) enum Action {
    /// The same under another name.
    Rename(&'static str),
    /// One value becomes a list of one, under this name.
    Many(&'static str),
    /// Of a list the first stays, the others are carried.
    One(Carried),
    /// STU3's `context`: an encounter, or an episode of care.
    Visit,
    /// A code becomes a concept of this system; a code that is none of these is carried.
    Concept {
        system: &'static str,
        codes: Vec<&'static str>,
    },
    /// A concept becomes the one of these codes it holds; else it is carried.
    CodeOf(Vec<&'static str>),
    /// A concept becomes its one coding; a concept with more than that is carried too.
    Coding,
    /// A concept with another code than these is carried.
    Only(Vec<&'static str>),
    /// A text becomes an annotation in this list.
    Annotate(&'static str),
    /// STU3's `Observation.related`, by its type.
    Related,
    Extension(Carried),
    /// An object is replaced by this member of it, on which the others are carried.
    Unwrap {
        child: &'static str,
        rest: Vec<(&'static str, &'static str)>,
    },
    /// The members of an object move up, under these names.
    Lift(Vec<(&'static str, &'static str)>),
    /// The value sets another member to a code; any other value is carried, or is the default and dropped.
    When {
        value: &'static str,
        member: &'static str,
        code: &'static str,
        otherwise: Option<&'static str>,
    },
    /// Codes with another name; with a last word of `true`, with another meaning, so that the original is carried.
    Codes(Vec<(&'static str, &'static str, bool)>),
    /// A CodeableReference (or a list) becomes a concept here and a reference there. `None`: it is carried.
    Split {
        concept: Option<Place>,
        reference: Option<Place>,
    },
    /// A CodeableReference becomes a choice: the concept where there is one, else the reference.
    Choose {
        concept: &'static str,
        reference: &'static str,
    },
    /// The member moves into an object beside it, or into the first of a list.
    Into {
        container: &'static str,
        is_list: bool,
    },
    /// Renamed, or carried when the other form of the choice is there.
    Beside {
        name: &'static str,
        other: &'static str,
        type_name: &'static str,
    },
    /// R5's `Encounter.reason`.
    Reasons,
    /// A number that R5 writes as text.
    Number,
    /// Types of resources that have another name in R4.
    Types(Vec<(&'static str, &'static str)>),
    /// R4 demands it; where it is absent its absence is said.
    Required {
        type_name: &'static str,
        is_list: bool,
    },
    /// A list of objects becomes the lists that their members make under these names; an object with other members is carried, by their types.
    Spread {
        names: Vec<(&'static str, &'static str)>,
        rest: Vec<(&'static str, &'static str)>,
    },
    /// A list becomes this member of an object of its own name.
    Nest(&'static str),
    /// An identifier (the first of a list) becomes its value; the identifiers are carried.
    ValueOf,
    /// What R4 cannot say; with names, only what has one of these members.
    Refuse(Vec<&'static str>),
}

/// A member that is a list or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub name: &'static str,
    pub is_list: bool,
}

/// The table of one release.
#[derive(Debug)]
pub(super) struct Conversions {
    pub release: Release,
    rows: HashMap<&'static str, Vec<Row>>,
    types: Vec<&'static str>,
    inner: HashMap<&'static str, Vec<(&'static str, &'static str)>>,
}

static STU3: LazyLock<Conversions> = LazyLock::new(|| Conversions::read(Release::Stu3, include_str!("../facts/conversions-stu3.tsv")));
static R4B: LazyLock<Conversions> = LazyLock::new(|| Conversions::read(Release::R4B, include_str!("../facts/conversions-r4b.tsv")));
static R5: LazyLock<Conversions> = LazyLock::new(|| Conversions::read(Release::R5, include_str!("../facts/conversions-r5.tsv")));

/// Data types that have rows of their own, and where they stand in the types of the tables.
const DATA_TYPES: [(&str, &[&str]); 3] = [
    ("Dosage", &["MedicationRequest.dosageInstruction", "MedicationStatement.dosage", "MedicationDispense.dosageInstruction"]),
    ("Attachment", &[]),
    ("Reference", &[]),
];

impl Conversions {
    /// The table from a release to R4; `None` where there is none.
    pub fn of(release: Release) -> Option<&'static Conversions> {
        match release {
            Release::Stu3 => Some(&STU3),
            Release::R4B => Some(&R4B),
            Release::R5 => Some(&R5),
            Release::Dstu2 | Release::R4 => None,
        }
    }

    fn read(release: Release, text: &'static str) -> Conversions {
        let mut rows: HashMap<&'static str, Vec<Row>> = HashMap::new();
        let mut types = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut columns = line.split('\t');
            let Some(container) = columns.next().filter(|name| !name.is_empty()) else { continue };
            let listed = rows.entry(container).or_default();
            if !container.contains('.') && !is_data_type(container) && !types.contains(&container) {
                types.push(container);
            }
            if let (Some(member), Some(words)) = (columns.next(), columns.next()) {
                listed.extend(Row::read(container, member, words));
            }
        }
        let inner = inner_places(rows.keys().copied());
        Conversions { release, rows, types, inner }
    }

    /// The resource types that are converted by rows; R4B's others need none.
    pub fn types(&self) -> Vec<&'static str> {
        self.types.clone()
    }

    /// Whether a resource type can be converted.
    pub fn has(&self, type_name: &str) -> bool {
        self.types.contains(&type_name) || (self.release == Release::R4B && !super::detect::differs(self.release, type_name))
    }

    /// The rows of a container or data type, in order.
    pub fn rows(&self, container: &str) -> &[Row] {
        self.rows.get(container).map(Vec::as_slice).unwrap_or_default()
    }

    /// Every row of a resource type and of what is inside it.
    pub fn rows_of_type(&self, type_name: &str) -> Vec<&Row> {
        let mut containers: Vec<&str> = self.rows.keys().copied().filter(|container| belongs(container, type_name)).collect();
        containers.sort_unstable();
        containers.into_iter().flat_map(|container| self.rows(container)).collect()
    }

    /// Rows of data types, which hold wherever the type stands.
    pub fn rows_of_data_types(&self) -> Vec<&Row> {
        DATA_TYPES.iter().flat_map(|(name, _)| self.rows(name)).collect()
    }

    /// Whether an element inside the resource has a form that only this release gives it.
    pub fn marks(&self, type_name: &str, resource: &Object) -> bool {
        let places = self.inner.get(type_name).map(Vec::as_slice).unwrap_or_default();
        places.iter().any(|(steps, container)| {
            let rows = self.rows(container);
            any_at(resource, steps, &mut |object| rows.iter().any(|row| row.marks(object)))
        })
    }
}

/// Per resource type, the steps to each element inside it that has rows, and the container the rows are under.
fn inner_places(containers: impl Iterator<Item = &'static str>) -> HashMap<&'static str, Vec<(&'static str, &'static str)>> {
    let mut places: HashMap<&'static str, Vec<(&'static str, &'static str)>> = HashMap::new();
    for container in containers {
        let of_type = DATA_TYPES.iter().find(|(name, _)| *name == container).map_or(&[][..], |(_, places)| places);
        for (type_name, steps) in of_type.iter().chain(&[container]).filter_map(|place| place.split_once('.')) {
            places.entry(type_name).or_default().push((steps, container));
        }
    }
    places
}

fn is_data_type(name: &str) -> bool {
    DATA_TYPES.iter().any(|(data_type, _)| *data_type == name)
}

fn belongs(container: &str, type_name: &str) -> bool {
    container.strip_prefix(type_name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether any object at the end of the steps answers yes.
pub(super) fn any_at(object: &Object, steps: &str, ask: &mut dyn FnMut(&Object) -> bool) -> bool {
    let (first, rest) = steps.split_once('.').unwrap_or((steps, ""));
    let Some(node) = object.get(first) else { return false };
    let single = std::slice::from_ref(node);
    node.as_list()
        .unwrap_or(single)
        .iter()
        .filter_map(Node::as_object)
        .any(|inner| if rest.is_empty() { ask(inner) } else { any_at(inner, rest, ask) })
}

impl Row {
    fn read(container: &'static str, member: &'static str, words: &'static str) -> Option<Row> {
        let (words, url) = words.split_once(" at ").map_or((words, None), |(words, url)| (words, Some(url)));
        let (words, origin) = words.split_once(" as ").map_or((words, None), |(words, origin)| (words, Some(origin)));
        let action = Action::read(words)?;
        let origin = origin.map_or_else(|| format!("{container}.{member}"), str::to_owned);
        Some(Row { container, member, action, origin, url })
    }

    /// The URL under which the member is carried.
    pub fn url(&self, release: Release) -> String {
        self.url.map_or_else(
            || format!("http://hl7.org/fhir/{}/StructureDefinition/extension-{}", release.number(), self.origin),
            str::to_owned,
        )
    }

    /// Whether the member is there in the form the other release gives it, and nothing R4 would have.
    pub fn is_due(&self, node: &Node) -> bool {
        let single = std::slice::from_ref(node);
        let any = |has: &dyn Fn(&Node) -> bool| node.as_list().unwrap_or(single).iter().any(has);
        match &self.action {
            Action::Many(_) => node.as_list().is_none(),
            Action::One(_) => node.as_list().is_some(),
            Action::Concept { .. } | Action::Number => node.as_text().is_some(),
            Action::CodeOf(_) => node.as_object().is_some(),
            Action::Coding => any(&|item| item.get("coding").is_some() || item.get("text").is_some()),
            Action::Nest(_) => node.as_list().is_some(),
            Action::ValueOf => any(&|item| item.as_object().is_some()),
            Action::Spread { names, rest } => any(&|item| names.iter().chain(rest).any(|(name, _)| item.get(name).is_some())),
            Action::Extension(Carried::Value("boolean")) => node.as_bool().is_some(),
            Action::Split { .. } | Action::Choose { .. } => any(&is_codeable_reference),
            Action::Unwrap { child, .. } => any(&|item| item.get(child).is_some_and(|inner| inner.as_object().is_some())),
            Action::Extension(Carried::Members(members)) => any(&|item| members.iter().any(|(name, _)| item.get(name).is_some())),
            Action::Refuse(names) if !names.is_empty() => any(&|item| names.iter().any(|name| item.get(name).is_some())),
            _ => true,
        }
    }

    /// Whether the member tells that its object is of the other release.
    fn marks(&self, object: &Object) -> bool {
        let tells = !matches!(self.action, Action::Codes(_) | Action::Only(_) | Action::Required { .. } | Action::Types(_));
        tells && object.get(self.member).is_some_and(|node| self.is_due(node))
    }
}

/// Whether a node has the form of R5's CodeableReference.
pub(super) fn is_codeable_reference(node: &Node) -> bool {
    node.get("concept").is_some() || node.get("reference").is_some_and(|reference| reference.as_object().is_some())
}

impl Action {
    fn read(words: &'static str) -> Option<Action> {
        let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
        let mut each = rest.split(' ');
        Some(match verb {
            "rename" => Action::Rename(rest),
            "many" => Action::Many(rest),
            "one" => Action::One(Carried::read(rest)),
            "visit" => Action::Visit,
            "concept" => Action::Concept { system: each.next()?, codes: each.next()?.split('|').collect() },
            "code-of" => Action::CodeOf(rest.split('|').collect()),
            "coding" => Action::Coding,
            "only" => Action::Only(rest.split('|').collect()),
            "annotate" => Action::Annotate(rest),
            "related" => Action::Related,
            "extension" => Action::Extension(Carried::read(rest)),
            "unwrap" => Action::Unwrap { child: each.next()?, rest: pairs(each, ':') },
            "lift" => Action::Lift(pairs(each, '=')),
            "when" => {
                let value = each.next()?;
                let (member, code) = each.next()?.split_once('=')?;
                Action::When { value, member, code, otherwise: each.nth(1) }
            }
            "codes" => Action::Codes(each.filter_map(renamed_code).collect()),
            "split" => Action::Split { concept: Place::read(each.next()?), reference: Place::read(each.next()?) },
            "choose" => Action::Choose { concept: each.next()?, reference: each.next()? },
            "into" => Action::Into { container: rest.trim_end_matches('*'), is_list: rest.ends_with('*') },
            "beside" => Action::Beside { name: each.next()?, other: each.next()?, type_name: each.next()? },
            "reasons" => Action::Reasons,
            "number" => Action::Number,
            "types" => Action::Types(pairs(each, '=')),
            "required" => Action::Required { type_name: rest.trim_end_matches('*'), is_list: rest.ends_with('*') },
            "spread" => Action::Spread { names: pairs(each.clone(), '='), rest: pairs(each, ':') },
            "nest" => Action::Nest(rest),
            "value-of" => Action::ValueOf,
            "refuse" => Action::Refuse(each.filter(|name| !name.is_empty()).collect()),
            _ => return None,
        })
    }
}

impl Carried {
    fn read(words: &'static str) -> Carried {
        if words.contains(':') { Carried::Members(pairs(words.split(' '), ':')) } else { Carried::Value(words) }
    }
}

impl Place {
    fn read(word: &'static str) -> Option<Place> {
        (word != "-").then(|| Place { name: word.trim_end_matches('*'), is_list: word.ends_with('*') })
    }
}

fn pairs(words: impl Iterator<Item = &'static str>, between: char) -> Vec<(&'static str, &'static str)> {
    words.filter_map(|word| word.split_once(between)).collect()
}

/// `a=b`: the same by another name. `a~b`: the nearest.
fn renamed_code(word: &'static str) -> Option<(&'static str, &'static str, bool)> {
    let same = word.split_once('=').map(|(from, to)| (from, to, false));
    same.or_else(|| word.split_once('~').map(|(from, to)| (from, to, true)))
}

/// How many lines of a table file are rows, for the test that none was left unread.
#[cfg(test)]
pub(super) fn row_lines(text: &str) -> usize {
    text.lines().filter(|line| !line.starts_with('#') && line.split('\t').count() == 3).count()
}
