//! From `Consent` resources to [`Rules`].

use super::code::{Code, Identifier, Reference, codings, items};
use super::criteria::{Criteria, KINDS, Kind};
use super::directory::Directory;
use super::period::{Period, date_interval, earliest};
use super::policy::Policy;
use super::recipients::Recipients;
use super::request::Party;
use super::rules::{Consent, Edition, Governing, Polarity, Reach, Rule, Rules, Shape, Standing, Window};
use super::vocabulary::CONSENT_SCOPE;
use crate::clock::Instant;
use crate::fhir::temporal::{Date, Interval};
use crate::fhir::{Node, Value};
use compact_str::{CompactString, format_compact};
use std::collections::HashMap;
use std::sync::Arc;

/// How many consents of one patient are read.
const CONSENTS_LIMIT: usize = 1024;

/// How many rules one patient's consents may hold in all.
pub(super) const RULES_LIMIT: usize = 8192;

/// How deep provisions may nest. PCF forbids more than one level, nothing published has more than three.
pub(super) const NESTING_LIMIT: usize = 8;

/// How many entries all the lists of one rule may have.
pub(super) const ENTRIES_LIMIT: usize = 2048;

const MICROS_PER_DAY: i64 = 86_400_000_000;

const PCF_PROFILES: &str = "https://profiles.ihe.net/ITI/PCF/StructureDefinition/IHE.PCF.consent";

impl Rules {
    /// Compiles the consents of one patient, R4 and R5 side by side.
    ///
    /// The caller vouches that all are the patient's. A consent that was never in force (a draft, a proposal, an error) is left out; one
    /// that cannot be read whole stays in and denies.
    pub fn compile(consents: &[Node], directory: &Directory, policy: Policy) -> Rules {
        let mut is_overfull = consents.len() > CONSENTS_LIMIT;
        let mut read = Vec::new();
        let mut count = 0;
        let mut givers = Givers::default();
        for consent in consents.iter().take(CONSENTS_LIMIT) {
            let Some(compiled) = compile_consent(consent, directory, &policy, &mut givers) else { continue };
            count += compiled.rules.len();
            read.push(compiled);
            if count > RULES_LIMIT {
                is_overfull = true;
                break;
            }
        }
        let reach = Arc::new(Reach::of(&read, &policy));
        Rules {
            consents: read.into(),
            policy,
            is_overfull,
            is_damaged: false,
            givers: givers.0.len(),
            roles: Arc::new(directory.known(reach.names_authors)),
            members: directory.weight(),
            reach,
        }
    }
}

/// Whoever gave the consents, by number.
#[derive(Default)]
struct Givers(HashMap<Vec<CompactString>, usize>);

impl Givers {
    fn number(&mut self, names: Vec<CompactString>) -> Option<usize> {
        let next = self.0.len();
        (!names.is_empty()).then(|| *self.0.entry(names).or_insert(next))
    }
}

/// R5 is told by the elements it added, or by its list of provisions.
pub(super) fn edition_of(consent: &Node) -> Edition {
    const ADDED: [&str; 8] = ["decision", "subject", "controller", "manager", "grantor", "grantee", "regulatoryBasis", "policyBasis"];
    let provision = consent.get("provision");
    // What R4 alone has tells more than an element that strayed in.
    let is_r4 = provision.is_some_and(|provision| provision.as_list().is_none() && provision.get("type").is_some());
    let is_r5 =
        provision.is_some_and(|provision| provision.as_list().is_some()) || ADDED.iter().any(|element| consent.get(element).is_some());
    if is_r5 && !is_r4 { Edition::R5 } else { Edition::R4 }
}

