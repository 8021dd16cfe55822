//! The end of the story: what the regulator finds offline, and what it all came to.

use super::partner::is_error;
use super::teller::Teller;
use super::view::View;
use crate::anchor::{Subject, verify_receipt};
use crate::fhir::Node;
use crate::ledger::{Policy, VerifierKey};
use crate::outcome::{Fault, FaultKind};

/// What the laboratory measured, and what somebody would like it to be.
const MEASURED: &str = "6.80";
const FORGED: &str = "5.80";

/// What is kept for the end.
#[derive(Default)]
pub struct Summary {
    pub accepted: Vec<String>,
    /// What was refused, and the reasons.
    refused: Vec<(String, Vec<String>)>,
    /// When hospital B looked, and what it saw.
    pub views: Vec<(&'static str, View)>,
    verified: Vec<String>,
}

impl Summary {
    /// Something was refused, with an OperationOutcome of these issues.
    pub fn refuse(&mut self, what: &str, issues: &[Node]) {
        let errors: Vec<&str> =
            issues.iter().filter(|issue| is_error(issue)).filter_map(|issue| issue.text_at(&["details", "text"])).collect();
        self.refused.push((what.to_owned(), errors.into_iter().map(str::to_owned).collect()));
    }

    /// What it all came to.
    pub fn conclude(&self, teller: &mut Teller<'_>) {
        teller.chapter("In short");
        self.accepted.iter().for_each(|line| teller.line("Accepted", line));
        for (what, reasons) in &self.refused {
            teller.line("Refused", &format!("{what}:"));
            reasons.iter().for_each(|reason| teller.line("", reason));
        }
        for (when, view) in &self.views {
            teller.line("Hospital B", &format!("{when}: {}", view.observations()));
        }
        self.verified.iter().for_each(|line| teller.line("Verified", line));
        let ending = match teller.surprises() {
            [] => "Everything went as told.".to_owned(),
            surprises => {
                format!("Not everything went as told:\n{}", surprises.iter().map(|text| format!("   - {text}\n")).collect::<String>())
            }
        };
        teller.say(&format!("\n{ending}"));
    }
}

/// What the regulator is handed.
pub struct Evidence {
    pub receipt: String,
    /// The Bundle as the laboratory sent it.
    pub sent: String,
    /// The resource as the gateway stored it.
    pub stored: String,
    pub verifier_key: String,
}

impl Evidence {
    /// Offline: the evidence, the key, and nothing else.
    pub fn verify(&self, teller: &mut Teller<'_>, summary: &mut Summary) -> Result<(), Fault> {
        let key: VerifierKey = self.verifier_key.parse().map_err(|_| Fault::new(FaultKind::Internal, "the verifier key cannot be read"))?;
        let policy = Policy::of_log(key);
        match verify_receipt(&self.receipt, &policy, None) {
            Ok(receipt) => {
                let text = format!("leaf {} of {}", receipt.index, receipt.origin);
                teller.line("Receipt", &format!("holds: it is {text}"));
                summary.verified.push(format!("the laboratory's result is {text}"));
            }
            Err(error) => teller.expect(false, &format!("the receipt holds ({error})")),
        }
        let mut compare = |name: &str, record: &str, expected: Option<Subject>| {
            let verified = verify_receipt(&self.receipt, &policy, Some(record.as_bytes()));
            let subject = verified.as_ref().ok().and_then(|receipt| receipt.subject);
            let text = match (&verified, subject) {
                (Err(error), _) => error.to_string(),
                (Ok(_), Some(Subject::Received)) => "is byte for byte what the gateway received".to_owned(),
                (Ok(_), Some(Subject::Stored)) => "is the version the gateway stored".to_owned(),
                (Ok(_), None) => "was not compared".to_owned(),
            };
            teller.line("Regulator", &format!("{name}: {text}"));
            teller.expect(subject == expected, &format!("{name} verifies as it should"));
        };
        compare("what the laboratory sent", &self.sent, Some(Subject::Received));
        compare("what the gateway stored", &self.stored, Some(Subject::Stored));
        compare(&format!("the same with {FORGED} for {MEASURED}"), &self.stored.replace(MEASURED, FORGED), None);
        Ok(())
    }
}
