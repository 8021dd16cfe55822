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
        let mut forms = Forms::default();
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
        for form in forms_of(stated, leaves_places_open) {
            match form {
                Form::Any => self.any = true,
                Form::Block(first, last) => self.blocks.push((first, last)),
                Form::Open(letters) if self.open.len() < MAX_OPEN => self.open.push(letters),
                Form::Open(letters) => self.codes.push(before_open_place(&letters).to_vec()),
                Form::Code(letters) => self.codes.push(letters),
            }
        }
    }

    /// Whether a record's code may be one of them, in one of them, or what is less exact than one.
    pub(super) fn may_mean(&self, own: &str, leaves_places_open: bool, tells_system: bool) -> bool {
        let is_empty = self.codes.is_empty() && self.open.is_empty() && self.blocks.is_empty();
        self.any || (!is_empty && forms_of_record(own, leaves_places_open, tells_system).iter().any(|form| self.meet(form)))
    }

    fn meet(&self, own: &Form) -> bool {
        match own {
            Form::Any => true,
            Form::Code(own) => {
                self.have_beginning_of(own) || self.open.iter().any(|stated| begins_alike(stated, own)) || self.meet_block(own, own)
            }
            Form::Open(own) => {
                let before = before_open_place(own);
                self.codes.iter().chain(&self.open).any(|stated| begins_alike(stated, own)) || self.meet_block(before, before)
            }
            Form::Block(first, last) => {
                let lies_in_it = |stated: &[u8]| is_up_to(first, stated) && is_up_to(stated, last);
                let mut codes = self.codes.iter().chain(&self.open);
                codes.any(|stated| lies_in_it(before_open_place(stated))) || self.meet_block(first, last)
            }
        }
    }

    /// Whether one of them begins with the code, or the code with one of them.
    fn have_beginning_of(&self, own: &[u8]) -> bool {
        let next = self.codes.partition_point(|stated| stated.as_slice() < own);
        let goes_on = self.codes.get(next).is_some_and(|stated| stated.starts_with(own));
        let beginnings = self.lengths.iter().map_while(|length| own.get(..*length));
        goes_on || beginnings.into_iter().any(|beginning| self.codes.binary_search_by(|stated| stated.as_slice().cmp(beginning)).is_ok())
    }

    /// Whether a block has anything of what lies between two codes, which are of it themselves with all that begins with them.
    fn meet_block(&self, own_first: &[u8], own_last: &[u8]) -> bool {
        let after = self.blocks.partition_point(|(first, _)| is_up_to(first, own_last));
        let before = after.checked_sub(1).and_then(|place| self.blocks.get(place));
        before.is_some_and(|(_, last)| is_up_to(own_first, last))
    }
}

/// Whether a code, or something that begins with it, is the end of a block, in it or before it.
fn is_up_to(own: &[u8], last: &[u8]) -> bool {
    own.get(..last.len()).unwrap_or(own) <= last
}

/// Blocks in order, those that meet as one.
fn merged(mut blocks: Vec<(Letters, Letters)>) -> Vec<(Letters, Letters)> {
    blocks.sort_unstable();
    let mut whole: Vec<(Letters, Letters)> = Vec::with_capacity(blocks.len());
    for (first, last) in blocks {
        match whole.last_mut().filter(|(_, before)| is_up_to(&first, before)) {
            // A category ends after the codes in it.
            Some((_, before)) if is_up_to(&last, before) && !before.starts_with(&last) => {}
            Some((_, before)) => *before = last,
            None => whole.push((first, last)),
        }
    }
    whole
}

/// Whether one of two codes begins with the other.
fn begins_alike(stated: &[u8], own: &[u8]) -> bool {
    stated.iter().zip(own).all(|(one, other)| one == other || *one == ANY_LETTER || *other == ANY_LETTER)
}

/// What one code may stand for, as it is written.
#[derive(Debug)]
enum Form {
    /// It is in no form of a code, and may be any.
    Any,
    /// A code or a category.
    Code(Letters),
    /// A code with places that stand for any letter.
    Open(Letters),
    /// A block by its ends.
    Block(Letters, Letters),
}

