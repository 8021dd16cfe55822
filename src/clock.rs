//! Time and randomness, real or scripted: the only place in the crate that reads the wall clock or draws random bytes.
//!
//! In scope: [`Instant`], [`Clock`] with [`Stopwatch`], [`Entropy`]. Out of scope: FHIR's partial dates and local times (those are `fhir`'s).
//! Everything else is handed a `Clock` or an `Entropy`, so that a test can say what time it is and what is drawn.

use jiff::{Timestamp, tz::TimeZone};
use rand::{RngCore, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use std::ops::{Add, Sub};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MICROS_PER_SECOND: i64 = 1_000_000;
/// 0001-01-01T00:00:00Z, the first instant FHIR can write.
const FIRST_MICROS: i64 = -62_135_596_800 * MICROS_PER_SECOND;
/// 9999-12-30T22:00:00Z, the last instant `jiff` holds; FHIR could write a day more.
const LAST_MICROS: i64 = 253_402_207_200 * MICROS_PER_SECOND;
/// An instant with nine fractional digits and an offset is 35 bytes long; nothing longer is worth reading.
const MAX_TEXT_BYTES: usize = 64;

/// A point in time: microseconds since 1970-01-01T00:00:00Z, kept within the years FHIR can write (0001 to 9999).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
pub struct Instant(i64);

impl Instant {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Instant = Instant(0);

    /// The instant so many microseconds after the epoch; outside the years 0001 to 9999, the nearest one inside.
    pub const fn from_micros(micros: i64) -> Instant {
        if micros < FIRST_MICROS {
            Instant(FIRST_MICROS)
        } else if micros > LAST_MICROS {
            Instant(LAST_MICROS)
        } else {
            Instant(micros)
        }
    }

    /// The instant so many seconds after the epoch: the `NumericDate` of a JWT.
    pub const fn from_seconds(seconds: i64) -> Instant {
        Instant::from_micros(seconds.saturating_mul(MICROS_PER_SECOND))
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded towards the past.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(MICROS_PER_SECOND)
    }

    /// The time from `earlier` to this instant; zero when `earlier` is in fact later.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// FHIR's `instant` in UTC with milliseconds, rounded towards the past: `2026-11-20T12:34:56.789Z`.
    pub fn to_fhir_instant(self) -> String {
        let civil = self.civil();
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            civil.year(),
            civil.month(),
            civil.day(),
            civil.hour(),
            civil.minute(),
            civil.second(),
            civil.millisecond()
        )
    }

    /// HTTP's date (RFC 9110 section 5.6.7), for `Last-Modified` and its kin: `Fri, 20 Nov 2026 12:34:56 GMT`.
    pub fn to_http_date(self) -> String {
        let civil = self.civil();
        format!(
            "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
            day_name(civil.weekday()),
            civil.day(),
            month_name(civil.month()),
            civil.year(),
            civil.hour(),
            civil.minute(),
            civil.second()
        )
    }

    /// Reads FHIR's `instant`: a date, a time to at least the second, and an offset. Fractions finer than a microsecond are cut off.
    pub fn from_fhir_instant(text: &str) -> Option<Instant> {
        if !has_instant_shape(text) {
            return None;
        }
        let timestamp: Timestamp = text.parse().ok()?;
        Some(Instant::from_micros(i64::try_from(timestamp.as_nanosecond().div_euclid(1_000)).ok()?))
    }

    fn civil(self) -> jiff::civil::DateTime {
        // The range of an `Instant` lies within that of a `Timestamp`, so the fallback is never taken.
        TimeZone::UTC.to_datetime(Timestamp::from_microsecond(self.0).unwrap_or(Timestamp::UNIX_EPOCH))
    }
}

/// Whether the text is laid out as `YYYY-MM-DDThh:mm:ss[.f…](Z|±hh:mm)`; whether the numbers make a date is for the parser to say.
fn has_instant_shape(text: &str) -> bool {
    const LAYOUT: &[u8] = b"0000-00-00T00:00:00";
    let Some((head, tail)) = text.as_bytes().split_at_checked(LAYOUT.len()) else { return false };
    let fits = |(&byte, &wanted): (&u8, &u8)| if wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted };
    if text.len() > MAX_TEXT_BYTES || !head.iter().zip(LAYOUT).all(fits) || head.starts_with(b"0000") {
        return false;
    }
    let offset = match tail.strip_prefix(b".") {
        None => tail,
        Some(fraction) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            match fraction.split_at_checked(digits) {
                Some((digits, offset)) if !digits.is_empty() => offset,
                _ => return false,
            }
        }
    };
    match offset {
        b"Z" => true,
        [b'+' | b'-', rest @ ..] => rest.len() == 5 && rest.iter().zip(b"00:00").all(fits),
        _ => false,
    }
}

