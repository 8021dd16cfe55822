//! What operators do: look at the work lists, resolve items, give a source its ConceptMaps.

use super::Pipeline;
use crate::anchor::{LeafKind, OwnVersion};
use crate::audit::{self, Closing, Outcome};
use crate::fhir::{Node, json};
use crate::normalise::ConceptMaps;
use crate::outcome::{Failure, Fault, FaultKind, Finding, IssueType, Reason, Refusal};
use crate::store::{Assumption, Committed, StoredVersion, Unit, WorkRow};
use crate::worklist::{self, Kind, STATUS_DONE, STATUS_OPEN};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// The most mappings one ConceptMap may hold.
pub const MAX_MAPPINGS: usize = 50_000;
/// How often a decision is taken anew because another was faster.
const MAX_ATTEMPTS: usize = 10;

/// What came of loading a ConceptMap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedMap {
    /// `ConceptMap/hg-…/_history/1`.
    pub version: String,
    /// How many of its mappings can be used.
    pub usable: usize,
    /// How many items of the work list it settles.
    pub settled: usize,
}

impl Pipeline {
    /// The work list with the Task of each item, what was met most often first.
    pub async fn work_list(&self, source: Option<String>, kind: Option<String>, limit: usize) -> Result<Vec<(WorkRow, Node)>, Fault> {
        self.store
            .read(move |reader| {
                let rows = reader.work(source.as_deref(), kind.as_deref(), limit)?;
                let with_task = rows.into_iter().map(|row| Ok(reader.current("Task", &row.task)?.map(|task| (row, task))));
                let found: Vec<(WorkRow, StoredVersion)> = with_task.filter_map(Result::transpose).collect::<Result<_, Fault>>()?;
                found.into_iter().map(|(row, task)| Ok((row, task.parse()?))).collect()
            })
            .await
    }

    /// Resolves an item: its Task gets a status and a note, as a new version with leaf and Provenance.
    pub async fn resolve(&self, task: &str, status: &str, note: &str, opened: &audit::Opened) -> Result<(), Failure> {
        for _ in 0..MAX_ATTEMPTS {
            let Some(current) = self.own("Task", task).await? else {
                let refusal = Refusal::new(Reason::NotFound, IssueType::NotFound, "No item of the work list has this id.");
                self.record_refusal(opened, &refusal).await?;
                return Err(refusal.into());
            };
            let (version, at) = (current.version + 1, self.clock.now());
            let resource = worklist::resolved(current.parse()?, status, note, version, at);
            if self.commit_own("Task", task, Some(current), resource, (note, Vec::new()), opened).await?.is_some() {
                return Ok(());
            }
        }
        Err(Fault::new(FaultKind::Overloaded, "an item kept being changed by others").into())
    }

    /// Gives a source a ConceptMap. One of the same `url` is replaced; any other is added. It takes effect when the rules are read again.
    pub async fn load_map(&self, source: &str, map: Node, opened: &audit::Opened) -> Result<LoadedMap, Failure> {
        let mut maps = ConceptMaps::default();
        let usable = match self.examine_map(source, &map, &mut maps) {
            Ok(usable) => usable,
            Err(refusal) => {
                self.record_refusal(opened, &refusal).await?;
                return Err(refusal.into());
            }
        };
        let name = map.text("url").map_or_else(|| HEXLOWER.encode(&Sha256::digest(json::write_canonical(&map))), str::to_owned);
        let id = self.ids.id(audit::SOURCE, "ConceptMap", &format!("{source}|{name}"));
        for _ in 0..MAX_ATTEMPTS {
            let current = self.own("ConceptMap", &id).await?;
            let sources = vec![(source.to_owned(), id.clone())];
            let note = "Given by an operator.";
            if let Some(version) = self.commit_own("ConceptMap", &id, current, map.clone(), (note, sources), opened).await? {
                let settled = self.settle_mapped(source, &maps, &version, opened).await?;
                return Ok(LoadedMap { version, usable, settled });
            }
        }
        Err(Fault::new(FaultKind::Overloaded, "a ConceptMap kept being changed by others").into())
    }

