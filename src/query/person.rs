//! One person's records as one: searches that follow links, the golden record, `$match`.

use super::consents::Judge;
use super::searchset::outcome_entry;
use super::{Candidate, QueryPath, Ruling, disclosure, may, not_found, reference};
use crate::audit;
use crate::clock::Instant;
use crate::config::Interaction as Permission;
use crate::consent::Permitted;
use crate::definitions::SearchKind;
use crate::fhir::{Node, Object, Value};
use crate::identity::Caller;
use crate::intake::Pairs;
use crate::outcome::{Failure, Fault, Finding, IssueType, Reason, Refusal, Severity};
use crate::person::{Contribution, Grade, golden};
use crate::pipeline::{linked_as_far_as_known, readable};
use std::collections::HashMap;

/// The extension that carries FHIR's match-grade.
const MATCH_GRADE: &str = "http://hl7.org/fhir/StructureDefinition/match-grade";
/// The most matches one `$match` answers.
const MAX_MATCHES: usize = 50;

impl QueryPath {
    /// The search parameters with the other records of each patient they name, where the caller may ask about that patient. `None` when nothing
    /// is added.
    pub(super) async fn with_linked(&self, caller: &Caller, type_name: &str, pairs: &Pairs) -> Result<Option<Pairs>, Fault> {
        let named: Vec<String> =
            pairs.iter().filter(|pair| self.names_patient(type_name, &pair.0)).flat_map(|(_, value)| ids(value)).collect();
        let mut linked: HashMap<String, Vec<String>> = HashMap::new();
        for id in named {
            let wanted = id.clone();
            let others = linked_as_far_as_known(self.pipeline.store.read(move |reader| reader.linked(&wanted)).await)?;
            if !others.is_empty() && self.may_follow(caller, &id).await? {
                linked.insert(id, others);
            }
        }
        if linked.is_empty() {
            return Ok(None);
        }
        let widened = pairs.iter().map(|(name, value)| {
            if !self.names_patient(type_name, name) {
                return (name.clone(), value.clone());
            }
            let others = ids(value).into_iter().filter_map(|id| linked.get(&id)).flatten().map(|id| format!("Patient/{id}"));
            let all: Vec<String> = std::iter::once(value.clone()).chain(others).collect();
            (name.clone(), all.join(","))
        });
        Ok(Some(widened.collect()))
    }

    /// Whether a parameter holds references that may be to patients, and nothing is said of how they are meant.
    fn names_patient(&self, type_name: &str, name: &str) -> bool {
        let (code, modifier) = name.split_once(':').map_or((name, None), |(code, modifier)| (code, Some(modifier)));
        let parameter = self.pipeline.definitions.search_parameter(type_name, code);
        matches!(modifier, None | Some("Patient"))
            && parameter.is_some_and(|parameter| {
                parameter.kind == SearchKind::Reference && parameter.targets.iter().any(|target| target == "Patient")
            })
    }

    /// The link itself says something about the patient: it is followed for whoever sent the record, or may be told of the patient at all.
    async fn may_follow(&self, caller: &Caller, id: &str) -> Result<bool, Fault> {
        let Some(candidate) = readable(self.own("Patient", id, None).await)? else { return Ok(false) };
        if caller.source.as_deref() == Some(candidate.source.as_str()) {
            return Ok(true);
        }
        let judge = Judge::gather(&self.pipeline, caller, std::iter::once((&candidate.resource, candidate.source.as_str()))).await?;
        Ok(judge.may_ask(id))
    }

    /// `Patient/{id}/$golden-record`: one Patient composed of the records of the person that the caller may see, and where each element is from.
    pub async fn golden_record(&self, caller: &Caller, id: &str, opened: &audit::Opened) -> Result<Node, Failure> {
        self.audited_of(caller, ("Patient", id), opened, self.try_golden_record(caller, id, opened)).await
    }