fn day_name(day: jiff::civil::Weekday) -> &'static str {
    use jiff::civil::Weekday;
    match day {
        Weekday::Monday => "Mon",
        Weekday::Tuesday => "Tue",
        Weekday::Wednesday => "Wed",
        Weekday::Thursday => "Thu",
        Weekday::Friday => "Fri",
        Weekday::Saturday => "Sat",
        Weekday::Sunday => "Sun",
    }
}

fn month_name(month: i8) -> &'static str {
    const NAMES: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    usize::try_from(month - 1).ok().and_then(|index| NAMES.get(index)).copied().unwrap_or_default()
}

fn whole_micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl From<i64> for Instant {
    fn from(micros: i64) -> Instant {
        Instant::from_micros(micros)
    }
}

impl From<Instant> for i64 {
    fn from(instant: Instant) -> i64 {
        instant.0
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        Instant::from_micros(self.0.saturating_add(whole_micros(duration)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, duration: Duration) -> Instant {
        Instant::from_micros(self.0.saturating_sub(whole_micros(duration)))
    }
}

/// Where the present instant comes from. Clones share the same source.
#[derive(Debug, Clone)]
pub struct Clock(TimeSource);

#[derive(Debug, Clone)]
enum TimeSource {
    System,
    Scripted(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's wall clock.
    pub fn system() -> Clock {
        Clock(TimeSource::System)
    }

    /// The present instant. The wall clock may be set back, so a later call may answer an earlier instant; to measure, use a [`Stopwatch`].
    pub fn now(&self) -> Instant {
        match &self.0 {
            TimeSource::System => system_now(),
            TimeSource::Scripted(micros) => Instant::from_micros(micros.load(Ordering::SeqCst)),
        }
    }

    /// Starts measuring a span of time that must not run backwards.
    pub fn stopwatch(&self) -> Stopwatch {
        Stopwatch(match &self.0 {
            TimeSource::System => Start::Monotonic(std::time::Instant::now()),
            TimeSource::Scripted(_) => Start::Scripted(self.clone(), self.now()),
        })
    }
}

fn system_now() -> Instant {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => Instant::EPOCH + after,
        Err(before) => Instant::EPOCH - before.duration(),
    }
}

/// A measurement in progress.
#[derive(Debug, Clone)]
pub struct Stopwatch(Start);

#[derive(Debug, Clone)]
enum Start {
    Monotonic(std::time::Instant),
    Scripted(Clock, Instant),
}

impl Stopwatch {
    /// The time since the stopwatch was started.
    pub fn elapsed(&self) -> Duration {
        match &self.0 {
            Start::Monotonic(start) => start.elapsed(),
            Start::Scripted(clock, start) => clock.now().since(*start),
        }
    }
}

/// The hand that moves a scripted clock. Every clock it gave shows the time it was last set to.
#[derive(Debug, Clone)]
pub struct ScriptedTime(Arc<AtomicI64>);

impl ScriptedTime {
    /// A script that begins at an instant and stands still until it is moved.
    pub fn starting_at(start: Instant) -> ScriptedTime {
        ScriptedTime(Arc::new(AtomicI64::new(start.0)))
    }

    /// A clock that shows this script's time.
    pub fn clock(&self) -> Clock {
        Clock(TimeSource::Scripted(Arc::clone(&self.0)))
    }

    /// Sets the time, forwards or back.
    pub fn set(&self, instant: Instant) {
        self.0.store(instant.0, Ordering::SeqCst);
    }

    /// Moves the time forward.
    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(whole_micros(duration), Ordering::SeqCst);
    }
}

/// Where random bytes come from. Clones share the same source.
#[derive(Debug, Clone)]
pub struct Entropy(RandomSource);

#[derive(Debug, Clone)]
enum RandomSource {
    System,
    /// A reproducible stream, shared so that two clones never draw the same bytes.
    Seeded(Arc<Mutex<StdRng>>),
}

impl Entropy {
    /// A cryptographic generator per thread, seeded, and now and then seeded anew, by the operating system.
    pub fn system() -> Entropy {
        Entropy(RandomSource::System)
    }

