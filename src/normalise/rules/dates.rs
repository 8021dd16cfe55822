//! Rule 15. Dates and times in FHIR's form, with the precision and the offset they came with.
//!
//! Another way of writing the same thing is rewritten. A time without an offset gets its source's offset on that day, when the configuration names
//! the zone and the clock did not show that time twice or never; else it is cut to its date, flagged, and kept beside the date as it was written. Where
//! only an instant may stand there is no date to cut it to, and the text is kept beside an element without a value.
//! Nothing is ever moved to another zone, so a date of birth stays the day it was.

use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::DATES;
use super::super::source::SourceRules;
use crate::fhir::temporal::{Date, DateTime};
use crate::fhir::{Node, Value};
use crate::outcome::{IssueType, Severity};
use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// The longest text that is looked at.
const MAX_TEXT: usize = 48;

const MONTHS: [&str; 12] =
    ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"];

/// What a text in the place of a date turned out to be.
#[derive(Debug, PartialEq)]
enum Reading {
    /// The same value in FHIR's form.
    Same(String),
    /// Less than what was written: the type or a missing offset leaves no room for the time.
    Cut(String),
    /// A date, or a time without an offset, where only an instant may stand.
    NoInstant,
    Unreadable,
}

/// Settles a `date`, `dateTime` or `instant`. Answers the original text when part of it had to go, which can be kept beside a lone element only.
pub(in super::super) fn apply(node: &mut Node, type_name: &str, is_lone: bool, path: &Path<'_>, work: &mut Work<'_>) -> Option<String> {
    let text = node.as_text().filter(|_| work.on(DATES))?;
    if is_valid(text, type_name) {
        return None;
    }
    match read(text, type_name, work.context.source) {
        Reading::Same(value) => {
            if text.contains("24:00") && value.contains("T00:00:00") {
                let text = "FHIR has no 24:00; it was written as the beginning of the next day, which is the same instant";
                work.flag(Severity::Information, IssueType::Value, "date-midnight", path, text);
            }
            replace(node, value, path, work);
            None
        }
        Reading::Cut(value) => {
            let original = text.to_owned();
            let text = "the time of day does not fit here or has no offset from UTC; the date was kept, and the original text beside it";
            work.flag(Severity::Warning, IssueType::Value, "date-cut", path, text);
            replace(node, value, path, work);
            Some(original)
        }
        Reading::NoInstant if is_lone => {
            let original = text.to_owned();
            let text = "an instant needs a time and its offset from UTC, and they are not told; the text was kept beside the element, which has no value";
            work.flag(Severity::Warning, IssueType::Value, "instant-incomplete", path, text);
            let before = std::mem::replace(&mut node.value, Value::Null);
            work.changed(DATES, path, Some(before.into()), None);
            Some(original)
        }
        Reading::Unreadable | Reading::NoInstant => {
            let text = "the date or time is not in a form that can be read without guessing; it was left as it is";
            work.flag(Severity::Warning, IssueType::Value, "date-unreadable", path, text);
            None
        }
    }
}

/// Settles a `time`: `hh:mm:ss`, to which seconds may be added. One with an offset from UTC has no reading without a date.
pub(in super::super) fn apply_to_time(node: &mut Node, path: &Path<'_>, work: &mut Work<'_>) {
    let Some(text) = node.as_text().filter(|_| work.on(DATES)) else { return };
    if is_time(text) {
        return;
    }
    match clock_time(text.trim()).filter(|time| is_time(time)) {
        Some(time) => {
            let text = "the time was written in another way than FHIR's hh:mm:ss, which has one reading";
            work.flag(Severity::Information, IssueType::Value, "time-respelt", path, text);
            replace(node, time, path, work);
        }
        None => {
            let text = "the time is not in a form that can be read without guessing, or has an offset from UTC, which no time of day may have; it was left as it is";
            work.flag(Severity::Warning, IssueType::Value, "time-unreadable", path, text);
        }
    }
}

/// `hh:mm:ss` and a fraction (R4 §2.24.0.1).
fn is_time(text: &str) -> bool {
    DateTime::parse(&format!("2000-01-01T{text}Z")).is_ok()
}

fn replace(node: &mut Node, value: String, path: &Path<'_>, work: &mut Work<'_>) {
    let after = Value::Text(value.into());
    let before = std::mem::replace(&mut node.value, after.clone());
    work.changed(DATES, path, Some(before.into()), Some(after.into()));
}

fn is_valid(text: &str, type_name: &str) -> bool {
    match type_name {
        "date" => Date::parse(text).is_ok(),
        "instant" => DateTime::parse_instant(text).is_ok(),
        _ => DateTime::parse(text).is_ok(),
    }
}

