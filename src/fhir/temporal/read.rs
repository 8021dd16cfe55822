//! Reads dates and times, part by part.

use super::{Date, FRACTION_DIGITS, TemporalError, Time, Zone};

/// Reads one part after another.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str) -> Reader<'a> {
        Reader { rest: text.as_bytes() }
    }

    pub fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn end(&self) -> Result<(), TemporalError> {
        if self.at_end() { Ok(()) } else { Err(TemporalError::Form) }
    }

    pub fn take(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((&first, rest)) if first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn digit(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        let digit = first.is_ascii_digit().then(|| first - b'0')?;
        self.rest = rest;
        Some(digit)
    }

    fn two_digits(&mut self) -> Result<u8, TemporalError> {
        match (self.digit(), self.digit()) {
            (Some(tens), Some(units)) => Ok(tens * 10 + units),
            _ => Err(TemporalError::Form),
        }
    }

    pub fn date(&mut self) -> Result<Date, TemporalError> {
        let year = u16::from(self.two_digits()?) * 100 + u16::from(self.two_digits()?);
        let mut date = Date { year, month: 0, day: 0 };
        if self.take(b'-') {
            date.month = self.field_from_one()?;
            if self.take(b'-') {
                date.day = self.field_from_one()?;
            }
        }
        date.check()?;
        Ok(date)
    }

    fn field_from_one(&mut self) -> Result<u8, TemporalError> {
        match self.two_digits()? {
            0 => Err(TemporalError::Range),
            value => Ok(value),
        }
    }

    pub fn time(&mut self) -> Result<Time, TemporalError> {
        let mut time = Time { hour: self.two_digits()?, minute: None, second: None, nanos: 0, fraction_digits: 0 };
        if self.take(b':') {
            time.minute = Some(self.two_digits()?);
            if self.take(b':') {
                time.second = Some(self.two_digits()?);
                if self.take(b'.') {
                    (time.nanos, time.fraction_digits) = self.fraction()?;
                }
            }
        }
        time.check()?;
        Ok(time)
    }

    fn fraction(&mut self) -> Result<(u32, u8), TemporalError> {
        let first = self.digit().ok_or(TemporalError::Form)?;
        let (mut nanos, mut digits) = (u32::from(first), 1_u8);
        while let Some(digit) = self.digit() {
            if usize::from(digits) < FRACTION_DIGITS {
                nanos = nanos * 10 + u32::from(digit);
                digits += 1;
            }
        }
        for _ in usize::from(digits)..FRACTION_DIGITS {
            nanos *= 10;
        }
        Ok((nanos, digits))
    }

    pub fn zone(&mut self) -> Result<Option<Zone>, TemporalError> {
        if self.take(b'Z') {
            return Ok(Some(Zone::Utc));
        }
        let east = self.take(b'+');
        if !east && !self.take(b'-') {
            return Ok(None);
        }
        let hours = self.two_digits()?;
        if !self.take(b':') {
            return Err(TemporalError::Form);
        }
        let minutes = self.two_digits()?;
        if hours > 14 || minutes > 59 || (hours == 14 && minutes > 0) {
            return Err(TemporalError::Range);
        }
        let minutes = u16::from(hours) * 60 + u16::from(minutes);
        Ok(Some(if east { Zone::East { minutes } } else { Zone::West { minutes } }))
    }
}
