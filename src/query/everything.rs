//! `Patient/[id]/$everything` (R4 patient-everything): the patient, everything in its compartment, and what that refers to, as far as the
//! caller may see each. It is many searches put to the same consent as any other; there is no permit for the whole.

use super::holders::Told;
use super::linked::Along;
use super::searchset::{Page, link};
use super::{Candidate, QueryPath, counted, disclosure, may, not_found, page, settings};
use crate::audit;
use crate::clock::Instant;
use crate::config::Interaction as Permission;
use crate::consent::Permitted;
use crate::fhir::Node;
use crate::fhir::types::TypeKind;
use crate::identity::Caller;
use crate::intake::Pairs;
use crate::outcome::{Failure, IssueType, Reason, Refusal};
use crate::search::{Handling, Query};
use compact_str::CompactString;
use futures_util::{StreamExt, stream};
use std::collections::HashSet;
use std::sync::Arc;

/// The most resources one answer is made from.
const MAX_EVERYTHING: usize = 20_000;
/// Types outside the compartment that come along when something inside refers to them: who, where and with what.
const ALONG: [&str; 9] =
    ["Practitioner", "PractitionerRole", "Organization", "Location", "Medication", "Device", "Substance", "HealthcareService", "Endpoint"];

/// Types for which holders are asked: the clinical record that certified systems serve.
const HELD: [&str; 16] = [
    "AllergyIntolerance",
    "CarePlan",
    "CareTeam",
    "Condition",
    "Coverage",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "Goal",
    "Immunization",
    "MedicationDispense",
    "MedicationRequest",
    "MedicationStatement",
    "Observation",
    "Procedure",
    "ServiceRequest",
];
/// How many types the holders are asked for at once.
const ASKED_AT_ONCE: usize = 8;

/// What `$everything` was asked.
#[derive(Default)]
struct Asked {
    types: Option<Vec<String>>,
    since: Option<Instant>,
    count: Option<usize>,
    /// What a page link repeats.
    used: Pairs,
}

impl Asked {
    fn wants(&self, type_name: &str) -> bool {
        self.types.as_ref().is_none_or(|types| types.iter().any(|wanted| wanted == type_name))
    }
}

impl QueryPath {
    /// Everything of one patient that the caller may see, in pages.
    pub async fn everything(&self, caller: &Caller, id: &str, pairs: Pairs, opened: &audit::Opened) -> Result<Node, Failure> {
        self.audited_of(caller, ("Patient", id), opened, self.try_everything(caller, id, pairs, opened)).await
    }

    async fn try_everything(&self, caller: &Caller, id: &str, pairs: Pairs, opened: &audit::Opened) -> Result<Node, Failure> {
        may(caller, Permission::Read, "Patient")?;
        let id = self.pipeline.dialect(caller).id("Patient", id);
        let path = format!("Patient/{id}/$everything");
        let now = self.pipeline.clock.now();
        let resumed = self.pager.resume(pairs, caller, &path, now)?;
        let (from, asked) = (resumed.from, self.asked_everything(resumed.pairs.clone())?);
        let patient = self.own("Patient", &id, None).await?.ok_or_else(|| not_found("Patient"))?;
        let judge = self.judge(caller, std::slice::from_ref(&patient)).await?;
        let consents = judge.consent_state([id.as_str()]);
        let patient = judge.rule(patient).or_refuse("Patient")?;
        resumed.under(consents)?;
        let mut shown: Vec<Permitted> = Some(patient).into_iter().filter(|_| asked.wants("Patient")).collect();
        // The other records of the person belong to it, where the caller may follow the link.
        let pairs = vec![("patient".to_owned(), format!("Patient/{id}"))];
        let pairs = self.with_linked(caller, "Observation", &pairs).await?.unwrap_or(pairs);
        let (compartment, mut told) = self.compartment(caller, &pairs, &asked).await?;
        let judge = self.judge(caller, &compartment).await?;
        let note = settings::unlearnt_note(&judge);
        told.silent.extend(self.unlearnt_outcome(caller, &judge));
        shown.extend(compartment.into_iter().filter_map(|candidate| judge.rule(candidate).permitted()));
        let along = self.referred_to(caller, &shown, &asked).await?;
        shown.extend(along);
        let total = shown.len();
        let size = asked.count.unwrap_or(page::MAX_PAGE).clamp(1, page::MAX_PAGE);
        let (before, shown, after) = page::cut(shown, from, size);
        let beyond: Vec<Permitted> = before.into_iter().chain(after).collect();
        let end = from + shown.len();
        let next = (end < total).then(|| self.pager.seal_at(caller, &path, asked.used.clone(), end, consents, now));
        let mut closing = disclosure(shown.iter(), note);
        counted::count_in(&mut closing, &beyond);
        self.disclose(opened, closing, told.patients).await?;
        let mut links = vec![link("self", &format!("{}/{path}", self.base_url))];
        links.extend(next.as_ref().map(|token| link("next", &format!("{}/{path}?{}={token}", self.base_url, page::PARAMETER))));
        let page = Page { shown, total, next, beyond };
        Ok(self.bundle(links, page, Along::default(), &crate::search::Projection::default(), true, told.silent))
    }

