//! What to tell whoever files a consent: where it does not say what they may think it says, and what the gateway will do about it.

use super::classes::is_base_type;
use super::code::{Code, Identifier, Reference, VALUE_SET, codings, items};
use super::compile::{
    ENTRIES_LIMIT, NESTING_LIMIT, RULES_LIMIT, edition_of, has_modifier, is_of_unclear_scope, is_rule_modified, policy_rule_of, shape_of,
};
use super::criteria::is_read;
use super::directory::{contained_of, is_group, leaves_open, named_by};
use super::naming::{is_same, is_untold_from};
use super::period::{Period, date_interval};
use super::request::{Action, Party};
use super::rules::{Edition, Polarity};
use super::vocabulary::{ACT_REASON, Concept, RESOURCE_TYPES, is_abstract, is_sensitivity, is_unheard_of, says_information};
use crate::definitions::Definitions;
use crate::fhir::temporal::Interval;
use crate::fhir::{Node, json};
use crate::outcome::{Finding, IssueType, Severity};
use std::collections::HashMap;

/// How many findings are given; a consent with more is beyond telling.
const FINDINGS_LIMIT: usize = 200;

/// How deep PCF and FAST let provisions nest below the root.
const PCF_NESTING: usize = 1;

/// Looks at one `Consent` as it is filed, with an eye to who is registered to receive anything. Nothing here keeps it from being stored; each
/// finding says how it will be read.
pub fn lint(consent: &Node, recipients: &[Party]) -> Vec<Finding> {
    let edition = edition_of(consent);
    let dated = consent.text("dateTime").or_else(|| consent.text("date")).and_then(date_interval);
    let mut linter = Linter { edition, dated, recipients, contained: items(consent, "contained"), findings: Vec::new() };
    linter.whole(consent);
    match edition {
        Edition::R4 => linter.root_r4(consent),
        Edition::R5 => linter.root_r5(consent),
    }
    linter.findings
}

struct Linter<'r> {
    edition: Edition,
    dated: Option<Interval>,
    recipients: &'r [Party],
    contained: &'r [Node],
    findings: Vec<Finding>,
}

