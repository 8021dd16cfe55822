//! Dates and times as they are written.

use super::{Date, DateTime, FRACTION_DIGITS, Time, Zone};
use std::fmt;

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.year)?;
        if self.month > 0 {
            write!(f, "-{:02}", self.month)?;
        }
        if self.day > 0 {
            write!(f, "-{:02}", self.day)?;
        }
        Ok(())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.hour)?;
        if let Some(minute) = self.minute {
            write!(f, ":{minute:02}")?;
        }
        if let Some(second) = self.second {
            write!(f, ":{second:02}")?;
        }
        if self.fraction_digits > 0 {
            let digits = usize::from(self.fraction_digits);
            let shown = self.nanos / 10_u32.pow(u32::try_from(FRACTION_DIGITS - digits.min(FRACTION_DIGITS)).unwrap_or(0));
            write!(f, ".{shown:0digits$}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Zone::Utc => f.write_str("Z"),
            Zone::East { minutes } => write!(f, "+{:02}:{:02}", minutes / 60, minutes % 60),
            Zone::West { minutes } => write!(f, "-{:02}:{:02}", minutes / 60, minutes % 60),
        }
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.date)?;
        if let Some(time) = self.time {
            write!(f, "T{time}")?;
        }
        match self.zone {
            Some(zone) => write!(f, "{zone}"),
            None => Ok(()),
        }
    }
}
