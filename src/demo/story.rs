//! The story, in order. Every sentence about what happened is made from what was answered, and held against what was expected.

use super::ending::{Evidence, Summary};
use super::partner::{Answer, is_error};
use super::records::{BundleFile, CONSENT, LABORATORY_REFUSED, LABORATORY_REPORT, PERSON_SYSTEM, Person};
use super::scene::Scene;
use super::stages::StageTimes;
use super::teller::{Teller, count};
use super::view::View;
use crate::fhir::{Node, json};
use crate::outcome::{Fault, FaultKind};
use std::collections::BTreeMap;

/// The purpose that nobody consented to.
const RESEARCH: &str = "HRESCH";

/// The clients that do something with the patient's record.
const CALLERS: [&str; 3] = ["hospital-a", "hospital-b", "laboratory"];

/// The story while it is told.
pub struct Story<'w> {
    pub teller: Teller<'w>,
    pub scene: Scene,
    pub stages: StageTimes,
    pub person: Person,
    summary: Summary,
}

impl<'w> Story<'w> {
    pub fn new(teller: Teller<'w>, scene: Scene, stages: StageTimes, person: Person) -> Story<'w> {
        Story { teller, scene, stages, person, summary: Summary::default() }
    }

    /// Tells everything; answers whether it went as told.
    pub async fn tell(mut self, bundles: &[BundleFile], home: usize) -> Result<bool, Fault> {
        self.introduce();
        let happened = self.happen(bundles, home).await;
        self.scene.close().await;
        if let Some(evidence) = happened? {
            self.teller.line("Gateway", "is shut down and its folder removed; what follows needs only the key above");
            evidence.verify(&mut self.teller, &mut self.summary)?;
        }
        self.summary.conclude(&mut self.teller);
        Ok(self.teller.surprises().is_empty())
    }

    /// Everything that needs the gateway. `None` when what the rest is about did not come about.
    async fn happen(&mut self, bundles: &[BundleFile], home: usize) -> Result<Option<Evidence>, Fault> {
        let Some(patient) = self.push_records(bundles, home).await? else { return Ok(None) };
        let Some(observation) = self.push_results().await? else { return Ok(None) };
        self.push_something_wrong().await?;
        self.ask_without_consent(&patient).await?;
        let consent = self.ask_with_consent(&patient).await?;
        self.ask_after_revocation(&patient, &consent).await?;
        self.ask_who_saw_what(&patient).await?;
        self.gather_evidence(&observation).await.map(Some)
    }

    fn introduce(&mut self) {
        let (scene, teller) = (&self.scene, &mut self.teller);
        teller.chapter("Who takes part");
        teller.timed("Gateway", &format!("{}/fhir, started", scene.origin), scene.started);
        let size = |size: usize| count(size, "record", "records");
        let (a, b) = (&scene.server_a, &scene.server_b);
        teller
            .line("Hospital A", &format!("http://{}/fhir, {}; names systems by OID, mixes remarks into results", a.address, size(a.size)));
        teller.line("Hospital B", &format!("http://{}/fhir, {}; answers in pages of two, gives no totals", b.address, size(b.size)));
        teller.line("Laboratory", "pushes results, has no server");
        teller.line(
            "Regulator",
            &format!("sends nothing, and was given the verifier key of the gateway's log:\n{:16}{}", "", scene.verifier_key),
        );
        teller.line("Patient", &format!("{}, whom all of them know by the same social security number", self.person.name));
        teller.say("");
        let partners = [
            ("Hospital A", &scene.partners.hospital_a),
            ("Hospital B", &scene.partners.hospital_b),
            ("Laboratory", &scene.partners.laboratory),
            ("Regulator", &scene.partners.regulator),
        ];
        for (name, partner) in partners {
            teller.timed(name, "proves itself by a signed assertion (SMART Backend Services), gets a token", partner.signed_in);
        }
    }

    /// Hospital A pushes; answers the patient's id in the gateway.
    async fn push_records(&mut self, bundles: &[BundleFile], home: usize) -> Result<Option<String>, Fault> {
        self.teller.chapter("Hospital A sends the patient's record");
        let mut patient = None;
        for (index, bundle) in bundles.iter().enumerate() {
            self.teller.line(
                "Hospital A",
                &format!("{}: {}, {} bytes", bundle.name, count(bundle.entries(), "entry", "entries"), bundle.bytes.len()),
            );
            let answer = self.scene.partners.hospital_a.post("", bundle.bytes.clone(), None).await?;
            self.tell_submission("Hospital A", &bundle.name, &answer);
            if index == home {
                patient = answer.entries().nth(self.person.entry).and_then(id_of);
            }
        }
        self.teller.expect(patient.is_some(), "the patient's record is accepted, without which there is nothing more to tell");
        Ok(patient)
    }

    /// One line for each stage, and one for the answer.
    fn tell_submission(&mut self, sender: &str, what: &str, answer: &Answer) {
        let issues = answer.issues();
        let of = |severity: &str| issues.iter().filter(|issue| issue.text("severity") == Some(severity)).count();
        let errors = issues.iter().filter(|issue| is_error(issue)).count();
        let entries = answer.entries().count();
        for (stage, took) in self.stages.take() {
            let text = match stage {
                "intake" => "read without loss: numbers as written, no member twice, no bad UTF-8".to_owned(),
                "normalise" => "ids, references, systems, units, times in one form; every change recorded".to_owned(),
                "validate" => format!(
                    "against R4: {}, {}, {}",
                    count(errors, "error", "errors"),
                    count(of("warning"), "warning", "warnings"),
                    count(of("information"), "remark", "remarks")
                ),
                "anchor" => format!("{} hashed as received and as stored, a Provenance for each", count(entries, "version", "versions")),
                _ => "versions, index, audit record and log leaves in one commit, synced to disk".to_owned(),
            };
            self.teller.timed(stage, &text, took);
        }
        if answer.status == 200 {
            let created = answer
                .entries()
                .filter(|entry| entry.text_at(&["response", "status"]).is_some_and(|status| status.starts_with("201")))
                .count();
            let already = if created == entries { String::new() } else { format!(", {} were there already", entries - created) };
            let is_batch = answer.body.as_ref().and_then(|body| body.text("type")) == Some("batch-response");
            let alone = if is_batch { "; a batch, so the times above are added up" } else { "" };
            let text = format!("{}: {created} created{already}, each with a receipt{alone}", answer.status);
            self.teller.timed("answer", &text, answer.took);
            self.summary.accepted.push(format!("{what} from {sender}: {}", count(entries, "resource", "resources")));
        } else {
            self.teller.timed("answer", &format!("{}, and nothing of it was stored", answer.status), answer.took);
            self.tell_issues(&issues);
            self.summary.refuse(&format!("{what} from {sender}"), &issues);
            self.teller.expect(false, &format!("{what} is accepted"));
        }
    }

    fn tell_issues(&mut self, issues: &[Node]) {
        for issue in issues {
            let place = issue.items("expression").first().and_then(Node::as_text).unwrap_or("the whole");
            self.teller.line(
                issue.text("severity").unwrap_or_default(),
                &format!("{place}: {}", issue.text_at(&["details", "text"]).unwrap_or_default()),
            );
        }
    }

    /// The laboratory pushes, and pushes again; answers the first observation's version.
    async fn push_results(&mut self) -> Result<Option<String>, Fault> {
        self.teller.chapter("The laboratory sends a result, and sends it again");
        let report = self.person.about(LABORATORY_REPORT);
        self.teller.line("Laboratory", "a report with two results; it names the patient by number, for it knows nobody's ids");
        let key = "report-26-118-00412";
        let first = self.scene.partners.laboratory.post("", report.clone(), Some(key)).await?;
        self.tell_submission("the laboratory", "the report", &first);
        let again = self.scene.partners.laboratory.post("", report, Some(key)).await?;
        self.stages.take();
        let versions: Vec<String> = first.entries().filter_map(location_of).collect();
        self.tell_lineage(versions.first()).await?;
        let same = again.status == 200 && again.entries().filter_map(location_of).collect::<Vec<_>>() == versions;
        self.teller.say("");
        self.teller.line("Laboratory", "did not hear the answer, so it sends the same again under the same Idempotency-Key");
        let text = if same { "the same ids and versions as before; nothing is stored twice" } else { "something else than before" };
        self.teller.timed("answer", &format!("{}: {text}", again.status), again.took);
        self.teller.expect(same, "a resend is answered like the first sending");
        Ok(versions.into_iter().next())
    }

    /// What was changed in a version on its way in, as its Provenance tells.
    async fn tell_lineage(&mut self, version: Option<&String>) -> Result<(), Fault> {
        let target = version.and_then(|version| version.split_once("/_history/")).map(|(resource, _)| resource).unwrap_or_default();
        let answer = self.scene.partners.laboratory.get(&format!("Provenance?target={target}")).await?;
        let provenance = answer.entries().find_map(|entry| entry.get("resource"));
        let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
        for change in provenance.iter().flat_map(|provenance| provenance.items("extension")) {
            let rule = change.items("extension").iter().find(|part| part.text("url") == Some("rule"));
            if let Some(rule) = rule.and_then(|rule| rule.text("valueString")) {
                *rules.entry(rule).or_default() += 1;
            }
        }
        let total = count(rules.values().sum(), "change", "changes");
        let named: Vec<&str> = rules.keys().map(|rule| word_of(rule)).collect();
        self.teller.timed("Provenance", &format!("of the first result: its sender, and {total} ({})", named.join(", ")), answer.took);
        self.teller.expect(!rules.is_empty(), "the Provenance says what normalisation changed");
        Ok(())
    }

    async fn push_something_wrong(&mut self) -> Result<(), Fault> {
        self.teller.chapter("The laboratory sends something wrong");
        let wrong = self.person.about(LABORATORY_REFUSED);
        self.teller.line("Laboratory", "an Observation with the status \"done\" that does not say what was observed");
        let answer = self.scene.partners.laboratory.post("Observation", wrong, None).await?;
        self.stages.take();
        let issues = answer.issues();
        self.teller.timed("answer", &format!("{} with an OperationOutcome; nothing of it was stored", answer.status), answer.took);
        self.tell_issues(&issues);
        self.summary.refuse("an Observation from the laboratory", &issues);
        self.teller.expect(answer.status == 422 && issues.len() >= 2, "both mistakes are named in a refusal with status 422");
        Ok(())
    }

    /// What hospital B finds, for all its purposes or for one.
    async fn look(&mut self, patient: &str, purpose: Option<&str>) -> Result<View, Fault> {
        let asks = &self.scene.partners.hospital_b;
        let search = format!("Patient?identifier={PERSON_SYSTEM}%7C{}", self.person.identifier);
        let observations = format!("Observation?patient={patient}&_count=1000");
        let (known, found) = match purpose {
            None => (asks.get(&search).await?, asks.get(&observations).await?),
            Some(purpose) => (asks.get_for(&search, purpose).await?, asks.get_for(&observations, purpose).await?),
        };
        let view = View::of(&known, &found, &self.scene.origins());
        self.teller.timed("Hospital B", &format!("GET Patient?identifier=…    {}", view.patient()), known.took);
        self.teller.timed("Hospital B", &format!("GET Observation?patient=…   {}", view.total()), found.took);
        self.teller.line("", &view.observations());
        Ok(view)
    }

    async fn ask_without_consent(&mut self, patient: &str) -> Result<(), Fault> {
        self.teller.chapter("Hospital B asks, and the patient has not consented");
        let view = self.look(patient, None).await?;
        self.teller.expect(view.is_only_its_own(), "Hospital B sees what it has itself, and nothing else");
        self.summary.views.push(("before consent", view));
        Ok(())
    }

    /// Answers the Consent's reference.
    async fn ask_with_consent(&mut self, patient: &str) -> Result<String, Fault> {
        self.teller.chapter("The patient consents: Hospital B may see the record for treatment");
        let answer = self.scene.partners.hospital_a.post("Consent", CONSENT.replace("PATIENT", patient), None).await?;
        self.stages.take();
        self.teller.timed("Hospital A", &format!("files the signed Consent (IHE PCF, basic): {}", answer.status), answer.took);
        self.teller.expect(answer.status == 201, "the Consent is accepted");
        let consent = answer.body.as_ref().and_then(|body| body.text("id")).unwrap_or_default().to_owned();
        let view = self.look(patient, None).await?;
        self.teller.expect(view.is_everybodys(), "Hospital B sees what both hospitals and the laboratory have");
        self.summary.views.push(("with consent, for treatment", view));
        self.teller.say("");
        self.teller.line("Hospital B", "asks the same for research, which nobody consented to");
        let view = self.look(patient, Some(RESEARCH)).await?;
        self.teller.expect(view.is_only_its_own(), "for research Hospital B sees what it has itself, and nothing else");
        self.summary.views.push(("with consent, for research", view));
        Ok(consent)
    }

    async fn ask_after_revocation(&mut self, patient: &str, consent: &str) -> Result<(), Fault> {
        self.teller.chapter("The patient takes the consent back");
        let text = CONSENT.replace("PATIENT", patient);
        let mut revoked = json::parse(text.as_bytes(), json::DEFAULT_DEPTH)
            .map_err(|_| Fault::new(FaultKind::Internal, "the embedded Consent cannot be read"))?;
        if let Some(object) = revoked.as_object_mut() {
            object.set("id", consent);
            object.set("status", "inactive");
        }
        let answer = self.scene.partners.hospital_a.put(&format!("Consent/{consent}"), json::write(&revoked)).await?;
        self.stages.take();
        self.teller.timed("Hospital A", &format!("updates the Consent to inactive: {}", answer.status), answer.took);
        self.teller.expect(answer.status == 200, "the revocation is accepted");
        let view = self.look(patient, None).await?;
        self.teller.expect(view.is_only_its_own(), "from the next request on, Hospital B sees what it has itself, and nothing else");
        self.summary.views.push(("after revocation", view));
        Ok(())
    }

    async fn ask_who_saw_what(&mut self, patient: &str) -> Result<(), Fault> {
        self.teller.chapter("The regulator asks who did what with the record");
        let answer = self.scene.partners.regulator.get(&format!("AuditEvent?entity=Patient/{patient}&_count=1000")).await?;
        let mut events: BTreeMap<&str, usize> = BTreeMap::new();
        for event in answer.entries().filter_map(|entry| entry.get("resource")) {
            let client = event.items("agent").first().and_then(|agent| agent.text_at(&["who", "identifier", "value"]));
            *events.entry(client.unwrap_or("somebody unknown")).or_default() += 1;
        }
        let total = count(events.values().sum(), "audit record", "audit records");
        let named: Vec<String> = events.iter().map(|(client, number)| format!("{number} of {client}")).collect();
        self.teller.timed("Regulator", &format!("GET AuditEvent?entity=…     {total} that name the patient"), answer.took);
        self.teller.line("", &named.join(", "));
        self.teller.expect(CALLERS.iter().all(|client| events.contains_key(client)), "the audit names everybody who touched the record");
        Ok(())
    }

    async fn gather_evidence(&mut self, version: &str) -> Result<Evidence, Fault> {
        self.teller.chapter("The regulator verifies, and need not trust the gateway");
        let laboratory = &self.scene.partners.laboratory;
        let receipt = laboratory.get(&format!("{version}/$receipt")).await?;
        let stored = laboratory.get(version).await?;
        self.teller.timed("Laboratory", "fetches the receipt of its first result and hands it over, with what it sent", receipt.took);
        let verifier_key = self.scene.verifier_key.to_string();
        Ok(Evidence { receipt: receipt.text, sent: self.person.about(LABORATORY_REPORT), stored: stored.text, verifier_key })
    }
}

/// The word of a rule's name: `units` of `11-units@1`.
fn word_of(rule: &str) -> &str {
    let name = rule.split('@').next().unwrap_or(rule);
    name.split_once('-').map_or(name, |(_, word)| word)
}

/// `Observation/hg-…/_history/1` of an entry of a response.
fn location_of(entry: &Node) -> Option<String> {
    let (_, version) = entry.text_at(&["response", "location"])?.split_once("/fhir/")?;
    Some(version.to_owned())
}

/// `hg-…` of an entry of a response.
fn id_of(entry: &Node) -> Option<String> {
    location_of(entry)?.split('/').nth(1).map(str::to_owned)
}
