//! By whom a resource is: whoever made it, whoever had a part in it, and whoever wrote a part of it.

use super::code::{Identifier, Reference, items};
use super::request::Party;
use crate::fhir::{Node, Object, Value};
use compact_str::CompactString;
use std::collections::HashMap;

/// Whoever a resource is by.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Author {
    /// With the names of those for whom one stands who is contained, by what the contained resource says.
    pub party: Party,
    /// Of one who is contained, what is their own: a permit for what others wrote does not mean what they did.
    pub own: Option<Party>,
    pub share: Share,
}

/// What of a resource somebody is the author of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Share {
    #[default]
    Whole,
    /// They interpreted it, answered it or contributed to it: what is denied of them is denied, and what is permitted of them is no permit for it.
    Contributed,
    /// A remark or a section alone, which is decided on by itself.
    Part,
}

impl From<Party> for Author {
    fn from(party: Party) -> Author {
        Author { party, ..Author::default() }
    }
}

impl Author {
    /// An author; one who is contained, by what the contained resource says of them.
    pub(super) fn of(reference: &Node, contained: &Contained<'_>) -> Author {
        let mut author = Author::from(Party { roles: Vec::new(), ..Party::from_reference(reference) });
        if let Some(inner) = contained.named_by(reference) {
            let party = &mut author.party;
            add_names(party, inner);
            author.own = Some(Party { type_name: inner.resource_type().map(CompactString::from), ..party.clone() });
            for named in BEHIND_AUTHORS.iter().filter_map(|name| inner.get(name)) {
                party.references.extend(Reference::from_node(named));
                party.identifiers.extend(named.get("identifier").and_then(Identifier::from_node));
                contained.named_by(named).into_iter().for_each(|inner| add_names(party, inner));
            }
        }
        author
    }

    pub(super) fn with(self, share: Share) -> Author {
        Author { share, ..self }
    }
}

/// What a contained resource says of whoever it stands for.
const BEHIND_AUTHORS: [&str; 3] = ["organization", "partOf", "practitioner"];

fn add_names(party: &mut Party, record: &Node) {
    party.identifiers.extend(items(record, "identifier").iter().filter_map(Identifier::from_node));
}

/// The contained resources by their ids.
pub(super) struct Contained<'a>(HashMap<&'a str, &'a Node>);

