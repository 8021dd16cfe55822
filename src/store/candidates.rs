//! What a search finds by the index alone: a superset of its matches.

use super::fault;
use super::reader::rows;
use super::row::{Rows, SELECT_CURRENT, apart};
use super::seal::Sealer;
use crate::outcome::Fault;
use crate::search::{Lookup, Query};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params_from_iter};

/// The most candidates one search looks at; beyond it the search is refused as too costly.
pub const MAX_CANDIDATES: usize = 20_000;

/// The ids of current resources that match the query, of one partner when it is named, at most `limit` of them.
pub(super) fn matching_ids(
    connection: &Connection,
    sealer: &Sealer,
    query: &Query,
    source: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, Fault> {
    let mut ids = Vec::new();
    for candidate in candidates(connection, sealer, query, MAX_CANDIDATES)?.whole()? {
        let in_scope = source.is_none_or(|source| candidate.source == source);
        if in_scope && query.matches(&candidate.parse()?) {
            ids.push(candidate.id);
        }
        if ids.len() >= limit {
            break;
        }
    }
    Ok(ids)
}

/// The first current resources that satisfy every lookup of the query, at most `limit`.
pub(super) fn candidates(connection: &Connection, sealer: &Sealer, query: &Query, limit: usize) -> Result<Rows, Fault> {
    let (sql, parameters) = statement(query.type_name(), query.lookups(), limit);
    apart(connection, sealer, &sql, parameters)
}

/// Where these stand in the order of writing.
pub(super) fn candidate_places(connection: &Connection, query: &Query, limit: usize) -> Result<Vec<i64>, Fault> {
    let (sql, parameters) = statement(query.type_name(), query.lookups(), limit);
    let rest = sql.strip_prefix(SELECT_CURRENT).unwrap_or_default();
    places(connection, &format!("SELECT v.seq FROM version v JOIN resource r ON r.rid = v.rid {rest}"), parameters)
}

/// The places in the order of writing that a statement finds.
pub(super) fn places(connection: &Connection, sql: &str, parameters: Vec<Sql>) -> Result<Vec<i64>, Fault> {
    let mut statement = connection.prepare_cached(sql).map_err(fault)?;
    let found = statement.query_map(params_from_iter(parameters), |row| row.get(0)).map_err(fault)?;
    found.collect::<Result<_, _>>().map_err(fault)
}

fn statement(type_name: &str, mut lookups: Vec<Lookup>, limit: usize) -> (String, Vec<Sql>) {
    // What one key is enough for is read along the index, in the order of `rid`: nothing has to be gathered first.
    let leading = lookups.iter().position(|lookup| matches!(lookup, Lookup::Exact(keys) if keys.len() == 1));
    let (join, order) = if leading.is_some() { (" JOIN exact e ON e.rid = r.rid", "e.rid") } else { ("", "r.rid") };
    // Where there are keys or a name, what they lead to is looked at, and not everything of the type.
    let is_keyed = lookups.iter().any(|lookup| matches!(lookup, Lookup::Exact(_)));
    let is_named = lookups.iter().any(|lookup| matches!(lookup, Lookup::Ids(_)));
    let own = if leading.is_some() || (is_keyed && !is_named) { "+" } else { "" };
    let mut sql = format!("{}{join} WHERE v.seq = r.current AND {own}r.type = ? AND r.deleted = 0", SELECT_CURRENT);
    let mut parameters = vec![Sql::from(type_name.to_owned())];
    if let Some(Lookup::Exact(keys)) = leading.map(|place| lookups.remove(place)) {
        sql.push_str(" AND e.key = ?");
        parameters.extend(keys.into_iter().map(Sql::from));
    }
    for lookup in lookups {
        narrow(&mut sql, &mut parameters, lookup);
    }
    sql.push_str(&format!(" ORDER BY {order} LIMIT ?"));
    parameters.push(rows(limit));
    (sql, parameters)
}

/// Adds the condition of one lookup.
pub(super) fn narrow(sql: &mut String, parameters: &mut Vec<Sql>, lookup: Lookup) {
    let marks = |count: usize| vec!["?"; count].join(",");
    match lookup {
        Lookup::Exact(keys) => {
            sql.push_str(&format!(" AND r.rid IN (SELECT rid FROM exact WHERE key IN ({}))", marks(keys.len())));
            parameters.extend(keys.into_iter().map(Sql::from));
        }
        Lookup::Prefix { parameter, prefixes } => {
            let each = vec!["(parameter = ? AND value >= ? AND value < ?)"; prefixes.len()].join(" OR ");
            sql.push_str(&format!(" AND r.rid IN (SELECT rid FROM words WHERE {each})"));
            for prefix in prefixes {
                let end = format!("{prefix}{}", char::MAX);
                parameters.extend([Sql::from(parameter), prefix.to_string().into(), end.into()]);
            }
        }
        Lookup::Range { parameter, low, high } => {
            sql.push_str(" AND r.rid IN (SELECT rid FROM span WHERE parameter = ? AND low <= ? AND high >= ?)");
            parameters.extend([Sql::from(parameter), high.into(), low.into()]);
        }
        Lookup::Ids(ids) => {
            sql.push_str(&format!(" AND r.id IN ({})", marks(ids.len())));
            parameters.extend(ids.into_iter().map(|id| Sql::from(id.to_string())));
        }
        Lookup::LastUpdated { low, high } => {
            sql.push_str(" AND r.at >= ? AND r.at <= ?");
            parameters.extend([Sql::from(low), high.into()]);
        }
        Lookup::Scan => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::prepare;
    use super::*;

    /// How SQLite goes about it, step by step.
    fn plan(lookups: Vec<Lookup>) -> Vec<String> {
        let connection = Connection::open_in_memory().unwrap();
        prepare(&connection).unwrap();
        let (sql, parameters) = statement("Patient", lookups, 10);
        let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = explained.query_map(params_from_iter(parameters), |row| row.get(3)).unwrap();
        steps.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn what_has_keys_or_a_name_is_not_looked_for_among_everything_of_its_type() {
        let range = || Lookup::Range { parameter: 1, low: 0.0, high: 1.0 };
        for lookups in [
            vec![Lookup::Exact(vec![1])],
            vec![Lookup::Exact(vec![1, 2])],
            vec![Lookup::Exact(vec![1, 2]), range()],
            vec![range(), Lookup::Exact(vec![1, 2]), Lookup::Exact(vec![3, 4])],
            vec![Lookup::Ids(vec!["a".to_owned(), "b".to_owned()])],
            vec![Lookup::Exact(vec![1, 2]), Lookup::Ids(vec!["a".to_owned()])],
        ] {
            let steps = plan(lookups.clone());
            let looks_at_all = |step: &String| step.starts_with("SCAN") || step.ends_with("resource_identity (type=?)");
            assert!(!steps.iter().any(looks_at_all), "{lookups:?}: {steps:#?}");
        }
    }
}
