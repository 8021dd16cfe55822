//! Who takes part: clients, sources, holders and destinations, looked up by name and by what applies.
//!
//! In scope: lookups over checked settings. Out of scope: proving who somebody is (`identity`), and what they may see (`consent`).
//! Invariants: built once from [`Settings`], never changed; lookups by name cost the same however many parties there are.

#[cfg(test)]
mod tests;

pub use crate::config::{
    Auth, Client, DataKind, Destination, Holder, Identifier, OWN_STORE, OnError, Organisation, PatientSelector, Patients, Purpose, Retry,
    Role, Source, SourceValidate,
};
use crate::config::{Scopes, Settings};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The client and the source that exist besides the configured ones while `--dev` is on.
pub const DEV_NAME: &str = "dev";

/// Every party the settings name.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    clients: HashMap<String, Client>,
    sources: BTreeMap<String, Source>,
    holders: Vec<Holder>,
    destinations: Vec<Destination>,
    person_systems: BTreeSet<String>,
}

/// The patient a resource is about, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub struct PatientFacts<'a> {
    /// `Patient/…` in the gateway's ids.
    pub reference: &'a str,
    pub identifiers: &'a [Identifier],
}

impl Registry {
    /// The parties of checked settings.
    ///
    /// `canonical` gives the name under which the gateway keeps an identifier system. Identifiers of organisations and patients are kept so too:
    /// what is compared with them has been through normalisation.
    pub fn new(settings: &Settings, canonical: impl Fn(&str) -> String) -> Registry {
        let declared = settings.identity.person_identifier_systems.iter();
        let by_holders = settings.holders.iter().flat_map(|holder| &holder.identifier_systems);
        let known = identifiers_by_reference(settings);
        let organisation = |organisation: &Organisation| {
            let by_reference = organisation.reference.as_ref().and_then(|reference| known.get(reference).copied().flatten());
            let identifier = organisation.identifier.as_ref().or(by_reference);
            let identifier = identifier.map(|own| Identifier { system: canonical(&own.system), value: own.value.clone() });
            Organisation { identifier, ..organisation.clone() }
        };
        let person = |person: &Identifier| Identifier { system: canonical(&person.system), value: person.value.clone() };
        let client = |client: &Client| Client {
            organisation: organisation(&client.organisation),
            acts_for: client.acts_for.as_ref().map(|patients| canonical_patients(patients, &canonical)),
            person: client.person.as_ref().map(person),
            ..client.clone()
        };
        let source = |source: &Source| Source { organisation: organisation(&source.organisation), ..source.clone() };
        let holder = |holder: &Holder| Holder { organisation: organisation(&holder.organisation), ..holder.clone() };
        let destination = |destination: &Destination| Destination {
            organisation: organisation(&destination.organisation),
            patients: canonical_patients(&destination.patients, &canonical),
            ..destination.clone()
        };
        let mut registry = Registry {
            clients: settings.clients.iter().map(|one| (one.id.clone(), client(one))).collect(),
            sources: settings.sources.iter().map(|(name, one)| (name.clone(), source(one))).collect(),
            holders: settings.holders.iter().map(holder).collect(),
            destinations: settings.destinations.iter().map(destination).collect(),
            person_systems: declared.chain(by_holders).map(|system| canonical(system)).collect(),
        };
        if settings.dev {
            registry.clients.entry(DEV_NAME.to_owned()).or_insert_with(dev_client);
            registry.sources.entry(DEV_NAME.to_owned()).or_insert_with(dev_source);
        }
        registry
    }

    /// The client with an OAuth client id.
    pub fn client(&self, id: &str) -> Option<&Client> {
        self.clients.get(id)
    }

    /// Every client, in no order.
    pub fn clients(&self) -> impl Iterator<Item = &Client> {
        self.clients.values()
    }

    /// The source of a name.
    pub fn source(&self, name: &str) -> Option<&Source> {
        self.sources.get(name)
    }

    /// Every source with its name, in order of names.
    pub fn sources(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.sources.iter().map(|(name, source)| (name.as_str(), source))
    }

    /// The names of the sources that are an organisation's own.
    pub fn sources_of(&self, organisation: &Organisation) -> impl Iterator<Item = &str> {
        let asker = organisation.key();
        let is_own = move |source: &Source| !asker.is_empty() && source.organisation.key() == asker;
        self.sources().filter(move |(_, source)| is_own(source)).map(|(name, _)| name)
    }

    /// The systems of identifiers by which the organisations are registered that send.
    pub fn registers(&self) -> impl Iterator<Item = &str> {
        self.sources.values().filter_map(|source| Some(source.organisation.identifier.as_ref()?.system.as_str()))
    }

    /// The systems that queries are forwarded to, as the file lists them. The gateway's own store is not among them.
    pub fn holders(&self) -> &[Holder] {
        &self.holders
    }

