//! What a rule contributed to a decision, in a sentence for people who may see it.

use super::criteria::Kind;
use super::decision::Step;
use super::matching::Match;

impl Step {
    /// The step in a sentence. It names the criterion and no data.
    pub fn sentence(&self) -> String {
        let criterion = self.hindrance.map_or("what it states", criterion);
        match self.matched {
            Match::Yes => "This rule applies.".to_owned(),
            Match::No => format!("This rule does not apply: {criterion} is not what is asked."),
            Match::Unknown => format!("It cannot be told whether this rule applies: {criterion} is not known."),
            Match::Deferred => format!("Whether this rule applies is decided for each resource, by {criterion}."),
        }
    }
}

fn criterion(kind: Kind) -> &'static str {
    match kind {
        Kind::Recipient => "the recipient",
        Kind::Purpose => "the purpose of use",
        Kind::Action => "the action",
        Kind::Period => "the time of asking",
        Kind::Custodian => "the holder of the data",
        Kind::Location => "the recipient's location",
        Kind::Class => "the kind of data",
        Kind::Document => "the kind of document",
        Kind::Label => "the security label",
        Kind::Code => "the code",
        Kind::DataPeriod => "the time the data is of",
        Kind::Data => "the record",
        Kind::Source => "whoever the record is by",
        Kind::Other => "something the gateway does not understand",
    }
}