fn compile_consent(consent: &Node, directory: &Directory, policy: &Policy, givers: &mut Givers) -> Option<Consent> {
    let edition = edition_of(consent);
    let kinds = kinds_of(consent);
    let (standing, is_research) = standing_of(consent, edition, &kinds)?;
    let mut tree = Tree::of(consent, directory);
    let root_type = tree.read_root(consent, edition);
    let policy_rule = policy_rule_of(consent);
    let is_for_emergencies = is_for_emergencies(consent);
    let base = match edition {
        Edition::R4 => root_type.or(policy_rule),
        Edition::R5 => polarity(consent.text("decision")),
    };
    let grantors = grantors_of(consent, edition);
    let said = consent.text("dateTime").or_else(|| consent.text("date"));
    let dated = said.and_then(date_interval);
    Some(Consent {
        not_before: said.filter(|_| policy.dates_bind).and_then(earliest),
        governing: Arc::new(governing_of(consent)),
        edition,
        standing: if tree.too_large { Standing::Unreadable("too-large") } else { standing },
        window: window_of(consent, edition),
        base,
        root_type,
        policy_rule,
        is_research,
        is_for_emergencies,
        reading_is_declared: declares_reading(consent, edition),
        controllers: controllers_of(consent, edition),
        outgrown: outgrown(consent, edition, &grantors, dated, directory, policy),
        giver: givers.number(grantors),
        dated,
        kinds,
        shape: Shape::of(&tree.rules),
        recipients: Recipients::of(&tree.rules),
        rules: tree.rules,
    })
}

/// How a consent's rules stand to each other, whomever they name.
pub(super) fn shape_of(consent: &Node) -> Shape {
    let directory = Directory::default();
    let mut tree = Tree::of(consent, &directory);
    tree.read_root(consent, edition_of(consent));
    Shape::of(&tree.rules)
}

fn polarity(code: Option<&str>) -> Option<Polarity> {
    match code {
        Some("permit") => Some(Polarity::Permit),
        Some("deny") => Some(Polarity::Deny),
        _ => None,
    }
}

/// The base policy an R4 consent names, where the code alone says which way it goes.
pub(super) fn policy_rule_of(consent: &Node) -> Option<Polarity> {
    let codes = consent.get("policyRule").map(codings)?;
    let ways = codes.iter().filter_map(|coding| match coding.text("code") {
        Some("OPTIN" | "OPTINR") => Some(Polarity::Permit),
        Some("OPTOUT" | "OPTOUTE") => Some(Polarity::Deny),
        _ => None,
    });
    // Where they say both, it denies.
    ways.max_by_key(|way| *way == Polarity::Deny)
}

/// Whether the consent says by its category or its policy that it is for emergencies alone: in whatever system, since it only narrows.
fn is_for_emergencies(consent: &Node) -> bool {
    let named = ["category", "policyRule", "regulatoryBasis"].iter().flat_map(|element| items(consent, element)).flat_map(codings);
    named.filter_map(|coding| coding.text("code")).any(|code| code.eq_ignore_ascii_case("emrgonly"))
}

fn kinds_of(consent: &Node) -> Vec<Code> {
    let concepts = items(consent, "scope").iter().chain(items(consent, "category"));
    concepts.flat_map(codings).filter_map(Code::from_coding).collect()
}

/// What the consent's answer counts for, and whether it is about research; `None` for one that was never in force or is not about privacy.
fn standing_of(consent: &Node, edition: Edition, kinds: &[Code]) -> Option<(Standing, bool)> {
    let scope = scope_of(consent, edition, kinds);
    if scope == Scope::Elsewhere {
        return None;
    }
    let standing = match consent.text("status") {
        Some("active") => Standing::InForce,
        Some("inactive") => Standing::Lapsed("inactive"),
        Some("rejected") => Standing::Lapsed("rejected"),
        Some("draft" | "proposed" | "entered-in-error" | "not-done") => return None,
        _ => Standing::DenialsOnly("status-unknown"),
    };
    let standing = match standing {
        Standing::InForce if has_modifier(consent) => Standing::Refuses("modifier-not-understood"),
        Standing::InForce if scope == Scope::Unclear => Standing::DenialsOnly("scope-unknown"),
        Standing::InForce if is_of_two_editions(consent, edition) => Standing::DenialsOnly("edition-unclear"),
        Standing::InForce if failed_verification(consent) => Standing::DenialsOnly("not-verified"),
        other => other,
    };
    Some((standing, scope == Scope::Research))
}

/// What a consent is about, as its scope tells, or in its stead a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Privacy,
    Research,
    /// Advance directives and treatment, which are no matter of disclosure.
    Elsewhere,
    Unclear,
}