    fn asked_everything(&self, pairs: Pairs) -> Result<Asked, Refusal> {
        let mut asked = Asked::default();
        let bad = |name: &str| Refusal::new(Reason::Malformed, IssueType::Value, "The value cannot be read.").at(name.to_owned());
        for (name, value) in &pairs {
            match name.as_str() {
                "_type" => {
                    let types: Vec<String> = value.split(',').map(str::to_owned).collect();
                    if types.iter().any(|name| self.pipeline.definitions.types().resource(name).is_none()) {
                        return Err(bad(name));
                    }
                    asked.types = Some(types);
                }
                "_since" => asked.since = Some(Instant::from_fhir_instant(value).ok_or_else(|| bad(name))?),
                "_count" => asked.count = Some(value.parse().map_err(|_| bad(name))?),
                "_format" | "_pretty" => {}
                _ => {
                    let text = "$everything knows _type, _since and _count.";
                    return Err(Refusal::new(Reason::UnknownParameter, IssueType::NotSupported, text).at(name.clone()));
                }
            }
        }
        asked.used = pairs;
        Ok(asked)
    }

    /// What lies in the patient's compartment, here and at the holders, before consent; sorted by type and id.
    async fn compartment(&self, caller: &Caller, pairs: &Pairs, asked: &Asked) -> Result<(Vec<Candidate>, Told), Failure> {
        let mut told = self.held(caller, pairs, asked).await?;
        let mut found = Vec::new();
        let mut known = HashSet::new();
        let mut add = |candidates: Vec<Candidate>| {
            found.extend(candidates.into_iter().filter(|candidate| {
                let is_new = super::reference(&candidate.resource).is_some_and(|reference| known.insert(reference));
                is_new && asked.since.is_none_or(|since| candidate.at.is_none_or(|at| at >= since))
            }));
            found.len()
        };
        for query in self.compartment_queries(caller, pairs, asked) {
            if add(self.own_candidates(caller, &Arc::new(query)).await?) > MAX_EVERYTHING {
                let text = format!("There are more than {MAX_EVERYTHING} resources. Ask for some types with _type, or search.");
                return Err(Refusal::new(Reason::TooLarge, IssueType::TooCostly, text).into());
            }
        }
        add(std::mem::take(&mut told.found));
        found.sort_by_cached_key(|candidate| super::reference(&candidate.resource));
        Ok((found, told))
    }

    /// One search for each parameter by which a type belongs to a patient's compartment.
    fn compartment_queries(&self, caller: &Caller, pairs: &Pairs, asked: &Asked) -> Vec<Query> {
        let definitions = self.pipeline.definitions;
        let types = definitions.types().types().iter().filter(|each| each.kind == TypeKind::Resource && !each.is_abstract);
        let is_meant = |name: &&str| *name != "Patient" && asked.wants(name) && caller.scopes.allows(Permission::Search, name);
        let names = types.map(|definition| definition.name.as_str()).filter(is_meant);
        // A parameter of the compartment that cannot point to a patient, or cannot be searched by, finds nothing.
        let patients: String = pairs.iter().map(|(_, value)| value.as_str()).collect();
        let query =
            |name, code: &CompactString| Query::parse(definitions, name, &[(code.to_string(), patients.clone())], Handling::Strict).ok();
        names.flat_map(|name| definitions.compartment("Patient", name).iter().filter_map(move |code| query(name, code))).collect()
    }

    /// What the holders have of the patient.
    async fn held(&self, caller: &Caller, pairs: &Pairs, asked: &Asked) -> Result<Told, Failure> {
        let queries: Vec<Query> = HELD
            .iter()
            .filter(|name| asked.wants(name) && caller.scopes.allows(Permission::Search, name))
            .filter_map(|name| Query::parse(self.pipeline.definitions, name, pairs, Handling::Strict).ok())
            .collect();
        let asking = queries.into_iter().map(|query| async move { self.ask_holders(caller, &query, pairs).await });
        let answers: Vec<Result<Told, Failure>> = stream::iter(asking).buffered(ASKED_AT_ONCE).collect().await;
        let mut all = Told::default();
        for told in answers {
            let told = told?;
            all.patients.extend(told.patients.into_iter().chain(told.found.iter().filter_map(|candidate| candidate.elsewhere.clone())));
            all.found.extend(told.found);
            told.silent.into_iter().for_each(|outcome| {
                if !all.silent.contains(&outcome) {
                    all.silent.push(outcome);
                }
            });
        }
        Ok(all)
    }

    /// What the resources shown refer to outside the compartment, each put to consent.
    async fn referred_to(&self, caller: &Caller, shown: &[Permitted], asked: &Asked) -> Result<Vec<Permitted>, Failure> {
        let mut wanted = Vec::new();
        let mut known = HashSet::new();
        for permitted in shown {
            references(permitted.resource(), &mut |type_name, id| {
                let is_meant = ALONG.contains(&type_name) && asked.wants(type_name) && caller.scopes.allows(Permission::Read, type_name);
                if is_meant && known.len() < MAX_EVERYTHING && known.insert((type_name.to_owned(), id.to_owned())) {
                    wanted.push((type_name.to_owned(), id.to_owned()));
                }
            });
        }
        wanted.sort();
        let candidates = self.stored(wanted).await?;
        self.permitted(caller, candidates).await
    }
}

/// Hands the type and id of every relative reference in a resource to `visit`. The parser has bounded the depth.
fn references<'n>(node: &'n Node, visit: &mut impl FnMut(&'n str, &'n str)) {
    if let Some(items) = node.as_list() {
        items.iter().for_each(|item| references(item, visit));
    }
    let Some(object) = node.as_object() else { return };
    for member in object.members() {
        match (member.name.as_str(), member.node.as_text()) {
            ("reference", Some(text)) => {
                if let Some((type_name, id)) = text.split_once('/').filter(|(_, id)| !id.contains('/')) {
                    visit(type_name, id);
                }
            }
            _ => references(&member.node, visit),
        }
    }
}
