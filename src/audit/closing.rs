//! What is known of an act once it is done, and for whom it leaves a record.

use crate::config::Purpose;
use crate::outcome::Aside;
use crate::registry::Organisation;

/// The most records of nobody's that one act leaves a record of its own for. What touches more is of none in particular, and must not cost one for each.
const MAX_APART: usize = 100;

/// The types in which the gateway notes what others did, or who is who; what it wrote of another type an operator gave it. They have no trail of their own.
const ACCOUNTS: [&str; 5] = ["AuditEvent", "Provenance", "Task", "Linkage", "Communication"];

/// Whether a type or a record is of those in which the gateway notes what others did.
pub fn is_account(record: &str) -> bool {
    ACCOUNTS.contains(&record.split_once('/').map_or(record, |(type_name, _)| type_name))
}

/// What is known once the work is done.
#[derive(Debug, Clone, Default)]
pub struct Closing {
    /// References of the resources read or written: `Patient/hg-…/_history/2`.
    pub resources: Vec<String>,
    /// Ids of the patients concerned.
    pub patients: Vec<String>,
    /// Whose each resource is, and each consent, where it is known: an act on several patients leaves a record for each, with that patient's
    /// alone.
    pub owners: Vec<(String, Vec<String>)>,
    /// Ids of the patients of whom something was asked and nothing told.
    pub withheld: Vec<String>,
    /// Why, of each of them for whom that is known.
    pub reasons: Vec<(String, Aside)>,
    /// The organisation that received something without having asked, or was to, by its key.
    pub recipient: Option<Organisation>,
    /// What it received it for.
    pub purpose: Option<Purpose>,
    /// References of the consents that governed it.
    pub consents: Vec<String>,
    /// One line for people: why it was refused, who did not answer.
    pub description: Option<String>,
}

/// A part of what is known of an act, which leaves a record of its own.
#[derive(Debug)]
pub struct Apart {
    pub closing: Closing,
    /// Whether whoever asked is not to know that there is one: it tells of a patient of whom nothing was told.
    pub is_unseen: bool,
}

impl Closing {
    /// One closing for each patient, so that no record of one names what is another's, or for each record where all are nobody's; itself where there is
    /// at most one. How many there are that whoever asked may know of depends on nothing that was withheld.
    pub fn apart(self) -> Vec<Apart> {
        let withheld: Vec<String> = self.withheld.iter().filter(|id| !self.patients.contains(id)).cloned().collect();
        let of_nobody: Vec<String> = self.resources.iter().filter(|reference| self.is_nobodys(reference)).cloned().collect();
        let is_told = !self.patients.is_empty() || !of_nobody.is_empty() || withheld.is_empty();
        let told = match self.patients.len() {
            _ if !is_told => Vec::new(),
            0 if withheld.is_empty() => self.for_each_record(),
            0 => Closing { resources: of_nobody, withheld: Vec::new(), reasons: Vec::new(), ..self.clone() }.for_each_record(),
            1 if withheld.is_empty() => vec![Closing { withheld: Vec::new(), ..self.clone() }],
            _ => self.for_each_patient(),
        };
        let untold = match &withheld[..] {
            [_] if !is_told => vec![Closing { withheld, ..self }],
            _ => self.for_each_withheld(withheld, !is_told),
        };
        // Where nothing was told, the record of the question is that of the first of whom nothing was.
        let untold = untold.into_iter().enumerate().map(|(number, closing)| Apart { closing, is_unseen: is_told || number > 0 });
        told.into_iter().map(|closing| Apart { closing, is_unseen: false }).chain(untold).collect()
    }

    /// One for each record, so that each is found by its own tag, where they are nobody's and no crowd.
    fn for_each_record(&self) -> Vec<Closing> {
        let mut records: Vec<&str> = Vec::new();
        for reference in &self.resources {
            let record = record_of(reference);
            if !records.contains(&record) {
                records.push(record);
            }
            if records.len() > MAX_APART || is_account(record) || !self.is_nobodys(reference) {
                return vec![self.clone()];
            }
        }
        if records.len() <= 1 {
            return vec![self.clone()];
        }
        let of = |record: &&str| Closing {
            resources: self.resources.iter().filter(|reference| record_of(reference) == *record).cloned().collect(),
            owners: Vec::new(),
            ..self.clone()
        };
        records.iter().map(of).collect()
    }

    fn for_each_patient(&self) -> Vec<Closing> {
        let told = |patient: &String| Closing {
            resources: self.resources.iter().filter(|reference| self.may_be_of(reference, patient)).cloned().collect(),
            patients: vec![patient.clone()],
            consents: self.consents.iter().filter(|reference| self.may_be_of(reference, patient)).cloned().collect(),
            withheld: Vec::new(),
            reasons: Vec::new(),
            owners: Vec::new(),
            recipient: self.recipient.clone(),
            purpose: self.purpose,
            description: self.description.clone(),
        };
        self.patients.iter().map(told).collect()
    }

    /// Where something was told it is not said of whom else what was not told is; where nothing was, each patient's record names theirs.
    fn for_each_withheld(&self, withheld: Vec<String>, names_theirs: bool) -> Vec<Closing> {
        let theirs =
            |patient: &String| self.resources.iter().filter(|reference| names_theirs && self.is_of(reference, patient)).cloned().collect();
        let untold = |patient: String| Closing {
            resources: theirs(&patient),
            withheld: vec![patient],
            reasons: self.reasons.clone(),
            recipient: self.recipient.clone(),
            purpose: self.purpose,
            description: self.description.clone(),
            ..Closing::default()
        };
        withheld.into_iter().map(untold).collect()
    }

