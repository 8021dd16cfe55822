//! Classifications whose codes begin with the category that they are in: what a code, a category or a block that a rule states stands for, however it is
//! written, and whether a record's code is among many such without comparing each with each.

use super::code::{Code, ICD_10_GM};
use compact_str::{CompactString, format_compact};

/// Classifications whose codes begin with the category that they are in.
pub(super) const CLASSIFICATIONS: [Classification; 5] = [
    Classification { editions: &[ICD_10_GM], begins: &["icd-10", "icd10"], leaves_places_open: true },
    Classification { editions: &[], begins: &["icd-11", "icd11", ELEVEN], leaves_places_open: false },
    Classification { editions: &[], begins: &["icd-9", "icd9"], leaves_places_open: true },
    Classification { editions: &[PROCEDURES], begins: &[], leaves_places_open: false },
    Classification {
        editions: &["http://www.whocc.no/atc", "http://fhir.de/CodeSystem/bfarm/atc"],
        begins: &[],
        leaves_places_open: false,
    },
];
const PROCEDURES: &str = "http://www.cms.gov/Medicare/Coding/ICD10";
/// What the addresses of ICD-11 and its releases have in the place of a name.
const ELEVEN: &str = "http://id.who.int/icd/release/11/";

/// A classification under the names of its editions.
pub(super) struct Classification {
    editions: &'static [&'static str],
    /// What a step of the address of a further edition begins with, or the whole address: those of countries, and of years.
    begins: &'static [&'static str],
    /// Whether an x stands for any letter, as in `F1x.2`. In others it is a letter like any.
    pub leaves_places_open: bool,
}

impl Classification {
    pub(super) fn has(&self, code: &Code) -> bool {
        let system = code.system.as_str();
        let begins = |part: &str| self.begins.iter().any(|name| part.starts_with(name));
        self.editions.contains(&system)
            || (!self.begins.is_empty() && code.tells_system() && (begins(system) || system.split('/').any(begins)))
    }
}

/// How many letters of a code are compared. What is the same so far counts as the same.
const MAX_LETTERS: usize = 64;

/// How many codes with open places one rule may have. Of more, what stands before the first open place counts.
const MAX_OPEN: usize = 64;

/// What a code is compared by.
type Letters = Vec<u8>;

/// What the codes stand for that a rule states of one classification.
#[derive(Debug, Default)]
pub(super) struct Forms {
    /// Whether one of them is in no form of a code, and may be any.
    any: bool,
    /// Whether an x in a record's code stands for any letter, too.
    leaves_places_open: bool,
    /// Codes and categories, in order.
    codes: Vec<Letters>,
    /// How many letters these have, in order.
    lengths: Vec<usize>,
    /// Codes with places that stand for any letter.
    open: Vec<Letters>,
    /// Blocks by their ends, in order, none of which meet.
    blocks: Vec<(Letters, Letters)>,
}