/// The codings of a scope have no order, and must all say the same: a denial is not dropped for what else is said.
fn scope_of(consent: &Node, edition: Edition, kinds: &[Code]) -> Scope {
    let stated: Vec<Code> = items(consent, "scope").iter().flat_map(codings).filter_map(Code::from_coding).collect();
    let is_bare = stated.is_empty();
    let codes = if is_bare { kinds.iter().filter(|kind| kind.system == CONSENT_SCOPE).cloned().collect() } else { stated };
    let are_all = |names: &[&str]| !codes.is_empty() && codes.iter().all(|code| names.contains(&code.code.as_str()));
    let is_ours = codes.iter().all(|code| code.system == CONSENT_SCOPE || code.system.is_empty());
    match edition {
        _ if are_all(&["patient-privacy"]) => Scope::Privacy,
        _ if are_all(&["research"]) => Scope::Research,
        _ if are_all(&["adr", "treatment"]) && is_ours => Scope::Elsewhere,
        // Categories are of many kinds: one of them that says so is enough.
        _ if is_bare && codes.iter().any(|code| code.code == "patient-privacy") => Scope::Privacy,
        Edition::R5 if codes.is_empty() => Scope::Privacy,
        _ => Scope::Unclear,
    }
}

/// Whether it cannot be told that a consent is about privacy, or what else it is about.
pub(super) fn is_of_unclear_scope(consent: &Node) -> bool {
    scope_of(consent, edition_of(consent), &kinds_of(consent)) == Scope::Unclear
}

/// Whether an R4 consent also says by R5's element which way it goes: the two need not agree.
fn is_of_two_editions(consent: &Node, edition: Edition) -> bool {
    edition == Edition::R4 && consent.get("decision").is_some()
}

/// Whether a modifier that is not understood stands on the consent, or on any part of it but its rules.
pub(super) fn has_modifier(consent: &Node) -> bool {
    consent.get("implicitRules").is_some() || is_modified(consent, &["provision", "contained", "meta", "text"])
}

/// Whether a modifier stands on a rule, its actors or its data. The rules below it answer for themselves.
pub(super) fn is_rule_modified(rule: &Node) -> bool {
    is_modified(rule, &["provision"])
}

/// Of a rule that a modifier stands on which criteria it may change: those of the part that it stands in (R4 §2.4.0.1), or all.
fn doubted(rule: &Node) -> impl Fn(Kind) -> bool {
    let is_on_actor = items(rule, "actor").iter().any(|actor| is_modified(actor, &[]));
    let is_on_data = items(rule, "data").iter().any(|data| is_modified(data, &[]));
    let is_on_rule = is_modified(rule, &["provision", "actor", "data"]);
    move |kind| match kind {
        Kind::Recipient | Kind::Custodian | Kind::Source | Kind::Other => is_on_rule || is_on_actor,
        Kind::Data => is_on_rule || is_on_data,
        _ => is_on_rule,
    }
}

fn is_modified(node: &Node, apart: &[&str]) -> bool {
    match &node.value {
        Value::Object(object) => object.members().iter().any(|member| {
            let is_apart = apart.contains(&member.name.as_str());
            member.name == "modifierExtension" || (!is_apart && is_modified(&member.node, &[]))
        }),
        Value::List(items) => items.iter().any(|item| is_modified(item, apart)),
        _ => false,
    }
}

/// Whether the last word on it, as far as the words are dated, is that it could not be verified.
fn failed_verification(consent: &Node) -> bool {
    let verifications = items(consent, "verification");
    let is_verified = |entry: &&Node| entry.get("verified").and_then(Node::as_bool) == Some(true);
    let outweighs = |verified: &Node, other: &Node| {
        is_verified(&other) || last_verified(verified).zip(last_verified(other)).is_some_and(|(last, before)| before.high <= last.low)
    };
    let mut verified = verifications.iter().filter(is_verified);
    !verifications.is_empty() && !verified.any(|entry| verifications.iter().all(|other| outweighs(entry, other)))
}

/// When it was last verified or found wanting, by R5's list of dates or R4's one.
fn last_verified(verification: &Node) -> Option<Interval> {
    let dates: Option<Vec<Interval>> = items(verification, "verificationDate").iter().map(|date| date_interval(date.as_text()?)).collect();
    dates?.into_iter().max_by_key(|date| date.low)
}

