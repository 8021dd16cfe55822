//! The accounting of disclosures (42 CFR 2.24, 2.25; HIPAA 164.528): who received what of a patient, when, for which purpose, under which
//! consent, and who was refused.
//!
//! It is for the patient, whoever acts for them, and oversight; nobody who was told or refused something can read it. It names
//! organisations, not the people or programs that acted for them, and of a refusal not the rule that denied it: either could tell the patient
//! or their delegate what another's role is, or what another may see.

use super::Trail;
use super::gather::Item;
use super::reading::Reading;
use super::stream::{proof_entry, receipt_entry};
use super::subject::{Opens, Subject};
use crate::anchor::{Epoch, hour};
use crate::audit::{self, Told};
use crate::clock::Instant;
use crate::fhir::temporal::DateTime;
use crate::fhir::{Node, Object};
use crate::identity::{Caller, crossref};
use crate::intake::Pairs;
use crate::outcome::{Failure, Fault, FaultKind, IssueType, Reason, Refusal};
use crate::query::not_found;
use crate::registry::Role;
use crate::store::HistoryScope;
use data_encoding::BASE64;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How far back an accounting goes unless it is asked otherwise: the six years of HIPAA 164.528.
const YEARS: u64 = 6;
/// The newest versions of a Patient that are looked through for whose it was; what is told begins with the oldest of them, where there are more.
const MAX_VERSIONS: usize = 1000;
const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);

impl Trail {
    /// The accounting of a patient's disclosures, with the proof that it is complete.
    pub async fn disclosures(&self, caller: &Caller, id: &str, pairs: &Pairs, opened: &audit::Opened) -> Result<Node, Failure> {
        let work = async {
            let since = self.asked(pairs)?;
            let subject = self.own_subject(caller, id).await?;
            let since = if caller.has_role(Role::Regulator) { since } else { since.max(self.theirs_since(&subject).await?) };
            self.record(opened, &subject, "accounting of disclosures").await?;
            self.account(caller, subject, since).await
        };
        self.query.audited_of(caller, ("Patient", id), opened, work).await
    }

    /// The patient, if the caller acts for them or oversees the gateway; for anybody else there is none.
    async fn own_subject(&self, caller: &Caller, id: &str) -> Result<Subject, Failure> {
        let oversees = caller.has_role(Role::Regulator);
        if !oversees && caller.acts_for.is_none() && caller.person.is_none() {
            let text = "An accounting of disclosures is for the patient, whoever acts for them, and oversight.";
            return Err(Refusal::new(Reason::Forbidden, IssueType::Forbidden, text).into());
        }
        let subject = self.find(caller, "Patient", id).await?;
        let may = oversees || self.query.pipeline.represented(caller, subject.patient(0)).await?;
        if !may {
            return Err(not_found("Patient").into());
        }
        self.bring_in(&subject).await?;
        Ok(subject)
    }

    /// Since when a Patient is that of whose it is now; the beginning of time where it always was.
    async fn theirs_since(&self, subject: &Subject) -> Result<Instant, Fault> {
        let scope = HistoryScope::Instance { type_name: "Patient".to_owned(), id: subject.patient(0).to_owned() };
        let versions = self.query.pipeline.store.read(move |reader| reader.history(&scope, None, None, MAX_VERSIONS)).await?;
        let parsed = versions.iter().filter(|version| !version.deleted()).map(|version| Ok((version.at, version.parse()?)));
        let is_cut = versions.len() == MAX_VERSIONS;
        Ok(one_persons(&parsed.collect::<Result<Vec<_>, Fault>>()?, is_cut).unwrap_or(Instant::from_seconds(0)))
    }

    /// Since when: `_since`, or so many `years`, or six.
    fn asked(&self, pairs: &Pairs) -> Result<Instant, Refusal> {
        let begins = |name: &str| matches!(name, "_since" | "years");
        if let Some((name, _)) = pairs.iter().filter(|(name, _)| begins(name)).nth(1) {
            let text = "An accounting of disclosures begins once: give _since or years, one of them.";
            return Err(Refusal::new(Reason::Malformed, IssueType::Value, text).at(name.clone()));
        }
        let mut since = self.query.pipeline.clock.now() - YEAR.saturating_mul(YEARS as u32);
        for (name, value) in pairs {
            let bad = || {
                Refusal::new(
                    Reason::Malformed,
                    IssueType::Value,
                    format!("The value of {name} cannot be read: _since is a date or an instant, years a number up to 100."),
                )
                .at(name.clone())
            };
            match name.as_str() {
                "_since" => {
                    since = beginning(value).ok_or_else(bad)?;
                    if since > self.query.pipeline.clock.now() {
                        let text = "An accounting of disclosures tells of what was; _since is in the future.";
                        return Err(Refusal::new(Reason::Malformed, IssueType::Value, text).at(name.clone()));
                    }
                }
                "years" => {
                    let years = value.parse::<u32>().ok().filter(|years| (1..=100).contains(years)).ok_or_else(bad)?;
                    since = self.query.pipeline.clock.now() - YEAR.saturating_mul(years);
                }
                "_format" | "_pretty" => {}
                _ => {
                    let text = "An accounting of disclosures takes _since and years.";
                    return Err(Refusal::new(Reason::UnknownParameter, IssueType::NotSupported, text).at(name.clone()));
                }
            }
        }
        Ok(since)
    }