fn read(text: &str, type_name: &str, source: &SourceRules) -> Reading {
    let Some(fields) = Fields::read(text, source.us_dates) else { return Reading::Unreadable };
    let date = Some(fields.date.clone()).filter(|date| Date::parse(date).is_ok());
    let Some(date) = date else { return Reading::Unreadable };
    let Some(time) = &fields.time else { return if type_name == "instant" { Reading::NoInstant } else { Reading::Same(date) } };
    if type_name == "date" {
        return Reading::Cut(date);
    }
    // FHIR has no 24:00: it is the beginning of the next day.
    let (date, time) = match next_day(&date, time) {
        Some(next) => (next, &"00:00:00".to_owned()),
        None => (date, time),
    };
    let zone = fields.zone.clone().or_else(|| offset_on(&date, time, source.time_zone.as_ref()?));
    let whole = zone.map(|zone| format!("{date}T{time}{zone}")).filter(|whole| DateTime::parse(whole).is_ok());
    match whole {
        Some(whole) => Reading::Same(whole),
        None if type_name == "instant" => Reading::NoInstant,
        None => Reading::Cut(date),
    }
}

/// The day after a date, when the time is the end of it.
fn next_day(date: &str, time: &str) -> Option<String> {
    let is_midnight = time.strip_prefix("24:00:00").is_some_and(|rest| rest.trim_start_matches('.').bytes().all(|digit| digit == b'0'));
    let day: civil::Date = date.parse().ok().filter(|_| is_midnight)?;
    Some(day.tomorrow().ok()?.to_string())
}

/// The offset that a zone's clocks had at a local time. `None` when they showed it twice or not at all.
fn offset_on(date: &str, time: &str, zone: &TimeZone) -> Option<String> {
    let local: civil::DateTime = format!("{date}T{time}").parse().ok()?;
    let AmbiguousOffset::Unambiguous { offset } = zone.to_ambiguous_timestamp(local).offset() else { return None };
    let minutes = offset.seconds() / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    Some(format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60))
}

/// The parts of a date in FHIR's form, from another one.
#[derive(Debug, Default, PartialEq)]
struct Fields {
    date: String,
    time: Option<String>,
    zone: Option<String>,
}

impl Fields {
    fn read(text: &str, us_dates: bool) -> Option<Fields> {
        let text = text.trim();
        if text.len() > MAX_TEXT || !text.is_ascii() {
            return None;
        }
        if let Some(date) = Fields::named_month(text) {
            return Some(Fields { date, ..Fields::default() });
        }
        if text.contains('/') {
            return Fields::slashed(text, us_dates);
        }
        if text.len() >= 4 && !text.get(..5).is_some_and(|start| start.ends_with('-')) {
            return Fields::compact(text);
        }
        let split = text.find(['T', 't', ' ']).unwrap_or(text.len());
        let (date, rest) = text.split_at(split);
        let padded: Vec<String> = date.split('-').map(|part| format!("{part:0>2}")).collect();
        Fields::dated(padded.join("-"), rest.get(1..).unwrap_or_default())
    }

    /// `14-DEC-2022`, `Dec 14, 2022`, `December 2022`: a month by its English name, a year of four digits, a day or none.
    fn named_month(text: &str) -> Option<String> {
        let (mut year, mut month, mut day) = (None, None, None);
        for word in text.split([' ', '-', ',', '/', '.']).filter(|word| !word.is_empty()) {
            let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
            let slot = match word.len() {
                4 if is_number => &mut year,
                1 | 2 if is_number => &mut day,
                _ => &mut month,
            };
            if slot.replace(word).is_some() {
                return None;
            }
        }
        let is_name = |name: &&str| {
            month.is_some_and(|word| word.eq_ignore_ascii_case(name) || name.get(..3).is_some_and(|short| word.eq_ignore_ascii_case(short)))
        };
        let number = MONTHS.iter().position(is_name)? + 1;
        let day = day.map(|day| format!("-{day:0>2}")).unwrap_or_default();
        Some(format!("{}-{number:02}{day}", year?))
    }

    /// A date and the text of its time.
    fn dated(date: String, rest: &str) -> Option<Fields> {
        let rest = rest.trim();
        if rest.is_empty() {
            return Some(Fields { date, ..Fields::default() });
        }
        let (clock, zone) = split_zone(rest)?;
        Some(Fields { date, time: Some(clock_time(clock)?), zone })
    }