fn window_of(consent: &Node, edition: Edition) -> Window {
    let period = match edition {
        Edition::R4 => consent.get("provision").and_then(|provision| provision.get("period")),
        Edition::R5 => consent.get("period"),
    };
    match period.map(Period::from_node) {
        None => Window::Open,
        Some(Ok(period)) => Window::Bounded(period),
        Some(Err(_)) => Window::Unreadable,
    }
}

fn governing_of(consent: &Node) -> Governing {
    let identifier = || items(consent, "identifier").iter().find_map(|identifier| identifier.text("value"));
    Governing {
        consent: consent.text("id").or_else(identifier).unwrap_or_default().into(),
        version: consent.text_at(&["meta", "versionId"]).map(CompactString::from),
    }
}

/// A consent that conforms to IHE PCF says by that how it is to be read, as long as it does not nest deeper than PCF reads.
fn declares_reading(consent: &Node, edition: Edition) -> bool {
    let profiles = consent.get("meta").map_or(&[][..], |meta| items(meta, "profile"));
    let declares = profiles.iter().filter_map(Node::as_text).any(|profile| profile.starts_with(PCF_PROFILES));
    let is_flat = consent.get("provision").is_none_or(|root| items(root, "provision").iter().all(|rule| rule.get("provision").is_none()));
    edition == Edition::R4 && declares && is_flat && consent.get("policyRule").is_none()
}

fn controllers_of(consent: &Node, edition: Edition) -> Vec<Party> {
    let elements: &[&str] = if edition == Edition::R4 { &["organization"] } else { &["controller", "manager"] };
    elements.iter().flat_map(|element| items(consent, element)).map(Party::from_reference).collect()
}

fn grantors_of(consent: &Node, edition: Edition) -> Vec<CompactString> {
    let (giver, patient) = if edition == Edition::R4 { ("performer", "patient") } else { ("grantor", "subject") };
    let stated = items(consent, giver);
    let nodes = if stated.is_empty() { items(consent, patient) } else { stated };
    let mut names: Vec<CompactString> = nodes.iter().filter_map(name_of).collect();
    names.sort_unstable();
    // A giver who cannot be told from another must not stand for the others.
    if names.len() == nodes.len() { names } else { Vec::new() }
}

fn name_of(node: &Node) -> Option<CompactString> {
    let by_reference = Reference::from_node(node).map(|reference| CompactString::from(reference.as_str()));
    let identifier = || node.get("identifier").and_then(Identifier::from_node).filter(Identifier::has_system);
    by_reference.or_else(|| identifier().map(|identifier| format_compact!("{}|{}", identifier.system, identifier.value)))
}

/// When the patient came of age, if somebody else gave this consent before that.
fn outgrown(
    consent: &Node,
    edition: Edition,
    grantors: &[CompactString],
    dated: Option<Interval>,
    directory: &Directory,
    policy: &Policy,
) -> Option<Instant> {
    let patient = consent.get(if edition == Edition::R4 { "patient" } else { "subject" }).and_then(Reference::from_node)?;
    let is_patient = |grantor: &CompactString| {
        Reference::new(grantor).is_some_and(|grantor| grantor.may_be(&patient)) || directory.bears(&patient, grantor)
    };
    if grantors.iter().any(is_patient) {
        return None;
    }
    let Some(of_age) = directory.born(&patient).and_then(|born| of_age(born, policy.majority_years)) else {
        // A patient of whom it is not known may have been of age ever since.
        return (policy.age_required && !grantors.is_empty()).then_some(Instant::from_micros(0));
    };
    // A consent that does not say when it was given may be from any time before.
    dated.is_none_or(|dated| dated.low < of_age.micros()).then_some(of_age)
}

/// When somebody comes of age, at the earliest.
pub(super) fn of_age(born: Interval, majority_years: u16) -> Option<Instant> {
    let born = Date::from_days(born.low.div_euclid(MICROS_PER_DAY))?;
    let year = born.year().checked_add(majority_years)?;
    // Whoever was born on 29 February comes of age on 1 March.
    let day = Date::new(year, born.month(), born.day()).or_else(|| Date::new(year, Some(3), Some(1)))?;
    Some(Instant::from_micros(day.interval().low))
}