impl Linter<'_> {
    fn warn(&mut self, code: IssueType, message_id: &'static str, path: &str, text: &str) {
        if self.findings.len() < FINDINGS_LIMIT {
            self.findings.push(Finding::new(Severity::Warning, code, message_id, text).at(path));
        }
    }

    fn note(&mut self, message_id: &'static str, path: &str, text: &str) {
        self.findings.push(Finding::new(Severity::Information, IssueType::Informational, message_id, text).at(path));
    }

    fn whole(&mut self, consent: &Node) {
        match consent.text("status") {
            Some("draft" | "proposed" | "not-done" | "entered-in-error") => {
                self.note("consent-not-in-force", "Consent.status", "Not in force: it counts for nothing.");
            }
            Some("inactive" | "rejected") => {
                let text = "No longer in force: it permits nothing, and what it would not have shared is not opened by its end.";
                self.note("consent-not-in-force", "Consent.status", text);
            }
            _ => {}
        }
        if is_too_large(consent) {
            let text = "Larger than is read: nothing is released past this consent.";
            self.warn(IssueType::TooLong, "consent-too-large", "Consent.provision", text);
        }
        if has_modifier(consent) {
            let text = "A modifier that is not understood: whatever this consent covers is refused.";
            self.warn(IssueType::Extension, "consent-modifier", "Consent.modifierExtension", text);
        }
        if !matches!(
            consent.text("status"),
            Some("active" | "inactive" | "rejected" | "draft" | "proposed" | "entered-in-error" | "not-done")
        ) {
            let text = "A status the gateway does not know: the denials count, the permits do not.";
            self.warn(IssueType::CodeInvalid, "consent-status", "Consent.status", text);
        }
        if is_of_unclear_scope(consent) {
            let text = "No scope of consent is given, or none that is understood, or several: the denials count, the permits do not. For sharing \
                        data it is 'patient-privacy'.";
            self.warn(IssueType::Required, "consent-scope", "Consent.scope", text);
        }
        let has_source = ["sourceAttachment", "sourceReference"].iter().any(|name| consent.get(name).is_some());
        if consent.get("provision").is_none() && consent.get("policyRule").is_none() && consent.get("decision").is_none() && has_source {
            let text = "Only a document is attached, with no rules a machine can read: it permits nothing.";
            self.warn(IssueType::Incomplete, "consent-document-only", "Consent", text);
        }
        if has_source && permits_all(consent) {
            let text = "The document that is attached is not read, and beside it stands only that everything is permitted: everything is shared with \
                        everybody, whatever the document says.";
            self.warn(IssueType::BusinessRule, "consent-document-opens", "Consent", text);
        }
    }

    fn root_r4(&mut self, consent: &Node) {
        let policy_rule = policy_rule_of(consent);
        let Some(root) = consent.get("provision") else { return };
        let declared = root.text("type");
        let against = |declared: &str, rule: Polarity| (declared == "permit") != (rule == Polarity::Permit);
        if let (Some(declared), Some(rule)) = (declared, policy_rule)
            && against(declared, rule)
        {
            let text = "The type of the root and the policy rule say opposite things. The type is followed; where the policy rule would \
                        share less or more, the answer is deny, flagged ambiguous.";
            self.warn(IssueType::BusinessRule, "consent-root-against-policy-rule", "Consent.provision.type", text);
        }
        if declared.is_none() && policy_rule.is_none() {
            let text = "Neither the root nor the policy rule says permit or deny: outside the nested rules nothing is permitted.";
            self.warn(IssueType::Required, "consent-no-base", "Consent.provision.type", text);
        }
        if declared.is_none() && policy_rule == Some(Polarity::Permit) && SELECTIVE.iter().any(|name| root.get(name).is_some()) {
            let text = "The root names whom or what it is about and does not say deny. It is read as 'only this is permitted'; if it was \
                        meant to exclude, it must say 'type: deny' in a nested rule. Until then the answer is deny, flagged ambiguous.";
            self.warn(IssueType::BusinessRule, "consent-denial-without-deny", "Consent.provision", text);
        }
        if policy_rule == Some(Polarity::Permit) && shape_of(consent).lists_permits {
            let text = "The policy rule permits all that the nested rules permit. If nothing but what they list is meant, the root must say \
                        deny, and otherwise permit; until then what they do not list is denied, flagged ambiguous.";
            self.warn(IssueType::BusinessRule, "consent-permits-listed", "Consent.provision", text);
        }
        self.criteria(root, "Consent.provision");
        self.nested(items(root, "provision"), "Consent.provision", 1);
    }

    fn root_r5(&mut self, consent: &Node) {
        if !matches!(consent.text("decision"), Some("permit" | "deny")) {
            let text = "No decision: the provisions have nothing to be exceptions to, and all of them are read as denials.";
            self.warn(IssueType::Required, "consent-no-base", "Consent.decision", text);
        }
        self.period(consent, "Consent");
        self.nested(items(consent, "provision"), "Consent", 1);
    }

    fn nested(&mut self, provisions: &[Node], above: &str, depth: usize) {
        self.contradictions(provisions, above);
        for (index, provision) in provisions.iter().enumerate() {
            let path = format!("{above}.provision[{index}]");
            if depth > NESTING_LIMIT {
                let text = "Nested deeper than is read: nothing is released past this consent.";
                return self.warn(IssueType::TooLong, "consent-too-deep", &path, text);
            }
            if depth == PCF_NESTING + 1 {
                let text =
                    "Nested deeper than PCF allows. Readers differ on such rules; where they do, the answer is deny, flagged ambiguous.";
                self.warn(IssueType::NotSupported, "consent-nested", &path, text);
            }
            if self.edition == Edition::R4 && !matches!(provision.text("type"), Some("permit" | "deny")) {
                self.warn(
                    IssueType::Required,
                    "consent-denial-without-deny",
                    &path,
                    "A nested rule without a type: it is read as a denial.",
                );
            }
            if !CRITERIA.iter().any(|name| provision.get(name).is_some()) {
                let text = "A rule that states nothing matches everything its parent does. If it permits and was meant only to hold the rules \
                            below it, write those rules directly; until then the answer is deny, flagged ambiguous.";
                self.warn(IssueType::BusinessRule, "consent-empty-rule", &path, text);
            }
            self.criteria(provision, &path);
            self.period(provision, &path);
            self.nested(items(provision, "provision"), &path, depth + 1);
        }
    }

    /// Rules beside each other in the same words, of which one permits and one denies.
    fn contradictions(&mut self, provisions: &[Node], above: &str) {
        let mut said: HashMap<String, &str> = HashMap::new();
        for (index, provision) in provisions.iter().enumerate() {
            let (Some(declared), Some(object)) = (provision.text("type"), provision.as_object()) else { continue };
            let mut words = object.clone();
            words.retain(|member| !matches!(&*member.name, "type" | "id"));
            if *said.entry(json::write_canonical(&words.into())).or_insert(declared) != declared {
                let text = "Another rule beside this one says the opposite in the same words: the denial wins.";
                self.warn(IssueType::BusinessRule, "consent-contradiction", &format!("{above}.provision[{index}]"), text);
            }
        }
    }

    fn criteria(&mut self, provision: &Node, path: &str) {
        if is_rule_modified(provision) {
            let text = "A modifier that is not understood: what this rule and the rules below it match is refused.";
            self.warn(IssueType::Extension, "consent-modifier", path, text);
        }
        if path == "Consent.provision" {
            self.period(provision, path);
        }
        if provision.get("dataPeriod").is_some_and(|period| Period::from_node(period).is_err()) {
            self.warn(IssueType::Value, "consent-period-unreadable", &format!("{path}.dataPeriod"), UNREADABLE_PERIOD);
        }
        for (index, actor) in items(provision, "actor").iter().enumerate() {
            self.actor(actor, &format!("{path}.actor[{index}]"));
        }
        for (index, data) in items(provision, "data").iter().enumerate() {
            self.data(data, &format!("{path}.data[{index}]"));
        }
        self.actions(provision, path);
        for name in CODED {
            for coding in items(provision, name).iter().flat_map(codings) {
                self.coding(name, coding, &format!("{path}.{name}"));
            }
        }
    }

    /// Actions of which none of the codes is known.
    fn actions(&mut self, provision: &Node, path: &str) {
        for action in items(provision, "action") {
            let codes: Vec<Code> = codings(action).iter().filter_map(Code::from_coding).collect();
            if !codes.is_empty() && !codes.iter().any(|code| Action::of(code).is_some()) {
                let text = "An action that is not known: no permit rests on it, and a denial by it is taken to mean every action.";
                self.warn(IssueType::CodeInvalid, "consent-action-unknown", &format!("{path}.action"), text);
            }
        }
    }

    fn actor(&mut self, actor: &Node, path: &str) {
        let Some(reference) = actor.get("reference") else { return };
        let is_contained = reference.text("reference").is_some_and(|text| text.starts_with('#'));
        let identifier = reference.get("identifier").and_then(Identifier::from_node);
        if is_contained {
            return self.contained_actor(reference, path);
        }
        if Reference::from_node(reference).is_some() {
            return;
        }
        if identifier.as_ref().is_some_and(Identifier::is_of_told_system) {
            return self.naming_system(&Party::from_reference(reference), path);
        }
        let text = "An actor without a reference and without an identifier that has a system cannot be recognised: a permit does without it, \
                    a denial is taken to mean whoever asks.";
        self.warn(IssueType::Incomplete, "consent-actor-unidentified", path, text);
    }

    /// An actor that the consent contains.
    fn contained_actor(&mut self, reference: &Node, path: &str) {
        let found = contained_of(reference, self.contained);
        let bears = |one: &Node| items(one, "identifier").iter().filter_map(Identifier::from_node).any(|own| own.has_system());
        let is_named = |one: &Node| Party::from_reference(one).is_identified() || contained_of(one, self.contained).is_some();
        let is_told = |one: &&Node| match one.resource_type().is_some_and(is_group) {
            true => !leaves_open(one) && named_by(one).iter().all(|(member, _)| is_named(member)),
            false => bears(one),
        };
        if found.filter(is_told).is_none() {
            let text = "An actor that this consent contains without saying by reference or identifier who it is, or who all of its members are: a permit \
                        does without it, a denial is taken to mean whoever asks.";
            self.warn(IssueType::Incomplete, "consent-actor-unidentified", path, text);
        }
    }

    fn data(&mut self, data: &Node, path: &str) {
        if !is_read(data, self.contained) {
            let text = "A record or an author that cannot be recognised, for want of a reference or, for an instance or an author, an identifier: a permit \
                        does without it, a denial by it withholds everything.";
            self.warn(IssueType::Incomplete, "consent-data-unidentified", path, text);
        }
    }

    /// Whether everybody who is registered can be compared with an actor that is named by identifier.
    fn naming_system(&mut self, actor: &Party, path: &str) {
        let is_in_doubt = |recipient: &Party| !is_same(actor, recipient) && is_untold_from(actor, std::slice::from_ref(recipient));
        if self.recipients.iter().any(is_in_doubt) {
            let text = "Not every recipient is registered in this naming system: the permits of this rule reach only whoever is registered under \
                        this identifier, its denials, in doubt, also whoever is registered without one. Name the actor as recipients are registered.";
            self.warn(IssueType::BusinessRule, "consent-actor-not-comparable", path, text);
        }
    }

    fn coding(&mut self, name: &str, coding: &Node, path: &str) {
        let Some(code) = Code::from_coding(coding) else {
            return self.warn(
                IssueType::Incomplete,
                "consent-code-missing",
                path,
                "A criterion without a code: a permit does without it, a denial is widened.",
            );
        };
        let written = coding.text("system").unwrap_or_default();
        if written.contains(VALUE_SET) {
            let text = "The URL of a value set stands where the system belongs. No permit rests on it but where the system is beyond doubt, and a \
                        denial by it means the code in any system.";
            self.warn(IssueType::CodeInvalid, "consent-value-set-as-system", path, text);
        } else if written.is_empty() {
            self.warn(
                IssueType::Incomplete,
                "consent-system-missing",
                path,
                "A code without a system: no permit rests on it, a denial is widened.",
            );
        } else if written != code.system {
            let text = "The system is not written as its definition writes it. It is read as the system in force.";
            self.warn(IssueType::CodeInvalid, "consent-system-form", path, text);
        }
        if name == "securityLabel" && is_unheard_of(&Concept::new(code.clone())) {
            let text = "HL7's vocabulary has no such label, so that nobody can tell what it means: a permit by it shares only what its source gave \
                        this very one, and a denial by it is taken to mean any label.";
            self.warn(IssueType::CodeInvalid, "consent-label-unknown", path, text);
        } else if !written.is_empty() && !written.contains(VALUE_SET) {
            self.meets_nothing(name, &code, path);
        }
        if name == "code" && code.is_group_of_loinc() {
            let text = "A group, a part or a list of answers of LOINC: what is in it is not known here. No permit rests on it, and a denial by it \
                        withholds everything that has any code of LOINC.";
            self.warn(IssueType::CodeInvalid, "consent-code-group", path, text);
        }
        if name == "purpose" && code.tells_system() && !Concept::new(code.clone()).is_known() {
            let text = match code.system == ACT_REASON {
                true => {
                    "A purpose of use that is not known: a permit by it is met only by requests that state the same code, and a denial by it is \
                     taken to mean any purpose."
                }
                false => "A purpose of use that is not known: it is matched only by requests that state the same code.",
            };
            self.warn(IssueType::CodeInvalid, "consent-purpose-unknown", path, text);
        }
    }

    /// Labels that are not given here, and types of which there is no record.
    fn meets_nothing(&mut self, name: &str, code: &Code, path: &str) {
        if name == "securityLabel" && is_abstract(&Concept::new(code.clone())) {
            let text = "An abstract sensitivity, by which nothing is labelled: no permit rests on it, and a denial by it means all that are below it.";
            return self.warn(IssueType::CodeInvalid, "consent-label-abstract", path, text);
        }
        if name == "securityLabel" && says_information(&Concept::new(code.clone())) {
            let text = "A kind of information by its confidentiality: no permit rests on it, and a denial by it means the sensitivity of that name.";
            return self.warn(IssueType::CodeInvalid, "consent-label-information", path, text);
        }
        if matches!(name, "class" | "resourceType") && is_base_type(code) {
            let text = "What many types of record are: no permit rests on it, and a denial by it withholds them all.";
            return self.warn(IssueType::CodeInvalid, "consent-class-base", path, text);
        }
        if name == "securityLabel" && !is_given(code) {
            let text = "The gateway gives no such label: the rule meets only records to which their source gave this very one. A denial by it \
                        withholds nothing else, and a permit by it shares nothing else.";
            self.warn(IssueType::CodeInvalid, "consent-label-unknown", path, text);
        }
        let names_type = matches!(name, "class" | "resourceType") && code.system == RESOURCE_TYPES;
        if names_type && Definitions::embedded().types().resource(&code.code).is_none() {
            let text = "No record here is of this type: a denial by it withholds nothing, and a permit by it shares nothing.";
            self.warn(IssueType::CodeInvalid, "consent-class-unknown", path, text);
        }
    }

    fn period(&mut self, holder: &Node, path: &str) {
        let Some(period) = holder.get("period") else { return };
        let path = format!("{path}.period");
        match Period::from_node(period) {
            Err(_) => self.warn(IssueType::Value, "consent-period-unreadable", &path, UNREADABLE_PERIOD),
            Ok(period) if self.dated.is_some_and(|dated| period.is_over_by(dated)) => {
                let text = "The validity ended before the consent was given. If the period of the data was meant, it belongs in dataPeriod; \
                            as it stands the rule is never in force.";
                self.warn(IssueType::BusinessRule, "consent-period-for-data-period", &path, text);
            }
            Ok(_) => {}
        }
    }
}