    /// HL7 v2: `YYYYMMDDhhmmss.f±zzzz`, cut anywhere after the year.
    fn compact(text: &str) -> Option<Fields> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        if !matches!(digits, 4 | 6 | 8 | 12 | 14) {
            return None;
        }
        let part = |from: usize, to: usize| text.get(from..to.min(digits)).filter(|part| !part.is_empty());
        let mut date = part(0, 4)?.to_owned();
        for part in [part(4, 6), part(6, 8)].into_iter().flatten() {
            date.push('-');
            date.push_str(part);
        }
        let rest = text.get(digits..)?;
        if digits <= 8 {
            return rest.is_empty().then_some(Fields { date, ..Fields::default() });
        }
        let (fraction, zone) = split_zone(rest)?;
        let is_fraction = fraction.is_empty() || (digits == 14 && fraction.strip_prefix('.').is_some_and(|digits| !digits.is_empty()));
        let clock = format!("{}:{}:{}{fraction}", part(8, 10)?, part(10, 12)?, part(12, 14).unwrap_or("00"));
        is_fraction.then_some(Fields { date, time: Some(clock), zone })
    }

    /// `YYYY/MM/DD`, or the month first where the source is declared to write dates so.
    fn slashed(text: &str, us_dates: bool) -> Option<Fields> {
        let (date, rest) = text.split_once([' ', 'T']).unwrap_or((text, ""));
        let mut parts = date.split('/');
        let (first, second, third, none) = (parts.next()?, parts.next()?, parts.next()?, parts.next());
        let (year, month, day) = if first.len() == 4 {
            (first, second, third)
        } else if us_dates && third.len() == 4 {
            (third, first, second)
        } else {
            return None;
        };
        none.is_none().then(|| Fields::dated(format!("{year}-{month:0>2}-{day:0>2}"), rest))?
    }
}

/// Splits `hh:mm:ss±hh:mm` and its kin; the zone comes back in FHIR's form.
fn split_zone(text: &str) -> Option<(&str, Option<String>)> {
    for utc in ["Z", "z", " UTC", " GMT", "UTC", "GMT"] {
        if let Some(clock) = text.strip_suffix(utc) {
            return Some((clock.trim_end(), Some("Z".to_owned())));
        }
    }
    let Some(at) = text.rfind(['+', '-']) else { return Some((text, None)) };
    let (clock, zone) = text.split_at(at);
    let (sign, digits) = zone.split_at(1);
    let digits: String = digits.chars().filter(|&c| c != ':').collect();
    let (hours, minutes) = match digits.len() {
        2 => (digits.as_str(), "00"),
        4 => digits.split_at(2),
        _ => return None,
    };
    Some((clock.trim_end(), Some(format!("{sign}{hours}:{minutes}"))))
}

/// `hh:mm:ss` with its fraction; seconds may be missing (FHIR allows to fill them with zeros), hours may be counted to twelve.
fn clock_time(clock: &str) -> Option<String> {
    let upper = clock.to_ascii_uppercase();
    let (clock, half) = match upper.strip_suffix("AM").map(|rest| (rest, 0)).or_else(|| upper.strip_suffix("PM").map(|rest| (rest, 12))) {
        Some((rest, half)) => (rest.trim_end(), Some(half)),
        None => (upper.as_str(), None),
    };
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next().unwrap_or("00"));
    let mut hour: u8 = hour.parse().ok()?;
    if let Some(half) = half {
        if !(1..=12).contains(&hour) {
            return None;
        }
        hour = hour % 12 + half;
    }
    parts.next().is_none().then(|| format!("{hour:02}:{minute}:{second}"))
}

#[cfg(test)]
mod tests {
    use super::super::super::SourceRules;
    use super::super::super::tests::{run_typed, source};
    use super::{Reading, read};
    use jiff::tz::TimeZone;

    #[test]
    fn times_of_day() {
        for (sent, after, said) in [
            ("10:30:00", "10:30:00", ""),
            ("10:30:00.250", "10:30:00.250", ""),
            ("10:30", "10:30:00", "time-respelt"),
            ("1:05 PM", "13:05:00", "time-respelt"),
            ("10:30:00Z", "10:30:00Z", "time-unreadable"),
            ("10:30:00+01:00", "10:30:00+01:00", "time-unreadable"),
            ("25:00:00", "25:00:00", "time-unreadable"),
            ("noon", "noon", "time-unreadable"),
        ] {
            let text = format!(
                r#"{{"resourceType":"Observation","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"718-7"}}]}},"valueTime":"{sent}"}}"#
            );
            let done = run_typed(&text, &source());
            let found: Vec<&str> = done.findings.iter().map(|finding| finding.message_id).collect();
            assert_eq!(done.resource.text("valueTime"), Some(after), "{sent}");
            assert_eq!(found, said.split_terminator(' ').collect::<Vec<_>>(), "{sent}");
        }
    }