impl Form {
    fn of_code(mut letters: Letters, leaves_places_open: bool) -> Form {
        if !leaves_places_open || letters.len() >= WHOLE_CODE_LETTERS {
            return Form::Code(letters);
        }
        letters.iter_mut().skip(1).filter(|letter| **letter == OPEN_PLACE).for_each(|letter| *letter = ANY_LETTER);
        if letters.contains(&ANY_LETTER) { Form::Open(letters) } else { Form::Code(letters) }
    }

    /// A block with its ends in order: the wrong way round, it is what lies between them all the same.
    fn of_block(first: &str, last: &str, leaves_places_open: bool) -> Form {
        let end_of = |written: &str| match Form::of_code(letters_of(written), leaves_places_open) {
            Form::Open(letters) => before_open_place(&letters).to_vec(),
            _ => letters_of(written),
        };
        let (first, last) = (end_of(first), end_of(&whole_end(first, last)));
        if is_up_to(&first, &last) { Form::Block(first, last) } else { Form::Block(last, first) }
    }

    /// Whether it is a code of a classification by its looks: the numbers of other systems have dashes, too, as in `718-7`.
    fn is_surely_of_codes(&self) -> bool {
        match self {
            Form::Any => false,
            Form::Code(_) | Form::Open(_) => true,
            Form::Block(first, last) => first.len() == last.len() && first.len() >= CATEGORY_LETTERS,
        }
    }
}

fn forms_of(written: &str, leaves_places_open: bool) -> Vec<Form> {
    let plain = plainly_written(written);
    let plain = if leaves_places_open { without_open_places(&plain) } else { &plain };
    match plain.split_once('-') {
        Some((first, last)) if is_code(first) && is_code(last) => vec![Form::of_block(first, last, leaves_places_open)],
        None if is_code(plain) => forms_of_code(plain, leaves_places_open),
        _ => vec![Form::Any],
    }
}

/// What a code stands for that is no block, unless one whose dash was lost.
fn forms_of_code(plain: &str, leaves_places_open: bool) -> Vec<Form> {
    let letters = letters_of(plain);
    if letters.is_empty() {
        return vec![Form::Any];
    }
    let ends = run_together(plain).map(|(first, last)| (letters_of(first), letters_of(last)));
    let block = ends.filter(|(first, last)| is_up_to(first, last)).map(|(first, last)| Form::Block(first, last));
    block.into_iter().chain([Form::of_code(letters, leaves_places_open)]).collect()
}

/// What the code of a record may stand for. Of one that does not say of which system it is, what is in no form of a code is no more than its letters.
fn forms_of_record(own: &str, leaves_places_open: bool, tells_system: bool) -> Vec<Form> {
    let is_plain = |letter: u8| (letter.is_ascii_alphanumeric() || letter == b'.') && !letter.eq_ignore_ascii_case(&OPEN_PLACE);
    if own.bytes().all(is_plain) {
        return forms_of_code(own, leaves_places_open);
    }
    let plain = plainly_written(own);
    let parts = plain.split(|letter: char| letter.is_whitespace() || BETWEEN_CODES.contains(&letter)).filter(|part| !part.is_empty());
    // A letter alone after a code says how sure it is, or on which side: `F11.2 G`.
    let codes: Vec<&str> = parts.enumerate().filter(|(place, part)| *place == 0 || part.len() > 1).map(|(_, part)| part).collect();
    let are_codes = codes.len() < 2 || codes.iter().all(|code| code.bytes().any(|letter| letter.is_ascii_digit()));
    let forms: Vec<Form> = codes.iter().flat_map(|code| forms_of(code, leaves_places_open)).collect();
    let is_sure = are_codes && !forms.is_empty() && forms.iter().all(|form| tells_system || form.is_surely_of_codes());
    match is_sure {
        true => forms,
        false if tells_system => vec![Form::Any],
        false => vec![Form::Code(letters_of(own))],
    }
}

/// What stands for any letter, but in codes that have all their letters: there it fills a place that means nothing.
const OPEN_PLACE: u8 = b'X';
/// What is written in an open place for comparing. No code has it.
const ANY_LETTER: u8 = b'?';
const WHOLE_CODE_LETTERS: usize = 7;

/// What stands between the codes of one record: a cluster of ICD-11, a dagger and its star, or a list.
const BETWEEN_CODES: [char; 8] = ['/', '&', ',', ';', '+', '*', '!', '\u{2020}'];

