//! What is named by a record that is stored here, or by one that it leads to, and is not here: a system that sends some of its records may be asked for the others.
//!
//! A name is the gateway's. Under which id its holder has the record is known where it was shown before, or told by the bytes the record came in. Of
//! what no holder can be asked for nothing is known, and the record goes by what is here.

use super::settings::{Spelled, There, spelled};
use super::turning::Turning;
use super::{Candidate, QueryPath};
use crate::fhir::Node;
use crate::normalise::Links;
use crate::outcome::Fault;
use crate::store::Reader;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A record, and a stored one, itself or one that it leads to, that names what is not here.
struct Lead<'c> {
    candidate: &'c Candidate,
    carrier: &'c Candidate,
    names: Vec<String>,
    by: By,
}

/// By what a record leads to another.
enum By {
    /// It is the other.
    Itself,
    Settings,
    Doers,
}

/// What a stored record names that is not here, and what came in with it.
struct Sought {
    reference: Option<String>,
    version: Option<u32>,
    source: String,
    names: Vec<String>,
}

impl Sought {
    fn of(lead: &Lead<'_>) -> Sought {
        let Candidate { resource, source, version, .. } = lead.carrier;
        Sought { reference: super::reference(resource), version: *version, source: source.clone(), names: lead.names.clone() }
    }

    /// The number of the bytes that the record came in.
    fn raw(&self, reader: &Reader<'_>) -> Result<Option<i64>, Fault> {
        let named = self.reference.as_ref().and_then(|reference| reference.split_once('/')).zip(self.version);
        let Some(((type_name, id), version)) = named else { return Ok(None) };
        Ok(reader.version(type_name, id, version)?.and_then(|version| version.raw))
    }

    /// What holders are not known to have of it.
    fn rest<'s>(&'s self, known: &SpelledThere) -> Vec<&'s String> {
        let known: BTreeSet<&String> = known.values().flat_map(HashMap::keys).collect();
        self.names.iter().filter(|name| !known.contains(name)).collect()
    }
}

/// How holders spell what records name, by the holder.
type SpelledThere = HashMap<String, Spelled>;

