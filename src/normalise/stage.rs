//! Received → Normalised: every write of a submission through the rules of its source.

use super::duplicates::{link, without_claims};
use super::entries::{Entry, Servers, too_many};
use super::patients::flag_several;
use super::{Change, Context, Preamble, Unmapped, normalise, plain_url, preamble};
use crate::fhir::Node;
use crate::intake::{Evidence, Write};
use crate::outcome::{Finding, IssueType, Reason, Refusal, Severity};
use crate::store::Target;

/// A submission whose resources are in the gateway's form. Only [`Normalised::apply`] makes one.
#[derive(Debug)]
pub struct Normalised {
    evidence: Evidence,
    entries: Vec<NormalisedEntry>,
}

/// One write, normalised.
#[derive(Debug)]
pub struct NormalisedEntry {
    pub target: Target,
    /// `None` for a deletion.
    pub resource: Option<Node>,
    pub changes: Vec<Change>,
    pub findings: Vec<Finding>,
    /// Local codes without a portable equivalent.
    pub unmapped: Vec<Unmapped>,
    /// Where the resource stood in what was received.
    pub path: String,
}

impl Normalised {
    /// Applies the source's rules to every write that has a target. One refusing finding refuses the whole submission.
    pub fn apply(evidence: Evidence, writes: Vec<(Write, Target)>, context: &Context<'_>) -> Result<Normalised, Refusal> {
        let preamble = preamble(&evidence.bytes, context.source.switches);
        let plain: Vec<Option<String>> =
            writes.iter().map(|(write, _)| write.full_url.as_deref().map(|url| plain_url(url.trim()).into_owned())).collect();
        let named = writes.iter().zip(&plain);
        let standing = named.filter_map(|((write, _), url)| Some(Entry { full_url: url.as_deref(), resource: write.resource.as_ref()? }));
        let Some(servers) = Servers::of(context.source, standing) else {
            return Err(Refusal::of(Reason::Invalid, vec![too_many()]));
        };
        let one = |((write, target), url): ((Write, Target), Option<String>)| {
            let standing = write.resource.as_ref().map(|resource| Entry { full_url: url.as_deref(), resource });
            let source = standing.map_or(context.source, |standing| servers.rules(standing));
            let odd = standing.filter(|_| source.base_abroad().is_some()).and_then(|standing| standing.name_finding(source));
            let mut done = entry(write, target, &preamble, &Context { source, ..*context });
            done.findings.extend(odd.map(|finding| finding.under(&done.path)));
            done
        };
        let mut entries: Vec<NormalisedEntry> = writes.into_iter().zip(plain).map(one).collect();
        let all = entries.iter_mut().filter_map(|entry| Some((entry.resource.as_ref()?, &mut entry.findings)));
        flag_several(all, context.types);
        let refusing: Vec<Finding> =
            entries.iter().flat_map(|entry| entry.findings.iter().filter(|finding| finding.is_error())).cloned().collect();
        if refusing.is_empty() {
            return Ok(Normalised { evidence, entries });
        }
        Err(Refusal::of(Reason::Invalid, refusing))
    }

    /// What was received.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    pub fn entries(&self) -> &[NormalisedEntry] {
        &self.entries
    }

    /// The submission without the entries that need not be stored.
    pub fn keep(mut self, is_kept: impl FnMut(&NormalisedEntry) -> bool) -> Normalised {
        self.entries.retain(is_kept);
        self
    }

    /// Links each result to the earlier one it repeats, as `earlier` knows it (`Observation/id`).
    pub fn linked(mut self, earlier: impl Fn(&NormalisedEntry) -> Option<String>) -> Normalised {
        for entry in &mut self.entries {
            let Some(earlier) = earlier(entry) else { continue };
            let Some(change) = entry.resource.as_mut().and_then(Node::as_object_mut).and_then(|object| link(object, &earlier)) else {
                continue;
            };
            entry.changes.push(change);
            let text = "the result repeats one that was sent under another id; the two were linked and both kept";
            let finding = Finding::new(Severity::Information, IssueType::Duplicate, "duplicate-result", text).at("Observation");
            entry.findings.push(finding.under(&entry.path));
        }
        self
    }

    pub fn into_parts(self) -> (Evidence, Vec<NormalisedEntry>) {
        (self.evidence, self.entries)
    }
}

fn entry(write: Write, target: Target, preamble: &Preamble, context: &Context<'_>) -> NormalisedEntry {
    let Some(mut resource) = write.resource else {
        return NormalisedEntry {
            target,
            resource: None,
            changes: Vec::new(),
            findings: Vec::new(),
            unmapped: Vec::new(),
            path: write.path,
        };
    };
    let claimed = without_claims(&mut resource);
    let mut outcome = normalise(resource, context);
    if let Some((change, finding)) = claimed {
        outcome.changes.insert(0, change);
        outcome.findings.push(finding);
    }
    preamble.before(outcome.resource.as_object(), &mut outcome.changes, &mut outcome.findings);
    let findings = outcome.findings.into_iter().map(|finding| finding.under(&write.path)).collect();
    NormalisedEntry {
        target,
        resource: Some(outcome.resource),
        changes: outcome.changes,
        findings,
        unmapped: outcome.unmapped,
        path: write.path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json;
    use crate::fhir::types::TypeTable;
    use crate::intake::Interaction;
    use crate::normalise::{GatewayIds, Links, SourceRules};
    use crate::store::Method;

    /// A sender's link to an earlier result is not taken, for it may name what it likes; other extensions stay.
    #[test]
    fn a_senders_claims_are_not_taken() {
        let (source, ids, links, types) =
            (SourceRules::new::<&str>("lab", &[]), GatewayIds::new([7; 32]), Links::new(), TypeTable::default());
        let context = Context { source: &source, ids: &ids, links: &links, types: &types, declared: None };
        let link =
            r#"{"url":"urn:hearthgate:fhir:duplicate-of","valueReference":{"reference":"Observation/hg-00000000000000000000000000"}}"#;
        for (extensions, kept, told) in
            [(link.to_owned(), 0, 1), (format!(r#"{{"url":"http://x"}},{link}"#), 1, 1), (r#"{"url":"http://x"}"#.to_owned(), 1, 0)]
        {
            let text = format!(r#"{{"resourceType":"Observation","extension":[{extensions}]}}"#);
            let interaction = Interaction::Create { type_name: "Observation".into(), if_none_exist: None };
            let resource = Some(json::parse(text.as_bytes(), 32).unwrap());
            let target = Target { type_name: "Observation".into(), id: "x".into(), version: 1, method: Method::Create, previous: None };
            let done = entry(Write { interaction, resource, full_url: None, path: String::new() }, target, &Preamble::default(), &context);
            assert_eq!(done.resource.unwrap().items("extension").len(), kept, "{text}");
            assert_eq!(done.findings.iter().filter(|finding| finding.message_id == "claim-not-taken").count(), told, "{text}");
        }
    }
}
