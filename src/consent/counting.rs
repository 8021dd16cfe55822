//! What to tell whoever files a consent that will not count, or not now, for another reason than what its rules say.

use super::directory::Directory;
use super::policy::Policy;
use super::rules::{Consent, Rules, Standing, Window};
use crate::clock::Instant;
use crate::fhir::Node;
use crate::outcome::{Finding, IssueType, Severity};

/// Compiles one consent as a decision would, with the records of whom it is about, and says what keeps it from counting now. What `lint` tells by
/// looking at it alone is not told again.
pub fn will_not_count(consent: &Node, directory: &Directory, policy: Policy, now: Instant) -> Vec<Finding> {
    let rules = Rules::compile(std::slice::from_ref(consent), directory, policy);
    let told = match &*rules.consents {
        [compiled] => reasons(compiled, now),
        _ if matches!(consent.text("status"), Some("active" | "inactive" | "rejected")) => vec![ELSEWHERE],
        _ => Vec::new(),
    };
    told.into_iter().map(Reason::told).collect()
}

struct Reason {
    code: IssueType,
    message_id: &'static str,
    path: &'static str,
    text: &'static str,
}

impl Reason {
    const fn new(code: IssueType, message_id: &'static str, path: &'static str, text: &'static str) -> Reason {
        Reason { code, message_id, path, text }
    }

    fn told(self) -> Finding {
        Finding::new(Severity::Warning, self.code, self.message_id, self.text).at(self.path)
    }
}

fn reasons(consent: &Consent, now: Instant) -> Vec<Reason> {
    let standing = match consent.standing {
        Standing::DenialsOnly("not-verified") => Some(NOT_VERIFIED),
        Standing::DenialsOnly("edition-unclear") => Some(OF_TWO_EDITIONS),
        _ => None,
    };
    let window = match consent.window {
        Window::Bounded(period) if period.is_after(now) => Some(NOT_BEGUN),
        Window::Bounded(period) if !period.contains(now) => Some(OVER),
        _ => None,
    };
    let is_to_come = consent.not_before.is_some_and(|earliest| earliest > now);
    let is_outgrown = consent.outgrown.is_some_and(|of_age| of_age <= now);
    let others =
        [(is_to_come, DATED_LATER), (is_outgrown, OUTGROWN), (consent.is_research, RESEARCH), (consent.is_for_emergencies, EMERGENCIES)];
    let others = others.into_iter().filter_map(|(is_so, reason)| is_so.then_some(reason));
    standing.into_iter().chain(window).chain(others).collect()
}

const ELSEWHERE: Reason = Reason::new(
    IssueType::BusinessRule,
    "consent-scope-elsewhere",
    "Consent.scope",
    "About treatment or an advance directive, which is no matter of who may see what: neither its permits nor its denials count here. For sharing \
     data the scope is 'patient-privacy'.",
);
const NOT_VERIFIED: Reason = Reason::new(
    IssueType::BusinessRule,
    "consent-not-verified",
    "Consent.verification",
    "The last word on it is that it was not verified: the denials count, the permits do not.",
);
const OF_TWO_EDITIONS: Reason = Reason::new(
    IssueType::BusinessRule,
    "consent-edition",
    "Consent.decision",
    "It says by the elements of two releases of FHIR which way it goes: the denials count, the permits do not.",
);
const NOT_BEGUN: Reason = Reason::new(
    IssueType::BusinessRule,
    "consent-not-begun",
    "Consent.provision.period",
    "Its validity has not begun: until then it neither permits nor denies anything.",
);
const OVER: Reason = Reason::new(
    IssueType::Expired,
    "consent-over",
    "Consent.provision.period",
    "Its validity is over: it permits nothing, and what it would not have shared is not opened by its end.",
);
const DATED_LATER: Reason = Reason::new(
    IssueType::BusinessRule,
    "consent-dated-later",
    "Consent.dateTime",
    "Dated later than now: it permits nothing before then. Its denials count at once.",
);
const OUTGROWN: Reason = Reason::new(
    IssueType::BusinessRule,
    "consent-outgrown",
    "Consent.performer",
    "Given by somebody else before the patient came of age, and the patient has come of age since or no day of birth is known here: the denials \
     count, the permits do not.",
);
const RESEARCH: Reason = Reason::new(
    IssueType::BusinessRule,
    "consent-research",
    "Consent.scope",
    "About research: it counts only for whoever asks for purposes of research alone.",
);
const EMERGENCIES: Reason = Reason::new(
    IssueType::BusinessRule,
    "consent-emergencies",
    "Consent.category",
    "It calls itself one for emergencies: what it permits for anything else is denied, flagged ambiguous.",
);