    /// The holder of a name.
    pub fn holder(&self, name: &str) -> Option<&Holder> {
        self.holders.iter().find(|holder| holder.name == name)
    }

    /// The organisation behind the name of a holder or a source.
    pub fn organisation_of(&self, name: &str) -> Option<&Organisation> {
        self.holder(name).map(|holder| &holder.organisation).or_else(|| self.source(name).map(|source| &source.organisation))
    }

    /// The source as which a holder's answers are read: the one it names, else the one of its own name.
    pub fn source_of_holder<'a>(&'a self, holder: &'a Holder) -> Option<(&'a str, &'a Source)> {
        let name = holder.source.as_deref().unwrap_or(&holder.name);
        self.source(name).map(|source| (name, source))
    }

    /// The holder whose answers are read as this source's.
    pub fn holder_of_source(&self, source: &str) -> Option<&Holder> {
        self.holders.iter().find(|holder| self.source_of_holder(holder).is_some_and(|(name, _)| name == source))
    }

    /// Every destination, as the file lists them.
    pub fn destinations(&self) -> &[Destination] {
        &self.destinations
    }

    /// The destination of a name.
    pub fn destination(&self, name: &str) -> Option<&Destination> {
        self.destinations.iter().find(|destination| destination.name == name)
    }

    /// The destinations that want a resource of this type about this patient. One that lists patients gets nothing that is about none.
    pub fn destinations_for<'a>(
        &'a self,
        type_name: &'a str,
        patient: Option<PatientFacts<'a>>,
    ) -> impl Iterator<Item = &'a Destination> + 'a {
        self.destinations.iter().filter(move |destination| {
            let wants_type = destination.types.iter().any(|wanted| wanted == "*" || wanted == type_name);
            wants_type && includes(&destination.patients, patient)
        })
    }

    /// Whether one value of an identifier system is one person, so that records may be matched by it.
    pub fn is_person_system(&self, system: &str) -> bool {
        self.person_systems.contains(system)
    }
}

/// The patients of a destination, with identifier systems as the gateway keeps them.
fn canonical_patients(patients: &Patients, canonical: impl Fn(&str) -> String) -> Patients {
    let selector = |selector: &PatientSelector| match selector {
        PatientSelector::Identifier(own) => {
            PatientSelector::Identifier(Identifier { system: canonical(&own.system), value: own.value.clone() })
        }
        reference => reference.clone(),
    };
    match patients {
        Patients::All => Patients::All,
        Patients::Listed(selectors) => Patients::Listed(selectors.iter().map(selector).collect()),
    }
}

/// A client without keys: it can be given development tokens, and nothing else proves it.
fn dev_client() -> Client {
    Client {
        id: DEV_NAME.to_owned(),
        organisation: dev_organisation(),
        jwks_file: None,
        jwks_url: None,
        scopes: Scopes::every(),
        purposes: vec![Purpose::TREATMENT],
        source: Some(DEV_NAME.to_owned()),
        roles: Vec::new(),
        data: DataKind::Identified,
        files_consent: true,
        acts_for: None,
        person: None,
    }
}

fn dev_source() -> Source {
    Source {
        organisation: dev_organisation(),
        base_urls: Vec::new(),
        on_error: None,
        default_identifier_system: None,
        time_zone: None,
        sign_off: None,
        normalise: toml::Table::new(),
        validate: SourceValidate::default(),
    }
}

fn dev_organisation() -> Organisation {
    Organisation { reference: Some(format!("Organization/{DEV_NAME}")), identifier: None, name: None }
}

/// The identifiers of organisations that go by a reference, wherever the file says them: it is one organisation, and need not be said each time which. None
/// where it is said to be several.
fn identifiers_by_reference(settings: &Settings) -> BTreeMap<String, Option<&Identifier>> {
    let clients = settings.clients.iter().map(|client| &client.organisation);
    let sources = settings.sources.values().map(|source| &source.organisation);
    let holders = settings.holders.iter().map(|holder| &holder.organisation);
    let destinations = settings.destinations.iter().map(|destination| &destination.organisation);
    let mut known = BTreeMap::new();
    for organisation in clients.chain(sources).chain(holders).chain(destinations) {
        if let (Some(reference), Some(identifier)) = (&organisation.reference, &organisation.identifier) {
            let said = known.entry(reference.clone()).or_insert(Some(identifier));
            *said = said.filter(|said| *said == identifier);
        }
    }
    known
}

/// Whether a selection of patients includes this one. One that lists patients includes none that is not known.
pub fn includes(wanted: &Patients, patient: Option<PatientFacts<'_>>) -> bool {
    match (wanted, patient) {
        (Patients::All, _) => true,
        (Patients::Listed(_), None) => false,
        (Patients::Listed(selectors), Some(patient)) => selectors.iter().any(|selector| match selector {
            PatientSelector::Reference(reference) => reference == patient.reference,
            PatientSelector::Identifier(identifier) => patient.identifiers.contains(identifier),
        }),
    }
}