impl Forms {
    pub(super) fn of<'c>(stated: impl Iterator<Item = &'c str>, leaves_places_open: bool) -> Forms {
        let mut forms = Forms { leaves_places_open, ..Forms::default() };
        stated.for_each(|code| forms.add(code, leaves_places_open));
        forms.codes.sort_unstable();
        forms.codes.dedup();
        forms.lengths = forms.codes.iter().map(Vec::len).collect();
        forms.lengths.sort_unstable();
        forms.lengths.dedup();
        forms.blocks = merged(forms.blocks);
        forms
    }

    fn add(&mut self, stated: &str, leaves_places_open: bool) {
        let plain = plainly_written(stated);
        let plain = if leaves_places_open { without_open_places(&plain) } else { &plain };
        let is_code = |written: &str| written.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'.');
        match plain.split_once('-') {
            Some((first, last)) if is_code(first) && is_code(last) => {
                self.blocks.push((letters_of(first), letters_of(&whole_end(first, last))))
            }
            Some(_) => self.any = true,
            None if !is_code(plain) => self.any = true,
            None if plain.is_empty() => {}
            None => {
                let block = run_together(plain).map(|(first, last)| (letters_of(first), letters_of(last)));
                self.blocks.extend(block.filter(|(first, last)| is_up_to(first, last)));
                self.add_code(letters_of(plain), leaves_places_open);
            }
        }
    }

    fn add_code(&mut self, mut letters: Letters, leaves_places_open: bool) {
        let open = letters.iter().skip(1).position(|letter| *letter == OPEN_PLACE).map(|place| place + 1);
        match open.filter(|_| leaves_places_open && letters.len() < WHOLE_CODE_LETTERS) {
            _ if letters.is_empty() => self.any = true,
            Some(_) if self.open.len() < MAX_OPEN => self.open.push(letters),
            Some(place) => {
                letters.truncate(place);
                self.codes.push(letters);
            }
            None => self.codes.push(letters),
        }
    }

    /// Whether a record's code may be one of them, in one of them, or what is less exact than one.
    pub(super) fn may_mean(&self, own: &str) -> bool {
        if self.any {
            return true;
        }
        // Nearly all codes are written plainly.
        let is_plain = own.bytes().all(|letter| letter == b'.' || (letter.is_ascii_alphanumeric() && !matches!(letter, b'x' | b'X')));
        if is_plain { self.may_mean_code(&letters_of(own)) } else { self.may_mean_written(own) }
    }

    /// The same of one that may be a block, or leave places open: it means whatever it stands for.
    fn may_mean_written(&self, own: &str) -> bool {
        let plain = plainly_written(own);
        let plain = if self.leaves_places_open { without_open_places(&plain) } else { &plain };
        let mut letters = letters_of(plain);
        if let Some((first, last)) = plain.split_once('-') {
            let (first, last) = in_order(letters_of(first), letters_of(&whole_end(first, last)));
            return self.may_mean_code(&letters) || self.meet_block(&first, &last);
        }
        let open = letters.iter().skip(1).take(OPEN_UP_TO).position(|letter| *letter == OPEN_PLACE).map(|place| place + 1);
        if let Some(place) = open.filter(|_| self.leaves_places_open) {
            letters.truncate(place);
        }
        self.may_mean_code(&letters)
    }

    fn may_mean_code(&self, own: &[u8]) -> bool {
        self.have_beginning_of(own) || self.open.iter().any(|stated| begins_alike(stated, own)) || self.lies_in_block(own)
    }

    /// Whether one of them is in a block, or the other way round.
    fn meet_block(&self, first: &[u8], last: &[u8]) -> bool {
        let is_within = |stated: &[u8]| is_up_to(stated, last) && (stated >= first || first.starts_with(stated));
        let closed =
            |stated: &Letters| stated.iter().skip(1).position(|letter| *letter == OPEN_PLACE).map_or(stated.len(), |place| place + 1);
        self.codes.iter().any(|stated| is_within(stated))
            || self.open.iter().any(|stated| stated.get(..closed(stated)).is_some_and(is_within))
            || self.blocks.iter().any(|(begins, ends)| is_up_to(begins, last) && is_up_to(first, ends))
    }

    /// Whether one of them begins with the code, or the code with one of them.
    fn have_beginning_of(&self, own: &[u8]) -> bool {
        let next = self.codes.partition_point(|stated| stated.as_slice() < own);
        let goes_on = self.codes.get(next).is_some_and(|stated| stated.starts_with(own));
        let beginnings = self.lengths.iter().map_while(|length| own.get(..*length));
        goes_on || beginnings.into_iter().any(|beginning| self.codes.binary_search_by(|stated| stated.as_slice().cmp(beginning)).is_ok())
    }

    fn lies_in_block(&self, own: &[u8]) -> bool {
        let after = self.blocks.partition_point(|(first, _)| first.as_slice() <= own);
        let before = after.checked_sub(1).and_then(|place| self.blocks.get(place));
        // What is less exact than where a block begins may be in it.
        let begins = self.blocks.get(after).is_some_and(|(first, _)| first.starts_with(own));
        begins || before.is_some_and(|(_, last)| is_up_to(own, last))
    }
}

/// Whether a code is the end of a block, in it or before it.
fn is_up_to(own: &[u8], last: &[u8]) -> bool {
    own.get(..last.len()).unwrap_or(own) <= last
}

/// The ends of a block, whichever is named first.
fn in_order(first: Letters, last: Letters) -> (Letters, Letters) {
    if is_up_to(&first, &last) { (first, last) } else { (last, first) }
}

/// Blocks in order, those that meet as one.
fn merged(blocks: Vec<(Letters, Letters)>) -> Vec<(Letters, Letters)> {
    let mut blocks: Vec<(Letters, Letters)> = blocks.into_iter().map(|(first, last)| in_order(first, last)).collect();
    blocks.sort_unstable();
    let mut whole: Vec<(Letters, Letters)> = Vec::with_capacity(blocks.len());
    for (first, last) in blocks {
        match whole.last_mut().filter(|(_, before)| is_up_to(&first, before)) {
            Some((_, before)) if is_up_to(&last, before) => {}
            Some((_, before)) => *before = last,
            None => whole.push((first, last)),
        }
    }
    whole
}