impl QueryPath {
    /// What stored records name that is not here and lies at holders, where something turns on it: candidates, what these refer to, and what lies between
    /// them and where they took place. Each with the record that turns on it.
    pub(super) async fn there_of_stored<'j>(
        &self,
        turning: &mut Turning<'j>,
        candidates: &'j [Candidate],
    ) -> Result<Vec<(&'j Candidate, There)>, Fault> {
        if self.pipeline.registry.holders().is_empty() || !turning.judge().lacks_any() {
            return Ok(Vec::new());
        }
        let leads = leads(turning, candidates);
        let mut links_there: HashMap<(String, Vec<String>), Links> = HashMap::new();
        let mut found = Vec::new();
        for (lead, spelled_there) in self.spelled_there(leads).await? {
            let patients = crate::pipeline::patient_ids(&lead.candidate.resource);
            for (name, spelled) in spelled_there {
                let Some(holder) = self.pipeline.registry.holder(&name) else { continue };
                let key = (name.clone(), patients.clone());
                if !links_there.contains_key(&key) {
                    links_there.insert(key.clone(), self.links_to(holder, &patients).await?);
                }
                let links = links_there.get(&key).cloned().unwrap_or_default();
                let there = There::of(&lead.carrier.resource, &name, &spelled, &links).and_then(|there| there.of_known(&spelled));
                let there = there.and_then(|there| match lead.by {
                    By::Itself => Some(there),
                    By::Settings => there.of_settings(),
                    By::Doers => there.behind_doers(),
                });
                found.extend(there.map(|there| (lead.candidate, there)));
            }
        }
        Ok(found)
    }

    /// At which holders what is not here can be asked for, and how, for each record that leads to it.
    async fn spelled_there<'c>(&self, leads: Vec<Lead<'c>>) -> Result<Vec<(Lead<'c>, SpelledThere)>, Fault> {
        if leads.is_empty() {
            return Ok(Vec::new());
        }
        let path = self.clone();
        let sought: Vec<Sought> = leads.iter().map(Sought::of).collect();
        let reading = self.pipeline.store.read(move |reader| path.spelled_for(reader, &sought));
        Ok(leads.into_iter().zip(reading.await?).collect())
    }

    /// The same for what is sought, one after the other. What came in together is read again once, however much of it names what is not here.
    fn spelled_for(&self, reader: &Reader<'_>, sought: &[Sought]) -> Result<Vec<SpelledThere>, Fault> {
        let mut found = Vec::with_capacity(sought.len());
        let mut received: BTreeMap<(&str, i64), Vec<usize>> = BTreeMap::new();
        for (place, one) in sought.iter().enumerate() {
            let known = self.shown_before(reader, &one.names)?;
            if !one.rest(&known).is_empty()
                && self.pipeline.registry.holder_of_source(&one.source).is_some()
                && let Some(raw) = one.raw(reader)?
            {
                received.entry((&one.source, raw)).or_default().push(place);
            }
            found.push(known);
        }
        for ((source, raw), places) in received {
            let Some(holder) = self.pipeline.registry.holder_of_source(source) else { continue };
            let spelled = self.spelled_as_received(reader, source, raw)?;
            for place in places {
                let (Some(one), Some(known)) = (sought.get(place), found.get_mut(place)) else { continue };
                let rest = one.rest(known).into_iter();
                let meant: Spelled = rest.filter_map(|name| Some((name.clone(), spelled.get(name)?.clone()))).collect();
                if !meant.is_empty() {
                    known.entry(holder.name.clone()).or_default().extend(meant);
                }
            }
        }
        Ok(found)
    }

    /// The ids of what was shown to somebody once, by the holder that has it.
    fn shown_before(&self, reader: &Reader<'_>, names: &[String]) -> Result<SpelledThere, Fault> {
        let mut found = SpelledThere::new();
        for name in names {
            let Some((type_name, id)) = name.split_once('/') else { continue };
            let held = reader.elsewhere(type_name, id)?.into_iter().find(|(holder, _)| self.pipeline.registry.holder(holder).is_some());
            if let Some((holder, remote)) = held {
                found.entry(holder).or_default().insert(name.clone(), Some((type_name.to_owned(), remote)));
            }
        }
        Ok(found)
    }

    /// How what was received spells what it names.
    fn spelled_as_received(&self, reader: &Reader<'_>, source: &str, raw: i64) -> Result<Spelled, Fault> {
        let Some(document) = self.pipeline.received(reader, raw)? else { return Ok(Spelled::new()) };
        let inside = document.items("entry").iter().filter_map(|entry| entry.get("resource"));
        let ours = |type_name: &str, remote: &str| self.pipeline.ids.id(source, type_name, remote);
        Ok(inside.chain([&document]).flat_map(|resource: &Node| spelled(resource, ours)).collect())
    }
}

/// The ways from candidates, and from what these refer to, to what is not here, as far as something turns on it.
fn leads<'j>(turning: &mut Turning<'j>, candidates: &'j [Candidate]) -> Vec<Lead<'j>> {
    let judge = turning.judge();
    let mut leads = Vec::new();
    for candidate in candidates {
        leads.extend(own_lead(turning, candidate, Some));
        let behind = judge.lacking_behind(candidate);
        if !behind.is_empty() && turning.on_setting(candidate) {
            leads.extend(behind.into_iter().map(|lacking| lead(candidate, lacking, By::Settings)));
        }
        let behind = judge.lacking_behind_doers(candidate);
        if !behind.is_empty() && turning.on_doers(candidate) {
            leads.extend(behind.into_iter().map(|lacking| lead(candidate, lacking, By::Doers)));
        }
    }
    // Whoever did something in what is only referred to is not named by that.
    for referred in judge.referred_to() {
        let behind = judge.lacking_behind(referred);
        let own = own_lead(turning, referred, There::of_settings);
        let turns = !behind.is_empty() && (own.is_some() || turning.on_setting(referred));
        leads.extend(own);
        if turns {
            leads.extend(behind.into_iter().map(|lacking| lead(referred, lacking, By::Settings)));
        }
    }
    leads
}

fn lead<'j>(candidate: &'j Candidate, (carrier, names): (&'j Candidate, Vec<String>), by: By) -> Lead<'j> {
    Lead { candidate, carrier, names, by }
}

/// What a stored record itself names that is not here.
fn own_lead<'j>(turning: &mut Turning<'j>, candidate: &'j Candidate, part: impl FnOnce(There) -> Option<There>) -> Option<Lead<'j>> {
    let stored = Some(candidate).filter(|candidate| candidate.elsewhere.is_none())?;
    let there = There::of(&stored.resource, &stored.source, &Spelled::new(), &Links::new()).and_then(part)?;
    let names = there.not_here(turning, stored);
    (!names.is_empty()).then_some(Lead { candidate, carrier: candidate, names, by: By::Itself })
}
