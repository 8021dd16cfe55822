//! Dates and times of every shape, one table a question.

use super::*;

#[test]
fn strict_readers() {
    use TemporalError::*;
    let date = |text| Date::parse(text).map(|value| value.to_string());
    for (text, want) in [
        ("2015", Ok(())),
        ("2015-02", Ok(())),
        ("2016-02-29", Ok(())),
        ("2015-02-29", Err(Calendar)),
        ("1900-02-29", Err(Calendar)),
        ("2000-02-29", Ok(())),
        ("2015-13", Err(Range)),
        ("2015-00", Err(Range)),
        ("2015-01-00", Err(Range)),
        ("2015-01-32", Err(Range)),
        ("0000", Err(Range)),
        ("15", Err(Form)),
        ("2015-1", Err(Form)),
        ("2015-01-01T", Err(Form)),
        ("", Err(Form)),
    ] {
        assert_eq!(date(text), want.map(|()| text.to_string()), "{text}");
    }
    let date_time = |text| DateTime::parse(text).map(|value| value.to_string());
    for (text, want) in [
        ("2015", Ok(())),
        ("2015-02-04T14:34:28Z", Ok(())),
        ("2015-02-04T14:34:28.1200+10:00", Ok(())),
        ("2015-02-04T14:34:28-00:00", Ok(())),
        ("2015-02-04T23:59:60Z", Ok(())),
        ("2015-02-04T14:34:28", Err(ZoneMissing)),
        ("2015-02-04T14:34Z", Err(TooVague)),
        ("2015-02-04T24:00:00Z", Err(Range)),
        ("2015-02-04T14:34:28+14:01", Err(Range)),
        ("2015-02-04T14:34:28.Z", Err(Form)),
        ("2015-02-04T", Err(Form)),
        ("2015-02T10:00:00Z", Err(Form)),
        ("2015-02-04 14:34:28Z", Err(Form)),
    ] {
        assert_eq!(date_time(text), want.map(|()| text.to_string()), "{text}");
    }
    assert_eq!(DateTime::parse_instant("2015-02-04"), Err(TooVague));
    assert_eq!(Time::parse("14:34"), Err(TooVague));
    assert_eq!(Time::parse("14:34:00.5").map(|time| time.to_string()), Ok("14:34:00.5".to_string()));
}

#[test]
fn intervals() {
    for (text, low, high) in [
        ("1970", 0, 365 * MICROS_PER_DAY),
        ("1970-12", 334 * MICROS_PER_DAY, 365 * MICROS_PER_DAY),
        ("1970-01-02", MICROS_PER_DAY, 2 * MICROS_PER_DAY),
        ("1970-01-01T00:00:01Z", 1_000_000, 2_000_000),
        ("1970-01-01T00:00:01.5Z", 1_500_000, 1_600_000),
        ("1970-01-01T00:00:00.123456789Z", 123_456, 123_457),
        ("1970-01-01T02:00:00+02:00", 0, 1_000_000),
        ("1969-12-31T23:59:60Z", 0, 1_000_000),
    ] {
        assert_eq!(DateTime::parse(text).unwrap().interval(), Interval { low, high }, "{text}");
    }
}

#[test]
fn days_and_back() {
    for days in (-719_162..2_932_896).step_by(97) {
        assert_eq!(Date::from_days(days).unwrap().first_day(), days);
    }
    assert_eq!(Date::from_days(-719_163), None);
    assert_eq!(Date::from_days(2_932_897), None);
}

#[test]
fn comparison() {
    use Ordering::*;
    for (mine, theirs, want) in [
        ("2018-03", "2018-03-01", None),
        ("2018-02", "2018-03-01", Some(Less)),
        ("2018", "2018", Some(Equal)),
        ("2012-04-15", "2012-04-15T10:00:00", None),
        ("2012-04-15T15:30:31", "2012-04-15T15:30:31.0", Some(Equal)),
        ("2012-04-15T15:30:31", "2012-04-15T15:30:31.1", Some(Less)),
        ("2012-04-15T15:30", "2012-04-15T15:30:31", None),
        ("2012-04-15T15:00:00+02:00", "2012-04-15T16:00:00+03:00", Some(Equal)),
        ("2012-04-15T15:00:00Z", "2012-04-15T10:00:00", None),
        ("2012-04-15T15:00:00Z", "2012-04-17T10:00:00", Some(Less)),
        ("2012-04-17T10:00:00", "2012-04-15T15:00:00Z", Some(Greater)),
    ] {
        let read = |text| DateTime::parse_partial(text).unwrap();
        assert_eq!(read(mine).compare(&read(theirs)), want, "{mine} {theirs}");
    }
}