/// Whether one of two codes begins with the other.
fn begins_alike(stated: &[u8], own: &[u8]) -> bool {
    let is_open = |place: usize, letter: u8| place > 0 && letter == OPEN_PLACE;
    stated.iter().zip(own).enumerate().all(|(place, (one, other))| one == other || is_open(place, *one))
}

/// What stands for any letter, but in codes that have all their letters: there it fills a place that means nothing.
const OPEN_PLACE: u8 = b'X';
const WHOLE_CODE_LETTERS: usize = 7;
/// So many places behind the first letter an x of a record's code may leave open. Behind these it fills a place.
const OPEN_UP_TO: usize = 3;

/// A code without the x's at its end, which stand for whatever follows: `F11.2x`, `304.XX`, `F1x`.
fn without_open_places(stated: &str) -> &str {
    let before = stated.trim_end_matches(['x', 'X', '.', '-']);
    if before.is_empty() { stated } else { before }
}

/// How many letters a category of a classification of diseases has.
const CATEGORY_LETTERS: usize = 3;

/// The ends of a block whose dash was lost, as `F10F19`: two categories, each a letter and two places that begin with a digit.
fn run_together(stated: &str) -> Option<(&str, &str)> {
    let (first, last) = stated.split_at_checked(CATEGORY_LETTERS)?;
    let last = last.trim_start_matches('.');
    let is_category = |part: &str| {
        let mut letters = part.bytes();
        part.len() == CATEGORY_LETTERS
            && letters.next().is_some_and(|letter| letter.is_ascii_alphabetic())
            && letters.next().is_some_and(|letter| letter.is_ascii_digit())
    };
    (is_category(first) && is_category(last)).then_some((first, last))
}

/// A code or a block with one kind of dash, without blanks beside it, and without what stands for whatever follows it: `F11.*`, `F11.x`, `F10.-`.
fn plainly_written(stated: &str) -> CompactString {
    let dashed = |letter: char| if matches!(letter, '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{FE63}' | '\u{FF0D}') { '-' } else { letter };
    let written: String = stated.chars().map(dashed).collect();
    let written = written.split('-').map(str::trim).collect::<Vec<_>>().join("-");
    let open = written.trim_end_matches(['-', '.', '*', '+', '!', '\u{2020}']);
    open.strip_suffix(".x").or_else(|| open.strip_suffix(".X")).unwrap_or(open).trim_end_matches(['-', '.']).into()
}

/// The end of a block; `19` of `F10-19` is `F19`.
fn whole_end(first: &str, last: &str) -> CompactString {
    let stem = first.trim_end_matches(|letter: char| !letter.is_ascii_alphabetic());
    let is_short = last.starts_with(|letter: char| letter.is_ascii_digit()) && stem.len() == 1;
    if is_short { format_compact!("{stem}{last}") } else { last.into() }
}

