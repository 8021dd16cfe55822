//! What the operator says happens where no consent applies, for this recipient and this patient.

use super::represent::places_of;
use crate::config::{Consent, ConsentDefault, ImplicitRule};
use crate::consent::{BySensitivity, ImplicitPolicy};
use crate::fhir::Node;

/// What holds for everything, and for single sensitivities. The rules that say the most about recipient and patient replace those that say less,
/// and the default; of several that say as much the strictest holds. A patient with addresses in several places is held to the strictest.
pub(crate) fn implicit_policies(settings: &Consent, partner: &[String], patient: Option<&Node>) -> (ImplicitPolicy, BySensitivity) {
    let mut places = patient.map(places_of).unwrap_or_default();
    if places.is_empty() {
        // Who lives nowhere in particular is met by the rules that name no place.
        places.push(Vec::new());
    }
    let at = |place: &Vec<String>| strictest(settings, partner, place, |rule| rule.sensitivities.is_empty());
    let general = places.iter().map(|place| at(place).unwrap_or(policy(settings.default))).min();
    let mut by_sensitivity = BySensitivity::default();
    for code in settings.implicit.iter().flat_map(|rule| &rule.sensitivities) {
        let at = |place: &Vec<String>| strictest(settings, partner, place, |rule| rule.sensitivities.contains(code));
        let held: Vec<Option<ImplicitPolicy>> = places.iter().map(at).collect();
        // Where one of the places says nothing of it, the sensitivity is closed there as ever.
        if let Some(held) = held.iter().copied().min().flatten() {
            by_sensitivity.set(code, held);
        }
    }
    (general.unwrap_or_default(), by_sensitivity)
}

/// The strictest of those rules of a kind that are met and say the most.
fn strictest(settings: &Consent, partner: &[String], place: &[String], is_kind: impl Fn(&ImplicitRule) -> bool) -> Option<ImplicitPolicy> {
    let weights = settings.implicit.iter().filter(|rule| is_kind(rule)).filter_map(|rule| Some((weight(rule, partner, place)?, rule)));
    let weighed: Vec<((bool, usize), &ImplicitRule)> = weights.collect();
    let most = weighed.iter().map(|(weight, _)| *weight).max()?;
    weighed.iter().filter(|(weight, _)| *weight == most).map(|(_, rule)| policy(rule.policy)).min()
}

/// How much a rule says that is met, the partner before the place; `None` where something it says is not.
fn weight(rule: &ImplicitRule, partner: &[String], place: &[String]) -> Option<(bool, usize)> {
    let by_partner = rule.partners.iter().any(|name| partner.contains(name));
    // A state says more than its country.
    let by_place = place.iter().position(|name| rule.jurisdictions.contains(name)).map(|at| place.len() - at);
    let is_met = (rule.partners.is_empty() || by_partner) && (rule.jurisdictions.is_empty() || by_place.is_some());
    is_met.then(|| (by_partner, by_place.unwrap_or(0)))
}

fn policy(stated: ConsentDefault) -> ImplicitPolicy {
    match stated {
        ConsentDefault::Deny => ImplicitPolicy::Deny,
        ConsentDefault::BreakGlassOnly => ImplicitPolicy::BreakGlassOnly,
        ConsentDefault::BasicNormal => ImplicitPolicy::BasicNormal,
        ConsentDefault::AllNormal => ImplicitPolicy::AllNormal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json::parse;

    fn settings(rules: &[(ConsentDefault, &str, &str, &str)]) -> Consent {
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let rule = |(policy, partners, jurisdictions, sensitivities): &(ConsentDefault, &str, &str, &str)| ImplicitRule {
            policy: *policy,
            partners: list(partners),
            jurisdictions: list(jurisdictions),
            sensitivities: list(sensitivities),
        };
        Consent { implicit: rules.iter().map(rule).collect(), ..Consent::default() }
    }

    #[test]
    fn the_rule_that_says_the_most_holds_and_the_strictest_of_several() {
        use ConsentDefault::{AllNormal, BasicNormal, BreakGlassOnly, Deny};
        let rules = [
            (BasicNormal, "", "US", ""),
            (BreakGlassOnly, "", "US-TX", ""),
            (AllNormal, "urn:x|quay", "", ""),
            (Deny, "urn:x|quay Organization/mill", "US-TX", ""),
            (BasicNormal, "", "US-TX", "HIV"),
            (Deny, "Organization/mill", "", "HIV"),
        ];
        let check = |partner: &str, places: &[&str], expected: ConsentDefault, hiv: Option<ConsentDefault>| {
            let addresses: Vec<String> = places
                .iter()
                .map(|place| match place.split_once('-') {
                    Some((country, state)) => format!(r#"{{"country":"{country}","state":"{state}"}}"#),
                    None => format!(r#"{{"country":"{place}"}}"#),
                })
                .collect();
            let patient = format!(r#"{{"resourceType":"Patient","address":[{}]}}"#, addresses.join(","));
            let patient = parse(patient.as_bytes(), 8).unwrap();
            let mut by_sensitivity = BySensitivity::default();
            hiv.into_iter().for_each(|held| by_sensitivity.set("HIV", policy(held)));
            let found = implicit_policies(&settings(&rules), &[partner.to_owned()], Some(&patient));
            assert_eq!(found, (policy(expected), by_sensitivity), "{partner} {places:?}");
        };
        check("Organization/other", &[], BreakGlassOnly, None);
        check("Organization/other", &["US"], BasicNormal, None);
        check("Organization/other", &["US-NY"], BasicNormal, None);
        check("Organization/other", &["US-TX"], BreakGlassOnly, Some(BasicNormal));
        check("Organization/other", &["US-NY", "US-TX"], BreakGlassOnly, None);
        check("urn:x|quay", &["US-NY"], AllNormal, None);
        check("urn:x|quay", &["US-TX"], Deny, Some(BasicNormal));
        check("Organization/mill", &["US-NY"], BasicNormal, Some(Deny));
        check("Organization/mill", &["US-TX"], Deny, Some(Deny));
    }
}