    async fn try_golden_record(&self, caller: &Caller, id: &str, opened: &audit::Opened) -> Result<Node, Failure> {
        may(caller, Permission::Read, "Patient")?;
        let id = self.pipeline.dialect(caller).id("Patient", id);
        let wanted = id.clone();
        let others = self.pipeline.store.read(move |reader| reader.linked(&wanted)).await?;
        let mut candidates = Vec::new();
        for record in std::iter::once(&id).chain(&others) {
            candidates.extend(self.own("Patient", record, None).await?);
        }
        let judge = self.judge(caller, &candidates).await?;
        let times: HashMap<String, Instant> =
            candidates.iter().filter_map(|candidate| Some((reference(&candidate.resource)?, candidate.at?))).collect();
        let is_asked = |candidate: &Candidate| candidate.resource.text("id") == Some(id.as_str());
        let (asked, others): (Vec<Candidate>, Vec<Candidate>) = candidates.into_iter().partition(is_asked);
        let asked = asked.into_iter().next().ok_or_else(|| not_found("Patient"))?;
        let mut permitted = vec![judge.rule(asked).or_refuse("Patient")?];
        permitted.extend(others.into_iter().filter_map(|candidate| judge.rule(candidate).permitted()));
        self.disclose(opened, disclosure(permitted.iter(), Some("golden record".to_owned())), Vec::new()).await?;
        let contributions: Vec<Contribution> = permitted
            .into_iter()
            .filter_map(|permitted| {
                let reference = reference(permitted.resource())?;
                let at = times.get(&reference).copied()?;
                Some(Contribution { reference, at, patient: permitted.into_resource() })
            })
            .collect();
        Ok(told(golden(&id, &contributions)))
    }

    /// `Patient/$match` (R4 patient-operation-match): records that may be the given patient's, the likeliest first, of those the caller may see.
    pub async fn match_patient(&self, caller: &Caller, parameters: &Node, opened: &audit::Opened) -> Result<Node, Failure> {
        self.audited(opened, self.try_match(caller, parameters, opened)).await
    }

    async fn try_match(&self, caller: &Caller, parameters: &Node, opened: &audit::Opened) -> Result<Node, Failure> {
        may(caller, Permission::Search, "Patient")?;
        let asked = MatchAsked::read(parameters)?;
        let mut found = self.pipeline.look_alike(asked.patient).await?;
        found.retain(|(_, grade)| *grade != Grade::Unrelated && (!asked.only_certain || *grade == Grade::Certain));
        found.sort_by(|a, b| a.1.cmp(&b.1).then_with(|| a.0.id.cmp(&b.0.id)));
        let grades: HashMap<String, Grade> = found.iter().map(|(version, grade)| (version.id.clone(), *grade)).collect();
        let candidates: Vec<Candidate> = found.iter().map(|(version, _)| Candidate::stored(version)).collect::<Result<_, _>>()?;
        let judge = self.judge(caller, &candidates).await?;
        let permitted = candidates.into_iter().map(|candidate| judge.rule(candidate)).filter_map(Ruling::permitted);
        // What was taken out of a record must not have found it.
        let shown: Vec<Permitted> = permitted.filter(|permitted| !permitted.is_redacted()).take(asked.count).collect();
        self.disclose(opened, disclosure(shown.iter(), Some("match".to_owned())), Vec::new()).await?;
        let graded = |permitted: &Permitted| permitted.resource().text("id").and_then(|id| grades.get(id)).copied();
        // Several certain matches that are not linked are a matter for people (R4 patient-operation-match: onlyCertainMatches answers one or none).
        if asked.only_certain && shown.len() > 1 {
            let finding = Finding::new(
                Severity::Warning,
                IssueType::MultipleMatches,
                "several-certain",
                "More than one record matches with certainty.",
            );
            return Ok(self.matches(vec![outcome_entry(crate::problem::outcome_node(&[finding]))], 0).into());
        }
        let (total, meta) = (shown.len(), self.label_of(shown.iter()));
        let entries = shown
            .into_iter()
            .map(|permitted| {
                let grade = graded(&permitted).unwrap_or(Grade::Unrelated);
                self.match_entry(permitted, grade)
            })
            .collect();
        Ok(self.matches(entries, total).with_some("meta", meta).into())
    }