/// The provision tree while it is being flattened.
struct Tree<'a> {
    directory: &'a Directory,
    contained: &'a [Node],
    rules: Vec<Rule>,
    too_large: bool,
    /// What an R5 consent decides, from which its rules are told by where they stand.
    decision: Option<Polarity>,
}

impl<'a> Tree<'a> {
    fn of(consent: &'a Node, directory: &'a Directory) -> Tree<'a> {
        let is_r5 = edition_of(consent) == Edition::R5;
        let decision = is_r5.then(|| polarity(consent.text("decision"))).flatten();
        Tree { directory, contained: items(consent, "contained"), rules: Vec::new(), too_large: false, decision }
    }

    /// Whether a rule says by R4's `type` another way than that in which R5 reads it by where it stands. Then it permits nothing.
    fn is_contrary(&self, rule: &Node, depth: usize) -> bool {
        let way = self.decision.map(|base| if depth.is_multiple_of(2) { base } else { base.opposite() });
        way.is_some() && rule.get("type").is_some() && polarity(rule.text("type")) != way
    }

    /// Reads the root and everything below; answers the root's type. In R5 the root is the consent itself and states nothing.
    fn read_root(&mut self, consent: &Node, edition: Edition) -> Option<Polarity> {
        let provision = consent.get("provision").filter(|_| edition == Edition::R4);
        let declared = provision.and_then(|root| polarity(root.text("type")));
        let mut own = provision.map(|root| Criteria::from_provision(root, self.contained, self.directory)).unwrap_or_default();
        own.forget_period();
        let refuses = provision.is_some_and(is_rule_modified);
        self.push(None, declared, own, refuses, "provision");
        let nested = provision
            .map_or_else(|| if edition == Edition::R5 { items(consent, "provision") } else { &[] }, |root| items(root, "provision"));
        self.read_nested(nested, 0, "provision");
        declared
    }

    fn read_nested(&mut self, provisions: &[Node], parent: usize, path: &str) {
        for (index, provision) in provisions.iter().enumerate() {
            let (depth, inherited) = self.rules.get(parent).map_or((0, false), |rule| (rule.depth, rule.refuses));
            if depth >= NESTING_LIMIT || self.rules.len() >= RULES_LIMIT {
                self.too_large = true;
                return;
            }
            let path = format!("{path}.provision[{index}]");
            let (declared, is_modified) = (polarity(provision.text("type")), is_rule_modified(provision));
            let mut own = Criteria::from_provision(provision, self.contained, self.directory);
            if is_modified && declared != Some(Polarity::Permit) {
                own.doubt(doubted(provision));
            }
            let refuses = inherited || is_modified || self.is_contrary(provision, depth + 1);
            let place = self.push(Some(parent), declared, own, refuses, &path);
            self.read_nested(items(provision, "provision"), place, &path);
        }
    }

    fn push(&mut self, parent: Option<usize>, declared: Option<Polarity>, mut own: Criteria, refuses: bool, path: &str) -> usize {
        let place = self.rules.len();
        self.too_large |= own.entries() > ENTRIES_LIMIT;
        let above = parent.and_then(|parent| self.rules.get(parent));
        if let Some(above) = above.filter(|_| own.stated.has(Kind::Purpose)) {
            own.purposes_above = above.own.purposes.iter().chain(&above.own.purposes_above).cloned().collect();
        }
        let mut source = above.map_or([None; KINDS], |rule| rule.source);
        for kind in Kind::ALL.iter().filter(|kind| own.stated.has(**kind)) {
            if let Some(slot) = source.get_mut(kind.index()) {
                *slot = Some(place);
            }
        }
        let rule = Rule {
            parent,
            depth: above.map_or(0, |rule| rule.depth + 1),
            branch: above.map(|rule| rule.branch.unwrap_or(place)),
            declared,
            source,
            refuses,
            has_children: false,
            restates_parent: above.is_some_and(|rule| Kind::ALL.iter().any(|kind| own.restates(&rule.own, *kind))),
            own,
            path: path.into(),
        };
        self.rules.push(rule);
        if let Some(above) = parent.and_then(|parent| self.rules.get_mut(parent)) {
            above.has_children = true;
        }
        place
    }
}