fn letters_of(code: &str) -> Letters {
    let letters = code.bytes().filter(|letter| !matches!(letter, b'.' | b'-'));
    letters.map(|letter| letter.to_ascii_uppercase()).take(MAX_LETTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::super::code::Code;
    use super::super::codes::Codes;

    #[test]
    fn a_category_or_a_block_is_understood_however_it_is_written() {
        const CM: &str = "http://hl7.org/fhir/sid/icd-10-cm";
        const NINE: &str = "http://hl7.org/fhir/sid/icd-9-cm";
        const ELEVEN_OF_2024: &str = "http://id.who.int/icd/release/11/2024-01/mms";
        for (stated_in, stated, own_in, own, holds) in [
            (CM, "F10-F19", CM, "F11.20", true),
            (CM, "F10\u{2013}F19", CM, "F11.20", true),
            (CM, "F10 - F19", CM, "F11.20", true),
            (CM, "F10-19", CM, "F11.20", true),
            (CM, "F10-F19.9", CM, "F11.20", true),
            (CM, "F11.*", CM, "F11.20", true),
            (CM, "F11.x", CM, "F11.20", true),
            (CM, "F11.-", CM, "F11.20", true),
            (CM, "F10-F19", CM, "F20.9", false),
            (CM, "F10-19", CM, "I10", false),
            (CM, "F11.*", CM, "F12.1", false),
            (CM, "opioid dependence, any", CM, "F11.20", true),
            (NINE, "290-319", NINE, "304.00", true),
            (NINE, "303-304", NINE, "304.00", true),
            (NINE, "290-319", NINE, "401.9", false),
            ("http://fhir.de/CodeSystem/dimdi/icd-10-gm", "F11", CM, "F11.2", true),
            ("http://fhir.de/CodeSystem/bfarm/icd-10-gm", "F11", "urn:oid:1.2.276.0.76.5.409", "F11.2", true),
            ("http://fhir.de/CodeSystem/dimdi/atc", "N07", "http://www.whocc.no/atc", "N07BC02", true),
            ("http://id.who.int/icd/release/11/mms", "6C43", "http://id.who.int/icd/release/11/mms", "6C43.2", true),
            ("http://id.who.int/icd/release/11/mms", "6C43", "http://id.who.int/icd/release/11/mms", "6A20", false),
            (CM, "F10-F19", "http://snomed.info/sct", "75544000", false),
            // An x stands for whatever may follow, or for any letter.
            (CM, "F11.2x", CM, "F11.20", true),
            (CM, "F11.2X", CM, "F11.20", true),
            (CM, "F11.2x", CM, "F11.10", false),
            (CM, "F1x.2", CM, "F11.20", true),
            (CM, "F1x.2", CM, "F11.10", false),
            (CM, "F1x", CM, "F11.20", true),
            (CM, "F1x", CM, "F20.9", false),
            (CM, "X78", CM, "F11.20", false),
            (CM, "T40.1X1", CM, "T40.1X1A", true),
            (CM, "T40.1X1A", CM, "T40.1X2A", false),
            (NINE, "304.0x", NINE, "304.00", true),
            (NINE, "304.XX", NINE, "304.00", true),
            (NINE, "30x", NINE, "304.00", true),
            (NINE, "30x", NINE, "401.9", false),
            // In other classifications it is a letter.
            ("http://www.whocc.no/atc", "N07XX", "http://www.whocc.no/atc", "N07BC02", false),
            ("http://www.cms.gov/Medicare/Coding/ICD10", "0DJD8ZX", "http://www.cms.gov/Medicare/Coding/ICD10", "0DJD8ZZ", false),
            (CM, "F10 to F19", CM, "F11.20", true),
            (CM, "F10F19", CM, "F11.20", true),
            (CM, "F10F19", CM, "F20.9", false),
            (CM, "F10-F19, F30", CM, "F30.1", true),
            ("http://id.who.int/icd/release/11/mms", "6C43.x", "http://id.who.int/icd/release/11/mms", "6C43.2", true),
            (CM, "G40.A01", CM, "G40.A01", true),
            (CM, "G40.A01", CM, "F11.20", false),
            (ELEVEN_OF_2024, "6C43", "http://id.who.int/icd/release/11/mms", "6C43.2", true),
            ("http://hl7.org/fhir/sid/icd-10-am", "F11", "http://hl7.org/fhir/sid/icd-10-am", "F11.2", true),
            ("http://hl7.org/fhir/sid/icd-10-nl", "F11", CM, "F11.2", true),
            ("http://hl7.org/fhir/sid/icd-9-cm/diagnosis", "304", NINE, "304.00", true),
            ("http://hl7.org/fhir/sid/icd-10-pcs", "F11", CM, "F11.2", false),
            // A record may say less than a denial, or name a block itself.
            (CM, "F10.1-F10.9", CM, "F10", true),
            (CM, "F10.10-F10.19", CM, "F10.1", true),
            (CM, "F10.10-F10.19", CM, "F10.2", false),
            (CM, "F11.2", CM, "F10-F19", true),
            (CM, "F11", CM, "F10 - F19", true),
            (CM, "F11", CM, "F19-F10", true),
            (CM, "F20", CM, "F10-F19", false),
            (CM, "F10-F11", CM, "F11-F19", true),
            (CM, "F10-F11", CM, "F12-F19", false),
            (CM, "F1x.2", CM, "F10-F19", true),
            (CM, "F2x.2", CM, "F10-F19", false),
            (CM, "F11", CM, "F1x.2", true),
            (CM, "F11", CM, "F11.x", true),
            (CM, "F20", CM, "F1x.2", false),
            (CM, "T40.1X1", CM, "T40.1X2A", false),
            (CM, "F19-F10", CM, "F15", true),
            (CM, "F19-F10", CM, "F20", false),
        ] {
            let meant: Codes = std::iter::once(Code::new(stated_in, stated)).collect();
            assert_eq!(meant.may_mean(&Code::new(own_in, own)), holds, "{stated} {own}");
        }
    }
}