    async fn account(&self, caller: &Caller, subject: Subject, since: Instant) -> Result<Node, Failure> {
        let related = self.related(caller, &subject, "$disclosures").await?;
        let tags = self.tags(&subject, Some(Epoch::of(since))).await?;
        let (mut completeness, claims) = self.completeness(&subject, tags.clone()).await?;
        completeness.claims = claims;
        let places = self.places(&tags).await?;
        let head = self.query.pipeline.store.ledger_head();
        let subject = Subject { opens: Opens::Accounting, ..subject };
        let reading = Reading::new(caller, subject.clone(), head.clone()).over(&tags, &places, completeness.covers);
        let items = self.items(&Arc::new(reading), places).await?;
        let erasure = self.erasure_proof(&head, &items, &[]).await?;
        let proof = self.bare_proof(&head, completeness.anchored_at).await?;
        let written = serde_json::to_vec(&completeness).map_err(|error| Fault::new(FaultKind::Internal, error.to_string()))?;
        let binary = Object::resource("Binary").with("contentType", "application/json").with("data", BASE64.encode(&written));
        let mut entries: Vec<Node> = vec![Object::new().with("fullUrl", "urn:hearthgate:completeness").with("resource", binary).into()];
        entries.push(receipt_entry(completeness.anchored_at, proof));
        entries.extend(erasure.map(|proof| proof_entry("urn:hearthgate:erasure".to_owned(), proof)));
        for item in items {
            entries.extend(accounted(&item, &subject, since));
            // The receipt of every leaf goes along, also of those that disclosed nothing: its kind stands in it. Of the keys it has the one that opens
            // what is told.
            entries.push(receipt_entry(item.position, item.receipt));
        }
        Ok(Object::resource("Bundle")
            .with("type", "collection")
            .with("timestamp", self.query.pipeline.clock.now().to_fhir_instant())
            .with("link", std::iter::once(asked(&subject, since)).chain(related).collect::<Vec<_>>())
            .with("entry", entries)
            .into())
    }
}

/// An instant, or the beginning (in UTC) of a day, month or year.
fn beginning(text: &str) -> Option<Instant> {
    Instant::from_fhir_instant(text).or_else(|| Some(Instant::from_micros(DateTime::parse(text).ok()?.interval().low)))
}

/// When a Patient became that of whose it is now, if it was another's before: the oldest version that bears an identifier in common with those after it.
/// What comes before it bears others alone, so that nothing says that it is the same person; what bears none says nothing. Newest first.
fn one_persons(versions: &[(Instant, Node)], is_cut: bool) -> Option<Instant> {
    let (mut borne, mut since) = (BTreeSet::new(), None);
    for (at, patient) in versions {
        let own = crossref::borne_identifiers(patient);
        if own.is_empty() {
            continue;
        }
        if !borne.is_empty() && borne.is_disjoint(&own) {
            return since;
        }
        borne.extend(own);
        since = Some(*at);
    }
    since.filter(|_| is_cut)
}

/// What the accounting is of, and since when: by that whoever verifies it knows what need not be told.
fn asked(subject: &Subject, since: Instant) -> Node {
    let url = format!("{}/$disclosures?_since={}", subject.reference, since.to_fhir_instant());
    Object::new().with("relation", "self").with("url", url).into()
}

/// The entry of one disclosure or refusal; nothing for other leaves, and for what was before. What its leaf says to be later is told whatever the
/// clock said.
fn accounted(item: &Item, subject: &Subject, since: Instant) -> Option<Node> {
    if !item.leaf.kind.is_accounted() {
        return None;
    }
    let event = &item.event.as_ref()?.read()?;
    let at = event.text("recorded").and_then(Instant::from_fhir_instant)?;
    let url = format!("urn:hearthgate:disclosure:{}", item.position);
    let entry = || Object::new().with("fullUrl", url).with("resource", Told::of(event, &subject.reference).into_event()).into();
    (at >= since || item.leaf.hour > hour(since)).then(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json;

    #[test]
    fn a_patient_is_one_persons_as_long_as_its_versions_share_an_identifier() {
        let patient = |identifiers: &str| {
            let entries: Vec<String> = identifiers
                .split_whitespace()
                .map(|word| match word.strip_prefix("old-") {
                    Some(value) => format!(r#"{{"use":"old","system":"urn:mrn","value":"{value}"}}"#),
                    None => format!(r#"{{"system":"urn:mrn","value":"{word}"}}"#),
                })
                .collect();
            json::parse(format!(r#"{{"resourceType":"Patient","identifier":[{}]}}"#, entries.join(",")).as_bytes(), usize::MAX).unwrap()
        };
        // The oldest first; since which version it is that of whose it is now, where not always.
        for (versions, since) in [
            (&["17"][..], None),
            (&["17", "17", "17"], None),
            (&["17", "18"], Some(1)),
            (&["17", "17 18", "18"], None),
            (&["17", "18 old-17"], None),
            (&["17", "", "17"], None),
            (&["17", "", "18"], Some(2)),
            (&["", "18"], None),
            (&["17", "18", "18 19", "19"], Some(1)),
            (&["17", "18", "17"], Some(2)),
            (&["unknown", "unknown 18", "19 unknown"], Some(2)),
            (&["", ""], None),
        ] {
            let numbered = versions.iter().zip(0..).map(|(identifiers, at)| (Instant::from_seconds(at), patient(identifiers)));
            let mut newest_first: Vec<_> = numbered.collect();
            newest_first.reverse();
            assert_eq!(one_persons(&newest_first, false), since.map(Instant::from_seconds), "{versions:?}");
        }
        let newest = [(Instant::from_seconds(5), patient("17"))];
        assert_eq!(one_persons(&newest, true), Some(Instant::from_seconds(5)), "nobody knows whose it was before");
    }
}
