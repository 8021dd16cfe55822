//! From a record to the settings in which it took place, and on to those behind them.

use super::{Beside, Candidate, SETTING_STEPS, name_of, named, own_labels, said_by, said_of_setting};
use crate::consent::{Concept, Labeller, Reference, bears, definitions_of, labels_of_inner_settings, named_settings};
use crate::fhir::Node;
use std::borrow::Cow;
use std::collections::HashSet;

impl Beside {
    /// What the settings tell in which something took place. By an identifier alone no record of other patients is named, whoever filed it.
    pub fn labels(&self, resource: &Node, labeller: &Labeller, is_of_theirs: &dyn Fn(&Node) -> bool) -> Vec<Concept> {
        let mut labels = labels_of_inner_settings(resource, labeller);
        let mut walk = Walk::from(resource);
        for _ in 0..SETTING_STEPS {
            self.step(&mut walk, is_of_theirs);
            for label in walk.settings.iter().flat_map(|setting| self.labels_by_itself(setting, labeller)) {
                if !labels.contains(&label) {
                    labels.push(label);
                }
            }
        }
        labels
    }

    /// What a setting tells, whatever is behind it.
    pub(super) fn labels_by_itself(&self, setting: &Node, labeller: &Labeller) -> Vec<Concept> {
        let known = super::super::reference(setting).and_then(|literal| self.own_labels.get(&literal).cloned());
        known.unwrap_or_else(|| own_labels(setting, labeller))
    }

    /// Whether it could not be learnt of some setting in which something took place what it is, or there are more than were followed.
    pub fn is_unsettled(&self, resource: &Node, is_of_theirs: &dyn Fn(&Node) -> bool) -> bool {
        if self.unknown.is_empty() && self.records.is_empty() {
            return false;
        }
        let mut walk = Walk::from(resource);
        for _ in 0..=SETTING_STEPS {
            self.step(&mut walk, is_of_theirs);
            if walk.names.iter().any(|name| self.unknown.contains(name)) {
                return true;
            }
        }
        !walk.settings.is_empty()
    }

    /// The stored records on the way from a resource to the settings behind it that name what is not here, each with the names of that; the resource
    /// itself is none of them.
    pub fn lacking_behind(&self, resource: &Node, is_of_theirs: &dyn Fn(&Node) -> bool) -> Vec<(&Candidate, Vec<String>)> {
        let mut walk = Walk::from(resource);
        for _ in 0..SETTING_STEPS {
            self.step(&mut walk, is_of_theirs);
        }
        let mut reached: Vec<&String> = walk.seen.iter().collect();
        reached.sort_unstable();
        reached.into_iter().filter_map(|name| self.lacking(name)).collect()
    }

    /// A stored record, where it names as a setting what is not here and may be asked for elsewhere, with the names of that.
    pub fn lacking(&self, name: &str) -> Option<(&Candidate, Vec<String>)> {
        let carrier = self.records.get(name).filter(|carrier| carrier.elsewhere.is_none())?;
        let names = self.names_of_settings(&carrier.resource).into_iter();
        let absent: Vec<String> = names.filter(|name| named::is_literal(name) && self.absent.contains(name)).collect();
        (!absent.is_empty()).then_some((carrier, absent))
    }

    /// Goes on to the settings that those reached last name, as far as they are at hand and were not reached before.
    fn step<'b>(&'b self, walk: &mut Walk<'b>, is_of_theirs: &dyn Fn(&Node) -> bool) {
        let Walk { seen, names, settings } = walk;
        let named: Vec<String> = settings.iter().flat_map(|node| self.names_of_settings(node)).collect();
        *names = named.into_iter().filter(|name| seen.insert(name.clone())).collect();
        let record = |literal: &String| self.records.get(literal).map(|candidate| &candidate.resource);
        let meant = names.iter().flat_map(|name| self.may_be_meant_by(name)).filter_map(|literal| Some((literal, record(literal)?)));
        let theirs = meant.filter(|(literal, setting)| is_of_theirs(setting) && seen.insert((*literal).clone()));
        *settings = names.iter().filter_map(record).chain(theirs.map(|(_, setting)| setting)).collect();
    }

    /// What the settings of a resource are named by. Where one is at hand that bears the identifier beside its reference, no other is meant by that.
    fn names_of_settings(&self, resource: &Node) -> Vec<String> {
        let is_bundle = resource.resource_type() == Some("Bundle");
        let names = named_settings(resource).flat_map(|named| {
            let literal = named.literal.as_ref().and_then(name_of);
            let is_told = |logical: &Reference| literal.as_ref().is_some_and(|literal| self.is_borne_by(literal, logical));
            let logical = named.logical.as_ref().filter(|logical| !is_told(logical)).and_then(name_of);
            let said = named.literal.as_ref().filter(|_| is_bundle).map(|literal| said_of_setting(resource, literal.as_str()));
            [literal, logical, said]
        });
        let by_url = |(type_name, url): (&str, Cow<'_, str>)| [named::by_url((type_name, &url)), said_by(resource, (type_name, &url))];
        names.flatten().chain(definitions_of(resource).flat_map(by_url)).collect()
    }

    fn is_borne_by(&self, literal: &String, logical: &Reference) -> bool {
        let record = self.records.get(literal);
        self.meant_by(logical.as_str()).contains(literal) || record.is_some_and(|candidate| bears(&candidate.resource, logical))
    }
}

/// A walk from a resource to the settings behind it, each reached once.
struct Walk<'b> {
    seen: HashSet<String>,
    /// The names that the last step followed.
    names: Vec<String>,
    /// What it reached.
    settings: Vec<&'b Node>,
}

impl<'b> Walk<'b> {
    fn from(resource: &'b Node) -> Walk<'b> {
        Walk { seen: HashSet::new(), names: Vec::new(), settings: vec![resource] }
    }
}
