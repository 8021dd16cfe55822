//! Searches behind a search: chains and `_has` before it, `_include` and `_revinclude` after it. Each is put to consent like any other, so
//! that what the caller may not see selects nothing and comes along with nothing.

use super::{Candidate, QueryPath, may};
use crate::config::Interaction as Permission;
use crate::consent::Permitted;
use crate::fhir::Node;
use crate::identity::Caller;
use crate::outcome::{Failure, IssueType, Reason, Refusal};
use crate::search::{Include, Query};
use std::collections::HashSet;
use std::sync::Arc;

/// The most resources one link may lead through; only those that the caller may see count.
const MAX_LINKED: usize = 5_000;
/// The most resources that come along with one page.
const MAX_INCLUDED: usize = 2_000;
/// The most resources looked at to find them.
const MAX_INCLUDE_LOOKUPS: usize = 20_000;
/// How often an include that iterates is applied again.
const MAX_ITERATIONS: usize = 4;

/// What came along with a page.
#[derive(Default)]
pub(super) struct Along {
    pub resources: Vec<Permitted>,
    /// Whether there would have been more that the caller may see.
    pub is_cut: bool,
}

/// What includes bring along before consent is asked.
struct Brought {
    /// What the resources on the page name.
    named: HashSet<(String, String)>,
    /// The searches that found what refers to them.
    referring: Vec<Arc<Query>>,
    candidates: Vec<Candidate>,
}

impl Brought {
    /// Those that still come along as they would be shown: what was taken out of a resource must not bring it.
    fn seen(&self, permitted: Vec<Permitted>) -> impl Iterator<Item = Permitted> {
        let refers = |resource: &Node| self.referring.iter().any(|query| query.matches(resource));
        let is_named = |resource: &Node| identity(resource).is_some_and(|identity| self.named.contains(&identity));
        permitted.into_iter().filter(move |permitted| is_named(permitted.resource()) || refers(permitted.resource()))
    }
}

impl QueryPath {
    /// The query with its links searched, as far as the caller may see what they lead through.
    pub(super) async fn joined(&self, caller: &Caller, query: Query) -> Result<Query, Failure> {
        let mut answers = Vec::new();
        for link in query.links() {
            let mut found = Vec::new();
            for linked in link.queries() {
                found.extend(Box::pin(self.visible_matches(caller, linked.clone())).await?);
            }
            if found.len() > MAX_LINKED {
                let text = format!("A chained parameter leads through more than {MAX_LINKED} resources. Narrow it.");
                return Err(Refusal::new(Reason::TooLarge, IssueType::TooCostly, text).into());
            }
            answers.push(found);
        }
        Ok(query.joined(self.pipeline.definitions, &answers))
    }

    /// Everything in the gateway's own store that matches and that the caller may see, as it would be shown.
    async fn visible_matches(&self, caller: &Caller, query: Query) -> Result<Vec<Node>, Failure> {
        may(caller, Permission::Search, query.type_name())?;
        let query = Arc::new(self.joined(caller, query).await?);
        let candidates = self.own_candidates(caller, &query).await?;
        let permitted = self.permitted(caller, candidates).await?;
        // What was taken out of a resource must not find it.
        Ok(permitted.into_iter().map(Permitted::into_resource).filter(|resource| query.matches(resource)).collect())
    }

    /// What comes along with the resources on a page.
    pub(super) async fn along(&self, caller: &Caller, query: &Query, shown: &[Permitted]) -> Result<Along, Failure> {
        let mut along = Along::default();
        if query.includes().is_empty() {
            return Ok(along);
        }
        let mut known: HashSet<(String, String)> = shown.iter().filter_map(|permitted| identity(permitted.resource())).collect();
        let mut lookups = MAX_INCLUDE_LOOKUPS;
        let mut begin = 0;
        for round in 0..=MAX_ITERATIONS {
            let fresh: Vec<&Node> = match round {
                0 => shown.iter().map(Permitted::resource).collect(),
                _ => along.resources.iter().skip(begin).map(Permitted::resource).collect(),
            };
            let includes: Vec<&Include> = query.includes().iter().filter(|include| round == 0 || include.iterates()).collect();
            if fresh.is_empty() || includes.is_empty() {
                break;
            }
            let mut brought = self.included(caller, &includes, &fresh, &known, &mut lookups).await?;
            begin = along.resources.len();
            let candidates = std::mem::take(&mut brought.candidates);
            for permitted in brought.seen(self.permitted(caller, candidates).await?) {
                if let Some(identity) = identity(permitted.resource()).filter(|identity| !known.contains(identity)) {
                    known.insert(identity);
                    along.resources.push(permitted);
                }
            }
            if along.resources.len() > MAX_INCLUDED || lookups == 0 {
                along.resources.truncate(MAX_INCLUDED);
                along.is_cut = true;
                break;
            }
        }
        Ok(along)
    }

    /// What includes bring along with resources, without what is already known.
    async fn included(
        &self,
        caller: &Caller,
        includes: &[&Include],
        resources: &[&Node],
        known: &HashSet<(String, String)>,
        lookups: &mut usize,
    ) -> Result<Brought, Failure> {
        let mut wanted: Vec<(String, String)> = Vec::new();
        let mut seen = HashSet::new();
        for resource in resources {
            let mut note = |type_name: &str, id: &str| {
                let identity = (type_name.to_owned(), id.to_owned());
                if !known.contains(&identity) && seen.insert(identity.clone()) {
                    wanted.push(identity);
                }
            };
            includes.iter().for_each(|include| include.referred_to(resource, &mut note));
        }
        // A type that the token may not read does not come along either.
        wanted.retain(|(type_name, _)| caller.scopes.allows(Permission::Read, type_name));
        wanted.truncate(*lookups);
        *lookups -= wanted.len();
        let mut brought =
            Brought { named: wanted.iter().cloned().collect(), referring: Vec::new(), candidates: self.stored(wanted).await? };
        for query in includes.iter().flat_map(|include| include.referring(self.pipeline.definitions, resources)) {
            if caller.scopes.allows(Permission::Search, query.type_name()) && *lookups > 0 {
                let query = Arc::new(query);
                let found = self.own_candidates(caller, &query).await?;
                *lookups = lookups.saturating_sub(found.len());
                brought.candidates.extend(found);
                brought.referring.push(query);
            }
        }
        Ok(brought)
    }
}

fn identity(resource: &Node) -> Option<(String, String)> {
    Some((resource.resource_type()?.to_owned(), resource.text("id")?.to_owned()))
}
