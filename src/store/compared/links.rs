//! Which records are one person's, by their table and by what is noted with their consents; and whether that is as it was sealed.

use crate::outcome::Fault;
use crate::store::row::text;
use crate::store::seal::Sealer;
use crate::store::{fault, filed, people, schema};
use rusqlite::Connection;

/// Everybody under whom something is noted, or who is said to be somebody's record.
const PATIENTS: &str = "SELECT patient FROM filed UNION SELECT patient FROM person ORDER BY 1";

/// Without the gateway's key nothing can be said of what is noted.
pub(super) fn compare(data: &Connection, sealer: Option<&Sealer>, problems: &mut Vec<String>) -> Result<(), Fault> {
    let Some(sealer) = sealer else { return Ok(()) };
    // Before this layout nothing was noted of it.
    if !schema::is_newest(data)? {
        return Ok(());
    }
    let mut patients = data.prepare(PATIENTS).map_err(fault)?;
    let mut rows = patients.query([]).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        let patient = text(row, 0);
        match filed::under(data, sealer.of_notes(), &patient, 0) {
            Err(altered) => problems.push(format!("data.db: Patient/{patient}: {}", altered.detail)),
            Ok(noted) if noted.linked != people::linked(data, &patient)? => {
                problems.push(format!("data.db: Patient/{patient} is another person's record than was noted"));
            }
            Ok(_) => {}
        }
    }
    Ok(())
}
