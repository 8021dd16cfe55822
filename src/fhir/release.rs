//! The releases of FHIR and their names.

/// A release of FHIR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Release {
    Dstu2,
    Stu3,
    R4,
    R4B,
    R5,
}

impl Release {
    /// All of them, oldest first.
    pub const ALL: [Release; 5] = [Release::Dstu2, Release::Stu3, Release::R4, Release::R4B, Release::R5];

    /// The name people use.
    pub fn name(self) -> &'static str {
        match self {
            Release::Dstu2 => "DSTU2",
            Release::Stu3 => "STU3",
            Release::R4 => "R4",
            Release::R4B => "R4B",
            Release::R5 => "R5",
        }
    }

    /// Major and minor number, as media types and cross-version extensions write them.
    pub fn number(self) -> &'static str {
        match self {
            Release::Dstu2 => "1.0",
            Release::Stu3 => "3.0",
            Release::R4 => "4.0",
            Release::R4B => "4.3",
            Release::R5 => "5.0",
        }
    }

    /// The release of a name (`STU3`) or a version number (`3.0`, `3.0.2`). A number that only some releases' drafts had is `None`.
    pub fn parse(text: &str) -> Option<Release> {
        let by_name = Release::ALL.into_iter().find(|release| release.name().eq_ignore_ascii_case(text));
        by_name.or_else(|| {
            let mut parts = text.split('.');
            let number = format!("{}.{}", parts.next()?, parts.next()?);
            let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            Release::ALL
                .into_iter()
                .filter(|_| plain)
                .find(|release| release.number() == number || (number == "1.0" && *release == Release::Dstu2))
        })
    }
}