    /// The same bytes in every run. Only for tests: whoever knows the seed knows every key drawn.
    pub fn seeded(seed: u64) -> Entropy {
        Entropy(RandomSource::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))))
    }

    /// Fills the buffer with random bytes.
    pub fn fill(&self, buffer: &mut [u8]) {
        match &self.0 {
            RandomSource::System => rand::rng().fill_bytes(buffer),
            // A panic elsewhere cannot leave the generator half-changed in a way that matters, so poison is no reason to stop.
            RandomSource::Seeded(generator) => generator.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(buffer),
        }
    }

    /// So many random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut buffer = [0; N];
        self.fill(&mut buffer);
        buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_for_fhir_and_http() {
        let check = |micros: i64, fhir: &str, http: &str| {
            assert_eq!(Instant::from_micros(micros).to_fhir_instant(), fhir);
            assert_eq!(Instant::from_micros(micros).to_http_date(), http);
        };
        check(0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT");
        check(1_795_178_096_789_123, "2026-11-20T12:34:56.789Z", "Fri, 20 Nov 2026 12:34:56 GMT");
        check(-1, "1969-12-31T23:59:59.999Z", "Wed, 31 Dec 1969 23:59:59 GMT");
        check(951_782_400_000_000, "2000-02-29T00:00:00.000Z", "Tue, 29 Feb 2000 00:00:00 GMT");
        check(i64::MIN, "0001-01-01T00:00:00.000Z", "Mon, 01 Jan 0001 00:00:00 GMT");
        check(i64::MAX, "9999-12-30T22:00:00.000Z", "Thu, 30 Dec 9999 22:00:00 GMT");
    }

    #[test]
    fn fhir_instants_are_read() {
        let check = |text: &str, micros: Option<i64>| assert_eq!(Instant::from_fhir_instant(text).map(Instant::micros), micros, "{text}");
        check("2026-11-20T12:34:56.789Z", Some(1_795_178_096_789_000));
        check("2026-11-20T12:34:56Z", Some(1_795_178_096_000_000));
        check("2026-11-20T14:34:56.7891239+02:00", Some(1_795_178_096_789_123));
        check("2026-11-20T07:04:56-05:30", Some(1_795_178_096_000_000));
        check("1969-12-31T23:59:59.999999Z", Some(-1));
        for refused in [
            "",
            "2026",
            "2026-11-20",
            "2026-11-20T12:34Z",
            "2026-11-20T12:34:56",
            "2026-11-20 12:34:56Z",
            "2026-11-20T12:34:56.Z",
            "2026-11-20T12:34:56z",
            "2026-13-20T12:34:56Z",
            "2026-02-29T12:34:56Z",
            "2026-11-20T25:34:56Z",
            "0000-01-01T00:00:00Z",
            "2026-11-20T12:34:56+0200",
            "2026-11-20T12:34:56Z[UTC]",
            "+002026-11-20T12:34:56Z",
            "２026-11-20T12:34:56Z",
        ] {
            check(refused, None);
        }
        check(&format!("2026-11-20T12:34:56.{}Z", "7".repeat(100)), None);
    }

    #[test]
    fn a_written_instant_reads_back_to_the_millisecond() {
        for micros in [0, 1_795_178_096_789_123, -1, FIRST_MICROS, LAST_MICROS] {
            let instant = Instant::from_micros(micros);
            let read = Instant::from_fhir_instant(&instant.to_fhir_instant()).unwrap();
            assert_eq!(read.micros(), micros.div_euclid(1_000) * 1_000);
        }
    }

    #[test]
    fn arithmetic_saturates() {
        let start = Instant::from_seconds(100);
        assert_eq!(start + Duration::from_secs(5), Instant::from_seconds(105));
        assert_eq!(start - Duration::from_secs(105), Instant::from_seconds(-5));
        assert_eq!((start + Duration::from_secs(5)).since(start), Duration::from_secs(5));
        assert_eq!(start.since(start + Duration::from_secs(5)), Duration::ZERO);
        assert_eq!(start + Duration::MAX, Instant::from_micros(i64::MAX));
        assert_eq!(start - Duration::MAX, Instant::from_micros(i64::MIN));
        assert_eq!(Instant::from_micros(-1).seconds(), -1);
        assert_eq!(Instant::from_seconds(i64::MAX), Instant::from_micros(i64::MAX));
    }

    #[test]
    fn a_scripted_clock_shows_what_its_script_says() {
        let script = ScriptedTime::starting_at(Instant::from_seconds(10));
        let clock = script.clock();
        let stopwatch = clock.stopwatch();
        script.advance(Duration::from_secs(2));
        assert_eq!(clock.clone().now(), Instant::from_seconds(12));
        assert_eq!(stopwatch.elapsed(), Duration::from_secs(2));
        script.set(Instant::from_seconds(3));
        assert_eq!(clock.now(), Instant::from_seconds(3));
        assert_eq!(stopwatch.elapsed(), Duration::ZERO);
    }

    #[test]
    fn the_system_clock_is_in_this_century() {
        assert!(Clock::system().now() > Instant::from_seconds(1_700_000_000));
    }

    #[test]
    fn seeded_entropy_repeats_and_clones_share_one_stream() {
        let first = Entropy::seeded(7);
        let draws: [[u8; 8]; 2] = [first.bytes(), first.clone().bytes()];
        assert_ne!(draws[0], draws[1]);
        let again = Entropy::seeded(7);
        assert_eq!(draws, [again.bytes(), again.bytes()]);
        assert_ne!(Entropy::seeded(8).bytes::<8>(), draws[0]);
    }

    #[test]
    fn system_entropy_differs_from_draw_to_draw() {
        let entropy = Entropy::system();
        assert_ne!(entropy.bytes::<32>(), entropy.bytes::<32>());
    }
}