/// Whether the gateway labels anything so.
fn is_given(label: &Code) -> bool {
    let label = Concept::new(label.clone());
    is_sensitivity(&label) || label.confidentiality.is_some()
}

/// Whether a consent alone is more than compiling reads.
fn is_too_large(consent: &Node) -> bool {
    let mut open: Vec<&Node> = items(consent, "provision").iter().collect();
    let mut rules = 0;
    while let Some(rule) = open.pop() {
        rules += 1;
        let entries: usize = LISTED.iter().map(|name| items(rule, name).len()).sum();
        if rules > RULES_LIMIT || entries > ENTRIES_LIMIT {
            return true;
        }
        open.extend(items(rule, "provision"));
    }
    false
}

const UNREADABLE_PERIOD: &str =
    "The period cannot be read, or ends before it starts: a permit that depends on it does not count, a denial does.";

/// Elements by which a rule selects what it is about.
const SELECTIVE: [&str; 8] = ["actor", "action", "securityLabel", "class", "code", "dataPeriod", "data", "purpose"];
const CRITERIA: [&str; 14] = [
    "actor",
    "action",
    "securityLabel",
    "purpose",
    "class",
    "documentType",
    "resourceType",
    "code",
    "period",
    "dataPeriod",
    "data",
    "expression",
    "extension",
    "modifierExtension",
];
/// Lists whose entries count towards the size of a rule.
const LISTED: [&str; 9] = ["actor", "action", "securityLabel", "purpose", "class", "documentType", "resourceType", "code", "data"];
const CODED: [&str; 7] = ["action", "securityLabel", "purpose", "class", "documentType", "resourceType", "code"];

/// Whether nothing is said but that everything is permitted.
fn permits_all(consent: &Node) -> bool {
    let states = |rule: &Node| CRITERIA.iter().chain(&["provision"]).any(|name| rule.get(name).is_some());
    let is_open = !items(consent, "provision").iter().any(states);
    let root_type = consent.get("provision").and_then(|root| root.text("type"));
    let permits = match edition_of(consent) {
        Edition::R4 => root_type.map_or(policy_rule_of(consent) == Some(Polarity::Permit), |declared| declared == "permit"),
        Edition::R5 => consent.text("decision") == Some("permit"),
    };
    is_open && permits
}