    fn may_be_of(&self, reference: &str, patient: &str) -> bool {
        let mut owners = self.owners.iter().filter(|(owned, _)| owned == reference).map(|(_, owners)| owners).peekable();
        owners.peek().is_none() || owners.any(|owners| owners.is_empty() || owners.iter().any(|owner| owner == patient))
    }

    /// Whether it is known to be nobody's.
    fn is_nobodys(&self, reference: &str) -> bool {
        let mut owners = self.owners.iter().filter(|(owned, _)| owned == reference).peekable();
        owners.peek().is_some() && owners.all(|(_, owners)| owners.is_empty())
    }

    /// Whether it is known to be this patient's.
    fn is_of(&self, reference: &str, patient: &str) -> bool {
        self.owners.iter().any(|(owned, owners)| owned == reference && owners.iter().any(|owner| owner == patient))
    }

    /// With why something was withheld, where that is known of whom it is about.
    pub(super) fn explained(&self) -> Option<Closing> {
        let theirs = |(patient, aside): &'_ (String, Aside)| self.withheld.contains(patient).then(|| aside.clone());
        let reasons: Vec<Aside> = self.reasons.iter().filter_map(theirs).collect();
        (!reasons.is_empty()).then(|| self.clone().because(&reasons))
    }

    /// The same, with the reasons in its words, and the consents that said so.
    pub fn because<'a>(mut self, reasons: impl IntoIterator<Item = &'a Aside>) -> Closing {
        let mut said = Vec::new();
        for aside in reasons {
            if !said.contains(&aside.reason) {
                said.push(aside.reason);
            }
            self.consents.extend(aside.consent.clone().filter(|consent| !self.consents.contains(consent)));
        }
        self.description = Some(join(&said.join(", "), self.description.as_deref()));
        self
    }

    /// Names a consent that governed what was told of these patients.
    pub fn govern(&mut self, consent: String, patients: Vec<String>) {
        if !self.consents.contains(&consent) {
            self.consents.push(consent.clone());
        }
        self.owners.push((consent, patients));
    }

    /// The one record it is about, without its version; `None` when there are several, or none.
    pub fn only_record(&self) -> Option<String> {
        let mut records = self.resources.iter().map(|reference| record_of(reference));
        let first = records.next()?;
        records.all(|record| record == first).then(|| first.to_owned())
    }
}

/// A reference without the version it may name.
fn record_of(reference: &str) -> &str {
    reference.split_once("/_history").map_or(reference, |(record, _)| record)
}

pub(super) fn join(label: &str, more: Option<&str>) -> String {
    more.map_or_else(|| label.to_owned(), |more| format!("{label}: {more}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records of Practitioners, some in two versions, all of these owners.
    fn closing(count: usize, owners: &[&str]) -> Closing {
        let of = |number: usize| [format!("Practitioner/{number}/_history/1"), format!("Practitioner/{number}/_history/2")];
        let resources: Vec<String> = (0..count).flat_map(of).collect();
        let owners = resources.iter().map(|reference| (reference.clone(), owners.iter().map(ToString::to_string).collect())).collect();
        Closing { resources, owners, ..Closing::default() }
    }

    #[test]
    fn what_is_nobodys_is_told_apart_unless_it_is_a_crowd() {
        let apart = |closing: Closing| closing.apart().iter().map(|one| one.closing.resources.len()).collect::<Vec<_>>();
        assert_eq!(apart(closing(3, &[])), [2, 2, 2]);
        assert_eq!(closing(3, &[]).apart()[1].closing.only_record().as_deref(), Some("Practitioner/1"));
        assert_eq!(apart(closing(MAX_APART, &[])).len(), MAX_APART);
        for together in [closing(0, &[]), closing(1, &[]), closing(MAX_APART + 1, &[]), closing(2, &["p"])] {
            assert_eq!(together.clone().apart().len(), 1, "{together:?}");
        }
        // Of whose they are nothing is known, or they are what is noted of others.
        assert_eq!(Closing { owners: Vec::new(), ..closing(2, &[]) }.apart().len(), 1);
        let mut noted = closing(2, &[]);
        noted.resources.iter_mut().chain(noted.owners.iter_mut().map(|(owned, _)| owned)).for_each(|reference| {
            *reference = reference.replace("Practitioner", "AuditEvent");
        });
        assert_eq!(noted.apart().len(), 1);
    }

    /// How many records there are of an act that whoever asked may know of, and how many others.
    #[test]
    fn what_was_withheld_adds_nothing_that_can_be_counted() {
        let names = |count: usize, prefix: &str| (0..count).map(|number| format!("{prefix}{number}")).collect::<Vec<String>>();
        for (patients, of_nobody, seen) in [(0, 0, 1), (1, 0, 1), (3, 0, 3), (0, 3, 3), (2, 1, 2)] {
            for withheld in [0, 1, 2, 50] {
                let told = Closing { patients: names(patients, "p"), withheld: names(withheld, "w"), ..closing(of_nobody, &[]) };
                let apart = told.apart();
                let counted = apart.iter().filter(|one| !one.is_unseen).count();
                assert_eq!(counted, seen, "{patients} {of_nobody} {withheld}");
                let of_withheld = apart.iter().filter(|one| !one.closing.withheld.is_empty()).count();
                assert_eq!(of_withheld, withheld, "each has one: {patients} {of_nobody} {withheld}");
            }
        }
    }
}