    fn examine_map(&self, source: &str, map: &Node, maps: &mut ConceptMaps) -> Result<usize, Refusal> {
        let refuse = |text: String| Refusal::new(Reason::Invalid, IssueType::Invalid, text);
        if !self.rules.contains_key(source) {
            return Err(Refusal::new(Reason::NotFound, IssueType::NotFound, "No source of this name is configured."));
        }
        if map.resource_type() != Some("ConceptMap") {
            return Err(refuse("A ConceptMap is expected.".to_owned()));
        }
        let mappings: usize = map.items("group").iter().map(|group| group.items("element").len()).sum();
        if mappings > MAX_MAPPINGS {
            let text = format!("The ConceptMap has more than {MAX_MAPPINGS} elements.");
            return Err(Refusal::new(Reason::TooLarge, IssueType::TooLong, text));
        }
        let findings = crate::validate::check(self.definitions, map, &crate::validate::Options::default());
        if findings.iter().any(Finding::is_error) {
            return Err(Refusal::of(Reason::Invalid, findings));
        }
        match maps.add(map) {
            0 => Err(refuse("No element has exactly one target that is equal or equivalent: nothing of this map can be used.".to_owned())),
            usable => Ok(usable),
        }
    }

    /// Resolves the open items whose code now has an equivalent.
    async fn settle_mapped(&self, source: &str, maps: &ConceptMaps, version: &str, opened: &audit::Opened) -> Result<usize, Failure> {
        let kind = Kind::UnmappedCode.label().to_owned();
        let listed = self.work_list(Some(source.to_owned()), Some(kind), crate::store::MAX_WORK).await?;
        let mut settled = 0;
        for (row, task) in listed {
            let input = |name: &str| input(&task, name);
            let is_mapped = input("system").zip(input("code")).is_some_and(|(system, code)| maps.get(system, code).is_some());
            if is_mapped && task.text("status") == Some(STATUS_OPEN) {
                self.resolve(&row.task, STATUS_DONE, &format!("Mapped by {version}."), opened).await?;
                settled += 1;
            }
        }
        Ok(settled)
    }

    /// What the gateway itself wrote under an id.
    async fn own(&self, type_name: &str, id: &str) -> Result<Option<StoredVersion>, Fault> {
        let (type_name, id) = (type_name.to_owned(), id.to_owned());
        let stored = self.store.read(move |reader| reader.current(&type_name, &id)).await?;
        Ok(stored.filter(|version| version.source == audit::SOURCE && !version.deleted()))
    }

    /// Commits a version of the gateway's own; answers its reference, or `None` when another was faster.
    async fn commit_own(
        &self,
        type_name: &str,
        id: &str,
        previous: Option<StoredVersion>,
        resource: Node,
        (reason, source_maps): (&str, Vec<(String, String)>),
        opened: &audit::Opened,
    ) -> Result<Option<String>, Fault> {
        let version = previous.as_ref().map_or(1, |previous| previous.version + 1);
        let (type_owned, id_owned) = (type_name.to_owned(), id.to_owned());
        let assumption = match &previous {
            Some(previous) => Assumption::Version { type_name: type_owned, id: id_owned, version: previous.version },
            None => Assumption::Absent { type_name: type_owned, id: id_owned },
        };
        let at = self.clock.now();
        let own = OwnVersion { type_name, id, previous, resource: Some(resource), patients: &[], reason, source: audit::SOURCE, at };
        let (versions, leaves) = self.anchor.own_version(own, 0)?;
        let reference = format!("{type_name}/{id}/_history/{version}");
        let closing = Closing { resources: vec![reference.clone()], description: Some(reason.to_owned()), ..Closing::default() };
        let unit = Unit { assumptions: vec![assumption], versions, leaves, source_maps, ..Unit::default() };
        let done = self.record_with(unit, opened, &Outcome::Success, LeafKind::Audit, &closing).await?;
        Ok(matches!(done, Committed::Done { .. }).then_some(reference))
    }
}

/// A named text of a Task.
pub fn input<'t>(task: &'t Node, name: &str) -> Option<&'t str> {
    let is_named = |input: &&Node| {
        let coding = input.get("type").map(|kind| kind.items("coding")).and_then(<[Node]>::first);
        coding.and_then(|coding| coding.text("code")) == Some(name)
    };
    task.items("input").iter().find(is_named)?.text("valueString")
}