    #[test]
    fn reading() {
        let plain = SourceRules::new::<&str>("s", &[]);
        let mut local = plain.clone();
        local.us_dates = true;
        local.time_zone = Some(TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap());
        let same = |text: &str| Reading::Same(text.to_owned());
        let cut = |text: &str| Reading::Cut(text.to_owned());
        for (text, type_name, without_zone, with_zone) in [
            ("2022-12-14T10:00:00", "dateTime", cut("2022-12-14"), same("2022-12-14T10:00:00-05:00")),
            ("2022-07-14T10:00:00.120", "dateTime", cut("2022-07-14"), same("2022-07-14T10:00:00.120-04:00")),
            ("2022-03-13T02:30:00", "dateTime", cut("2022-03-13"), cut("2022-03-13")),
            ("2022-11-06T01:30:00", "dateTime", cut("2022-11-06"), cut("2022-11-06")),
            ("2022-12-14T10:00:00", "instant", Reading::NoInstant, same("2022-12-14T10:00:00-05:00")),
            ("2022-12-14", "instant", Reading::NoInstant, Reading::NoInstant),
            ("yesterday", "instant", Reading::Unreadable, Reading::Unreadable),
            ("2022-12-14 10:00:00Z", "dateTime", same("2022-12-14T10:00:00Z"), same("2022-12-14T10:00:00Z")),
            ("2022-12-14T10:00Z", "dateTime", same("2022-12-14T10:00:00Z"), same("2022-12-14T10:00:00Z")),
            ("2022-12-14T10:00:00+0530", "dateTime", same("2022-12-14T10:00:00+05:30"), same("2022-12-14T10:00:00+05:30")),
            ("2022-12-14T10:00:00z", "instant", same("2022-12-14T10:00:00Z"), same("2022-12-14T10:00:00Z")),
            ("20221214", "date", same("2022-12-14"), same("2022-12-14")),
            ("202212", "dateTime", same("2022-12"), same("2022-12")),
            ("20221214103000.5-0500", "dateTime", same("2022-12-14T10:30:00.5-05:00"), same("2022-12-14T10:30:00.5-05:00")),
            ("202212141030", "dateTime", cut("2022-12-14"), same("2022-12-14T10:30:00-05:00")),
            ("12/14/2022", "date", Reading::Unreadable, same("2022-12-14")),
            ("1/2/2022 3:04 PM", "dateTime", Reading::Unreadable, same("2022-01-02T15:04:00-05:00")),
            ("14/12/2022", "date", Reading::Unreadable, Reading::Unreadable),
            ("2022/12/14", "date", same("2022-12-14"), same("2022-12-14")),
            ("2022-12-31T24:00:00Z", "dateTime", same("2023-01-01T00:00:00Z"), same("2023-01-01T00:00:00Z")),
            ("2022-12-14T24:00", "dateTime", cut("2022-12-15"), same("2022-12-15T00:00:00-05:00")),
            ("2022-12-14T24:00:00Z", "instant", same("2022-12-15T00:00:00Z"), same("2022-12-15T00:00:00Z")),
            ("2022-12-14T24:01:00Z", "dateTime", cut("2022-12-14"), cut("2022-12-14")),
            ("1985-08-01T24:00:00Z", "date", cut("1985-08-01"), cut("1985-08-01")),
            ("1985-08-01T00:00:00Z", "date", cut("1985-08-01"), cut("1985-08-01")),
            ("1985-08-01T23:30:00-05:00", "date", cut("1985-08-01"), cut("1985-08-01")),
            ("2022-02-30", "date", Reading::Unreadable, Reading::Unreadable),
            ("0000-00-00", "date", Reading::Unreadable, Reading::Unreadable),
            ("yesterday", "dateTime", Reading::Unreadable, Reading::Unreadable),
            ("12/14/22", "date", Reading::Unreadable, Reading::Unreadable),
            ("2022-1-5", "date", same("2022-01-05"), same("2022-01-05")),
            ("2022-1-5T10:00:00Z", "dateTime", same("2022-01-05T10:00:00Z"), same("2022-01-05T10:00:00Z")),
            ("14-DEC-2022", "date", same("2022-12-14"), same("2022-12-14")),
            ("Dec 4, 2022", "dateTime", same("2022-12-04"), same("2022-12-04")),
            ("December 2022", "date", same("2022-12"), same("2022-12")),
            ("4 may 2022", "date", same("2022-05-04"), same("2022-05-04")),
            ("31-FEB-2022", "date", Reading::Unreadable, Reading::Unreadable),
            ("14-DEC-22", "date", Reading::Unreadable, Reading::Unreadable),
            ("Dec 14", "date", Reading::Unreadable, Reading::Unreadable),
            ("Decades 2022", "date", Reading::Unreadable, Reading::Unreadable),
        ] {
            assert_eq!(read(text, type_name, &plain), without_zone, "{text}");
            assert_eq!(read(text, type_name, &local), with_zone, "{text} with zone");
        }
    }
}