fn before_open_place(letters: &[u8]) -> &[u8] {
    letters.split(|letter| *letter == ANY_LETTER).next().unwrap_or(letters)
}

fn is_code(written: &str) -> bool {
    written.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'.')
}

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
        ] {
            let meant: Codes = std::iter::once(Code::new(stated_in, stated)).collect();
            assert_eq!(meant.may_mean(&Code::new(own_in, own)), holds, "{stated} {own}");
        }
    }

    const CM: &str = "http://hl7.org/fhir/sid/icd-10-cm";
    const ELEVEN: &str = "http://id.who.int/icd/release/11/mms";

    fn means(stated: &[(&str, &str)], system: &str, own: &str) -> bool {
        let stated: Codes = stated.iter().map(|(system, code)| Code::new(system, code)).collect();
        stated.may_mean(&Code::new(system, own))
    }

    #[test]
    fn a_record_is_met_by_a_denial_that_it_may_mean_however_inexact_it_is() {
        for (system, stated, own, holds) in [
            // It is less exact than the block.
            (CM, "F10.1-F10.9", "F10", true),
            (CM, "F10.10-F10.19", "F10.1", true),
            (CM, "F10.10-F10.19", "F10.2", false),
            (CM, "F10.10-F10.19", "F1", true),
            (CM, "F10.1-F10.9", "F11", false),
            // It is a block.
            (CM, "F11.2", "F10-F19", true),
            (CM, "F11", "F10 - F19", true),
            (CM, "F11", "F10\u{2013}19", true),
            (CM, "F11", "F10F19", true),
            (CM, "F1x.2", "F10-F12", true),
            (CM, "F15-F25", "F10-F19", true),
            (CM, "F11", "F19-F10", true),
            (CM, "F20", "F10-F19", false),
            (CM, "F20-F29", "F10-F19", false),
            // It leaves places open.
            (CM, "F11", "F1x.2", true),
            (CM, "F11.2", "F1x.2", true),
            (CM, "F11.1", "F1x.2", false),
            (CM, "F1x.1", "F1x.2", false),
            (CM, "F2x.2", "F1x.2", false),
            (CM, "F10-F19", "F1x.2", true),
            (CM, "F20-F29", "F1x.2", false),
            (CM, "T40.1X1A", "T40.1X2A", false),
            // It is several, or in no form of a code.
            (CM, "F11", "F10.1,F11.2", true),
            (CM, "F11", "F11.2 G", true),
            (CM, "G40", "F11.2 G", false),
            (CM, "F12", "F10.1,F11.2", false),
            (CM, "F11", "F10 to F19", true),
            (CM, "F11", "(any opioid)", true),
            (ELEVEN, "6C43", "6D10/6C43.2", true),
            (ELEVEN, "6C44", "6C43.2&XS25", false),
            // The denied block is the wrong way round, or has open ends.
            (CM, "F19-F10", "F15", true),
            (CM, "F19-F10", "F19.2", true),
            (CM, "F19-F10", "F20", false),
            (CM, "F10.x-F19.x", "F10.1", true),
            (CM, "F1x-F2x", "F11.2", true),
            (CM, "*", "F11.2", true),
        ] {
            assert_eq!(means(&[(system, stated)], system, own), holds, "{stated} {own}");
        }
    }

    /// A code that says of no system is one of a classification only if it looks like one.
    #[test]
    fn what_is_of_no_told_system_is_read_as_codes_if_it_looks_so() {
        for (stated, own, holds) in
            [("F11", "F10-F19", true), ("F11", "F1x.2", true), ("F11", "any opioid", false), ("F11", "718-7", false)]
        {
            assert_eq!(means(&[(CM, stated)], "", own), holds, "{stated} {own}");
        }
        assert!(!means(&[("http://hl7.org/fhir/sid/icd-9-cm", "720")], "", "718-7"));
    }

    /// Blocks that meet are as long as the longer one.
    #[test]
    fn a_block_is_not_cut_short_by_another() {
        let blocks = [(CM, "F10-F19.1"), (CM, "F12-F19")];
        assert!(means(&blocks, CM, "F19.9") && !means(&blocks, CM, "F20"));
    }
}