impl<'a> Contained<'a> {
    pub(super) fn of(resource: &'a Node) -> Contained<'a> {
        Contained::among(items(resource, "contained"))
    }

    pub(super) fn among(contained: &'a [Node]) -> Contained<'a> {
        // Where two have one id the first is meant.
        Contained(contained.iter().rev().filter_map(|inner| Some((inner.text("id")?, inner))).collect())
    }

    /// The one that a reference names.
    pub(super) fn named_by(&self, reference: &Node) -> Option<&'a Node> {
        self.0.get(reference.text("reference")?.strip_prefix('#')?).copied()
    }
}

/// Elements that name whoever a resource is by, and the members under which their backbone elements hold the reference.
const AUTHORS: [&str; 10] =
    ["author", "performer", "recorder", "asserter", "informationSource", "requester", "enterer", "provider", "attester", "agent"];
const AUTHOR_MEMBERS: [&str; 4] = ["actor", "party", "who", "member"];
/// The same of an Encounter, where other elements of these names name whoever else takes part.
const ENCOUNTER: &str = "Encounter";
const PARTICIPANT: &str = "participant";
const INDIVIDUALS: [&str; 2] = ["individual", "actor"];
const SERVICE_PROVIDER: &str = "serviceProvider";

/// Elements that name whoever interpreted, answered, ordered or answers for what a resource tells, or contributed to it, beside those it is by; in order.
const CONTRIBUTORS: [&str; 24] = [
    "assessor",
    "authenticator",
    "authority",
    "careManager",
    "contributor",
    "expressedBy",
    "interpreter",
    "legalAuthenticator",
    "operator",
    "orderer",
    "owner",
    "performingOrganization",
    "prescriber",
    "referrer",
    "reporter",
    "requestingOrganization",
    "requestor",
    "responsible",
    "resultsInterpreter",
    "sender",
    "signature",
    "signer",
    "source",
    "supplier",
];
/// Elements whose parts say who did them, and by what they say it; in order.
const DONE_IN_PARTS: [(&str, &str); 6] = [
    ("careTeam", "provider"),
    ("collection", "collector"),
    ("mitigation", "author"),
    ("protocolApplied", "authority"),
    ("series", "performer"),
    ("substitution", "responsibleParty"),
];

/// Everybody a resource is by. That it holds remarks which say whose they are spares looking for them.
pub(super) fn authors_of(resource: &Node, contained: &Contained<'_>, holds_remarks: bool) -> Vec<Author> {
    let mut authors = Vec::new();
    for element in AUTHORS {
        for author in items(resource, element) {
            authors.extend(author.get("onBehalfOf").map(|institution| Author::of(institution, contained)));
            match AUTHOR_MEMBERS.iter().find_map(|member| author.get(member)) {
                Some(inner) => authors.push(Author::of(inner, contained)),
                // Whoever attests need not be named: the author is.
                None if element == "attester" => {}
                None => authors.push(Author::of(author, contained)),
            }
        }
    }
    if resource.resource_type() == Some(ENCOUNTER) {
        add_attendants(resource, contained, &mut authors);
    }
    add_contributors(resource, contained, &mut authors);
    if holds_remarks || resource.get(SECTION).is_some() {
        collect_parts(resource, contained, &mut authors);
    }
    authors
}

fn add_contributors(resource: &Node, contained: &Contained<'_>, authors: &mut Vec<Author>) {
    for member in resource.as_object().into_iter().flat_map(Object::members) {
        let name = member.name.as_str();
        if CONTRIBUTORS.binary_search(&name).is_ok() {
            items(resource, name).iter().for_each(|node| add_contributor(node, contained, authors));
        } else if let Ok(place) = DONE_IN_PARTS.binary_search_by_key(&name, |(part, _)| *part) {
            let done_by = DONE_IN_PARTS.get(place).map_or("", |(_, element)| *element);
            let named = items(resource, name).iter().flat_map(|part| items(part, done_by));
            named.for_each(|node| add_contributor(node, contained, authors));
        }
    }
}

/// Adds who is named by a reference, or inside a backbone element, and for whom they did it.
fn add_contributor(node: &Node, contained: &Contained<'_>, authors: &mut Vec<Author>) {
    let inner = AUTHOR_MEMBERS.iter().find_map(|member| node.get(member)).unwrap_or(node);
    let named = std::iter::once(inner).chain(node.get("onBehalfOf")).filter(|node| names_somebody(node));
    authors.extend(named.map(|node| Author::of(node, contained).with(Share::Contributed)));
}

/// Who saw the patient, and for whom. A participant who is not named may be anybody.
fn add_attendants(visit: &Node, contained: &Contained<'_>, authors: &mut Vec<Author>) {
    let participants = items(visit, PARTICIPANT).iter();
    let individuals = participants.map(|one| INDIVIDUALS.iter().find_map(|member| one.get(member)).unwrap_or(one));
    let attendants = individuals.chain(visit.get(SERVICE_PROVIDER));
    authors.extend(attendants.map(|attendant| Author::of(attendant, contained)));
}

/// Whether a node is a reference, and not what else goes by an element's name: where a message comes from, for instance.
fn names_somebody(node: &Node) -> bool {
    ["reference", "identifier", "display"].iter().any(|member| node.get(member).is_some())
}

/// The part of a document that may have an author of its own.
const SECTION: &str = "section";
/// By what a remark says whose it is.
const REMARKED_BY: [&str; 2] = ["authorReference", "authorString"];

/// Those whom a part of a resource, an element or what stands in it, says that it is by.
pub(super) fn authors_of_part(part: &Node, contained: &Contained<'_>) -> Vec<Author> {
    let mut authors = Vec::new();
    collect_parts(part, contained, &mut authors);
    authors
}

fn collect_parts(node: &Node, contained: &Contained<'_>, found: &mut Vec<Author>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| collect_parts(item, contained, found)),
        Value::Object(object) => {
            let remarked = REMARKED_BY.iter().filter_map(|member| node.get(member));
            found.extend(remarked.map(|author| Author::of(author, contained).with(Share::Part)));
            for member in object.members() {
                if member.name == SECTION {
                    let written = items(node, SECTION).iter().flat_map(|section| items(section, "author"));
                    found.extend(written.map(|author| Author::of(author, contained).with(Share::Part)));
                }
                collect_parts(&member.node, contained, found);
            }
        }
        _ => {}
    }
}
