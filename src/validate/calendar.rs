//! Dates and times as FHIR R4 writes them (<https://hl7.org/fhir/R4/datatypes.html#date>), judged by the real calendar.

/// What is wrong with a date or time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// Not written as the type is written, or no such day or time.
    Invalid,
    /// A time of day without its offset from UTC.
    NoZone,
}

/// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
pub fn date(text: &str) -> Result<(), Defect> {
    let mut parts = text.split('-');
    let year = digits(parts.next(), 4, 1..=9999)?;
    let Some(month) = parts.next() else { return Ok(()) };
    let month = digits(Some(month), 2, 1..=12)?;
    let Some(day) = parts.next() else { return Ok(()) };
    digits(Some(day), 2, 1..=days_of(year, month))?;
    if parts.next().is_none() { Ok(()) } else { Err(Defect::Invalid) }
}

/// A date, or a whole date with a time to the second and its offset.
pub fn date_time(text: &str) -> Result<(), Defect> {
    match text.split_once('T') {
        None => date(text),
        Some((day, rest)) => whole_date(day).and_then(|()| time_and_zone(rest)),
    }
}

/// A whole date with a time to the second or finer and its offset.
pub fn instant(text: &str) -> Result<(), Defect> {
    let (day, rest) = text.split_once('T').ok_or(Defect::Invalid)?;
    whole_date(day).and_then(|()| time_and_zone(rest))
}

/// `hh:mm:ss` with an optional fraction and no offset.
pub fn time(text: &str) -> Result<(), Defect> {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let mut parts = clock.split(':');
    digits(parts.next(), 2, 0..=23)?;
    digits(parts.next(), 2, 0..=59)?;
    // 60 is a leap second.
    digits(parts.next(), 2, 0..=60)?;
    let fraction_is_right = fraction.is_none_or(|fraction| !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit()));
    if parts.next().is_none() && fraction_is_right { Ok(()) } else { Err(Defect::Invalid) }
}

fn whole_date(text: &str) -> Result<(), Defect> {
    if text.len() == 10 { date(text) } else { Err(Defect::Invalid) }
}

fn time_and_zone(text: &str) -> Result<(), Defect> {
    if let Some(clock) = text.strip_suffix('Z') {
        return time(clock);
    }
    let Some(sign) = text.rfind(['+', '-']) else { return time(text).and(Err(Defect::NoZone)) };
    let (clock, offset) = text.split_at(sign);
    time(clock)?;
    let (hours, minutes) = offset.get(1..).and_then(|offset| offset.split_once(':')).ok_or(Defect::Invalid)?;
    let hours = digits(Some(hours), 2, 0..=14)?;
    let minutes = digits(Some(minutes), 2, 0..=59)?;
    if hours < 14 || minutes == 0 { Ok(()) } else { Err(Defect::Invalid) }
}

fn digits(text: Option<&str>, length: usize, range: std::ops::RangeInclusive<u32>) -> Result<u32, Defect> {
    let text = text.filter(|text| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit())).ok_or(Defect::Invalid)?;
    text.parse().ok().filter(|number| range.contains(number)).ok_or(Defect::Invalid)
}

fn days_of(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times() {
        let check = |judge: fn(&str) -> Result<(), Defect>, good: &[&str], bad: &[&str]| {
            good.iter().for_each(|text| assert_eq!(judge(text), Ok(()), "{text}"));
            bad.iter().for_each(|text| assert_eq!(judge(text), Err(Defect::Invalid), "{text}"));
        };
        check(
            date,
            &["2024", "2024-02", "2024-02-29", "0001-01-01", "2000-02-29", "9999-12-31"],
            &[
                "",
                "24",
                "2023-02-29",
                "1900-02-29",
                "2024-13",
                "2024-00",
                "2024-1-1",
                "2024-04-31",
                "2024-01-01-",
                "0000",
                "+2024",
                "2024-01-01T00:00:00Z",
            ],
        );
        check(
            date_time,
            &["2024", "2024-02", "2024-01-01T23:59:60Z", "2024-01-01T00:00:00.123456789+14:00", "2024-01-01T10:00:00-05:30"],
            &[
                "2024-01T10:00:00Z",
                "2024-01-01T10:00Z",
                "2024-01-01T24:00:00Z",
                "2024-01-01T10:00:00+14:30",
                "2024-01-01T10:00:00.Z",
                "2024-01-01t10:00:00Z",
            ],
        );
        check(instant, &["2024-01-01T10:00:00.1Z"], &["2024-01-01", "2024-01-01T10:00:00+5:00"]);
        check(time, &["00:00:00", "23:59:59.5"], &["24:00:00", "10:00", "10:00:00Z", "1:00:00"]);
        assert_eq!(date_time("2024-01-01T10:00:00"), Err(Defect::NoZone));
        assert_eq!(instant("2024-01-01T10:00:00.5"), Err(Defect::NoZone));
    }
}