    fn matches(&self, entries: Vec<Node>, total: usize) -> Object {
        let bundle = Object::resource("Bundle").with("type", "searchset").with("total", total as u64);
        bundle.with_some("entry", (!entries.is_empty()).then_some(entries))
    }

    fn match_entry(&self, permitted: Permitted, grade: Grade) -> Node {
        let resource = permitted.into_resource();
        let full_url = reference(&resource).map(|reference| format!("{}/{reference}", self.base_url));
        let extension: Node = Object::new().with("url", MATCH_GRADE).with("valueCode", grade.code()).into();
        let score = Node::from(Value::Number(grade.score().into()));
        let search = Object::new().with("extension", vec![extension]).with("mode", "match").with("score", score);
        Object::new().with_some("fullUrl", full_url).with("resource", resource).with("search", search).into()
    }
}

/// What `$match` was asked.
struct MatchAsked {
    patient: Node,
    only_certain: bool,
    count: usize,
}

impl MatchAsked {
    fn read(parameters: &Node) -> Result<MatchAsked, Refusal> {
        let refused = |text: &str| Refusal::new(Reason::Malformed, IssueType::Required, text).at("Parameters.parameter");
        if parameters.resource_type() != Some("Parameters") {
            return Err(refused("$match takes Parameters with a 'resource', and 'onlyCertainMatches' and 'count' if wanted."));
        }
        let (mut patient, mut only_certain, mut count) = (None, false, MAX_MATCHES);
        for parameter in parameters.items("parameter") {
            match parameter.text("name") {
                Some("resource") => patient = parameter.get("resource").cloned(),
                Some("onlyCertainMatches") => only_certain = parameter.get("valueBoolean").and_then(Node::as_bool).unwrap_or(false),
                Some("count") => {
                    let number = parameter.get("valueInteger").and_then(Node::as_number).and_then(|number| number.parse::<usize>().ok());
                    count = number.filter(|number| *number > 0).ok_or_else(|| refused("'count' is a positive integer."))?.min(MAX_MATCHES);
                }
                _ => return Err(refused("$match knows the parameters 'resource', 'onlyCertainMatches' and 'count'.")),
            }
        }
        let patient = patient.filter(|patient| patient.resource_type() == Some("Patient"));
        Ok(MatchAsked {
            patient: patient.ok_or_else(|| refused("'resource' carries the Patient that is looked for."))?,
            only_certain,
            count,
        })
    }
}

/// The ids of patients in a reference parameter's value.
fn ids(value: &str) -> Vec<String> {
    let alternatives = value.split(',').map(|alternative| alternative.strip_prefix("Patient/").unwrap_or(alternative));
    alternatives.filter(|id| crate::normalise::is_gateway_id(id)).map(str::to_owned).collect()
}

/// The golden record and its account.
fn told(golden: crate::person::Golden) -> Node {
    let named = |name: &str, member: &str, value: Node| -> Node { Object::new().with("name", name).with(member, value).into() };
    let mut parameters: Vec<Node> = vec![Object::new().with("name", "record").with("resource", golden.patient).into()];
    parameters.extend(golden.elements.into_iter().map(|element| {
        let mut parts = vec![
            named("path", "valueString", format!("Patient.{}", element.name).into()),
            named("rule", "valueString", element.rule.into()),
            named("disputed", "valueBoolean", element.is_disputed.into()),
        ];
        let sources = element.sources.into_iter().map(|source| Object::new().with("reference", source).into());
        parts.extend(sources.map(|source| named("source", "valueReference", source)));
        Object::new().with("name", "element").with("part", parts).into()
    }));
    Object::resource("Parameters").with("parameter", parameters).into()
}
