//! Codes, identifiers and references in the one form in which they are compared.

use super::vocabulary::in_capitals;
use crate::fhir::Node;
use crate::normalise::vocabulary::SOURCE_URN;
use compact_str::{CompactString, format_compact};

/// A code with its system. Systems are canonical: no version, no trailing slash, OIDs and old URIs replaced by the URI in force.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code {
    /// Empty when none was given: such a code never satisfies a permit.
    pub system: CompactString,
    pub code: CompactString,
}

/// A business identifier: `Identifier.system` and `.value`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identifier {
    /// Empty when none was given: such an identifier never satisfies a permit.
    pub system: CompactString,
    pub value: CompactString,
}

/// A literal reference without its version, `Patient/1`, `https://example.org/fhir/Patient/1` or `urn:uuid:…`; or a logical one, by identifier.
#[derive(Debug, Clone)]
pub struct Reference {
    text: CompactString,
    /// Where `Type/id` begins in the text, for references that end so.
    relative_at: Option<u32>,
}

impl PartialEq for Reference {
    fn eq(&self, other: &Reference) -> bool {
        self.text == other.text
    }
}

impl Eq for Reference {}

impl std::hash::Hash for Reference {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// What stands before the name in the address of a value set.
pub(super) const VALUE_SET: &str = "ValueSet/";

/// The system of identifiers that are URIs themselves.
const URI_SYSTEM: &str = "urn:ietf:rfc:3986";

/// The CMS list of the places where a service was given.
pub(super) const PLACE_OF_SERVICE: &str = "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set";
/// The NUBC list of what a hospital charges for.
pub(super) const REVENUE: &str = "https://www.nubc.org/CodeSystem/RevenueCodes";
/// Procedures, products and modifiers of CMS.
pub(super) const HCPCS: &str = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets";

/// OIDs, URIs of earlier releases, and value sets mistaken for systems, with the system they stand for.
const ALIASES: [(&str, &str); 41] = [
    ("urn:oid:2.16.840.1.113883.6.1", "http://loinc.org"),
    ("urn:oid:2.16.840.1.113883.6.96", "http://snomed.info/sct"),
    ("urn:oid:2.16.840.1.113883.6.88", "http://www.nlm.nih.gov/research/umls/rxnorm"),
    ("urn:oid:2.16.840.1.113883.6.90", "http://hl7.org/fhir/sid/icd-10-cm"),
    ("urn:oid:2.16.840.1.113883.6.4", "http://www.cms.gov/Medicare/Coding/ICD10"),
    ("http://hl7.org/fhir/sid/icd-10-pcs", "http://www.cms.gov/Medicare/Coding/ICD10"),
    ("urn:oid:2.16.840.1.113883.6.3", "http://hl7.org/fhir/sid/icd-10"),
    ("urn:oid:2.16.840.1.113883.6.103", "http://hl7.org/fhir/sid/icd-9-cm"),
    ("urn:oid:2.16.840.1.113883.6.12", "http://www.ama-assn.org/go/cpt"),
    ("urn:oid:2.16.840.1.113883.6.69", "http://hl7.org/fhir/sid/ndc"),
    ("urn:oid:2.16.840.1.113883.12.292", "http://hl7.org/fhir/sid/cvx"),
    ("urn:oid:2.16.840.1.113883.6.285", "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"),
    ("http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"),
    ("urn:oid:2.16.840.1.113883.6.50", PLACE_OF_SERVICE),
    ("http://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set", PLACE_OF_SERVICE),
    ("https://www.cms.gov/Medicare/Coding/place-of-service-codes", PLACE_OF_SERVICE),
    ("http://www.cms.gov/Medicare/Coding/place-of-service-codes", PLACE_OF_SERVICE),
    ("http://terminology.hl7.org/CodeSystem/ex-serviceplace", PLACE_OF_SERVICE),
    ("urn:oid:2.16.840.1.113883.6.301.3", REVENUE),
    ("http://www.nubc.org/CodeSystem/RevenueCodes", REVENUE),
    ("https://www.nubc.org/CodeSystem/RevenueCode", REVENUE),
    ("http://terminology.hl7.org/CodeSystem/ex-revenue-center", REVENUE),
    ("urn:oid:2.16.840.1.113883.6.101", "http://nucc.org/provider-taxonomy"),
    ("urn:oid:2.16.840.1.113883.6.73", "http://www.whocc.no/atc"),
    ("http://fhir.de/CodeSystem/dimdi/icd-10-gm", ICD_10_GM),
    ("urn:oid:1.2.276.0.76.5.409", ICD_10_GM),
    ("http://fhir.de/CodeSystem/dimdi/atc", "http://fhir.de/CodeSystem/bfarm/atc"),
    ("urn:oid:2.16.840.1.113883.5.25", "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"),
    ("urn:oid:2.16.840.1.113883.5.4", "http://terminology.hl7.org/CodeSystem/v3-ActCode"),
    ("urn:oid:2.16.840.1.113883.5.8", "http://terminology.hl7.org/CodeSystem/v3-ActReason"),
    ("http://hl7.org/fhir/v3/Confidentiality", "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"),
    ("http://hl7.org/fhir/v3/ActCode", "http://terminology.hl7.org/CodeSystem/v3-ActCode"),
    ("http://hl7.org/fhir/v3/ActReason", "http://terminology.hl7.org/CodeSystem/v3-ActReason"),
    ("http://terminology.hl7.org/ValueSet/v3-PurposeOfUse", "http://terminology.hl7.org/CodeSystem/v3-ActReason"),
    ("http://terminology.hl7.org/ValueSet/v3-ActReason", "http://terminology.hl7.org/CodeSystem/v3-ActReason"),
    ("http://terminology.hl7.org/ValueSet/v3-Confidentiality", "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"),
    ("http://terminology.hl7.org/ValueSet/v3-ActCode", "http://terminology.hl7.org/CodeSystem/v3-ActCode"),
    ("http://hl7.org/fhir/ValueSet/resource-types", "http://hl7.org/fhir/resource-types"),
    ("http://hl7.org/fhir/fhir-types", "http://hl7.org/fhir/resource-types"),
    ("http://hl7.org/fhir/consentaction", "http://terminology.hl7.org/CodeSystem/consentaction"),
    ("http://hl7.org/fhir/ValueSet/consent-action", "http://terminology.hl7.org/CodeSystem/consentaction"),
];

pub(super) const LOINC: &str = "http://loinc.org";
pub(super) const ICD_10_GM: &str = "http://fhir.de/CodeSystem/bfarm/icd-10-gm";
/// How the codes of LOINC's groups, parts and lists of answers begin.
const GROUPS_OF_LOINC: [&str; 3] = ["LG", "LL", "LP"];
impl Code {
    /// A code in comparable form.
    pub fn new(system: &str, code: &str) -> Code {
        let system = canonical_system(system);
        let code = canonical_code(&system, code.trim());
        Code { system, code }
    }

    /// Reads a `Coding`; `None` without a code.
    pub(super) fn from_coding(coding: &Node) -> Option<Code> {
        let code = coding.text("code").filter(|code| !code.trim().is_empty())?;
        Some(Code::new(coding.text("system").unwrap_or_default(), code))
    }

    pub(super) fn is(&self, system: &str, code: &str) -> bool {
        self.code == code && self.system == system
    }

    /// Whether it is said of which system it is. A set of values is drawn from systems, and is none.
    pub(super) fn tells_system(&self) -> bool {
        !self.system.is_empty() && !self.system.contains(VALUE_SET)
    }

    /// Whether two codes may be the same, as far as their systems are told.
    pub(super) fn may_be(&self, other: &Code) -> bool {
        let are_told = self.tells_system() && other.tells_system();
        self.code.eq_ignore_ascii_case(&other.code) && (!are_told || self.system == other.system)
    }

    /// Whether it stands for many codes of LOINC: a group, a part, or a list of answers.
    pub(super) fn is_group_of_loinc(&self) -> bool {
        self.system == LOINC && GROUPS_OF_LOINC.iter().any(|prefix| self.code.starts_with(prefix))
    }
}

fn canonical_system(system: &str) -> CompactString {
    let system = system.trim();
    let bare = canonical_uri(system.split_once('|').map_or(system, |(uri, _)| uri).trim_end_matches('/'));
    ALIASES.iter().find(|(alias, _)| *alias == bare).map_or(bare, |(_, uri)| (*uri).into())
}

/// OIDs with their scheme, which in a URI is in small letters.
fn canonical_uri(uri: &str) -> CompactString {
    let is_oid = uri.contains('.') && uri.split('.').all(|arc| !arc.is_empty() && arc.bytes().all(|digit| digit.is_ascii_digit()));
    let scheme = uri.get(..8).filter(|scheme| scheme.eq_ignore_ascii_case("urn:oid:"));
    match scheme.and_then(|scheme| uri.get(scheme.len()..)) {
        Some(oid) => format_compact!("urn:oid:{oid}"),
        None if is_oid => format_compact!("urn:oid:{uri}"),
        None => uri.into(),
    }
}

/// Classifications of diseases whose codes are written with a dot or, in claims, without, and how many characters stand before it.
const DOTTED: [(&str, usize); 4] = [
    ("http://hl7.org/fhir/sid/icd-10-cm", 3),
    ("http://hl7.org/fhir/sid/icd-10", 3),
    (ICD_10_GM, 3),
    ("http://hl7.org/fhir/sid/icd-9-cm", 3),
];

/// The code of a classification of diseases with its dot, in capitals; any other as it is.
fn canonical_code(system: &str, code: &str) -> CompactString {
    if let Some(label) = in_capitals(system, code) {
        return label;
    }
    let Some((_, stem)) = DOTTED.iter().find(|(dotted, _)| *dotted == system) else { return code.into() };
    let capitals = code.to_ascii_uppercase();
    // The external causes of ICD-9 have one character more before the dot.
    let stem = if capitals.starts_with('E') && system.ends_with("icd-9-cm") { stem + 1 } else { *stem };
    let is_bare = capitals.bytes().all(|letter| letter.is_ascii_alphanumeric());
    match capitals.split_at_checked(stem) {
        Some((stem, rest)) if is_bare && !rest.is_empty() => format_compact!("{stem}.{rest}"),
        _ => capitals.into(),
    }
}

impl Identifier {
    /// Reads an `Identifier`; `None` without a value.
    pub(super) fn from_node(node: &Node) -> Option<Identifier> {
        let value = node.text("value").map(str::trim).filter(|value| !value.is_empty())?;
        Some(Identifier::new(node.text("system").unwrap_or_default(), value))
    }

    /// An identifier in comparable form: an OID is the same with its scheme and without, as a system and as what is identified by a URI.
    pub(super) fn new(system: &str, value: &str) -> Identifier {
        let system = canonical_uri(system.trim());
        let value = if system == URI_SYSTEM { canonical_uri(value) } else { value.into() };
        Identifier { system, value }
    }

    pub(super) fn has_system(&self) -> bool {
        !self.system.is_empty()
    }

    /// Whether it was said of which system it is. What came without one has a system that the gateway gave it for its source, which says nothing of that.
    pub(super) fn is_of_told_system(&self) -> bool {
        self.has_system() && !self.system.starts_with(SOURCE_URN)
    }
}

impl Reference {
    /// A reference in comparable form; `None` for an empty text and for a fragment, which means nothing outside its resource.
    pub fn new(text: &str) -> Option<Reference> {
        let text = text.trim();
        let current = text.split_once("/_history/").map_or(text, |(before, _)| before).trim_end_matches('/');
        (!current.is_empty() && !current.starts_with('#')).then(|| Reference { relative_at: relative_at(current), text: current.into() })
    }

    /// The version a reference names, `1` of `Observation/o/_history/1`.
    pub(super) fn version_in(text: &str) -> Option<CompactString> {
        text.trim().split_once("/_history/").map(|(_, version)| version.into())
    }

    /// Reads `Reference.reference`.
    pub(super) fn from_node(node: &Node) -> Option<Reference> {
        Reference::new(node.text("reference")?)
    }

    /// Reads both ways in which a `Reference` may name something.
    pub fn names_in(node: &Node) -> impl Iterator<Item = Reference> + use<> {
        Reference::from_node(node).into_iter().chain(Reference::logical(node))
    }

    /// Reads what a `Reference` names by its identifier, beside a literal reference or without one (R4 §2.3.0.2), as FHIR writes the search for
    /// it: `Encounter?identifier=system|value`. The type is missing where the element does not tell it.
    pub fn logical(node: &Node) -> Option<Reference> {
        let identifier = node.get("identifier").filter(|identifier| identifier.as_object().is_some())?;
        let literal = Reference::from_node(node);
        let stated = node.text("type").map(|name| name.rsplit('/').next().unwrap_or(name));
        let type_name = literal.as_ref().and_then(Reference::type_name).or(stated).unwrap_or_default();
        Some(Reference::by_identifier(type_name, &Identifier::from_node(identifier)?))
    }

    /// The reference by which a record of a type is named logically.
    pub fn by_identifier(type_name: &str, identifier: &Identifier) -> Reference {
        let value = escaped(&identifier.value);
        let token = if identifier.has_system() { format_compact!("{}|{value}", escaped(&identifier.system)) } else { value };
        Reference { text: format_compact!("{type_name}{BY_IDENTIFIER}{token}"), relative_at: None }
    }

    /// What bears the UUID or the OID that a reference is (RFC 4122 §3, RFC 3061), as its business identifier.
    pub fn by_urn(&self) -> Option<Reference> {
        let begins = |scheme: &&str| self.text.get(..scheme.len()).is_some_and(|own| own.eq_ignore_ascii_case(scheme));
        [UUID_SCHEME, OID_SCHEME].iter().any(begins).then(|| Reference::by_identifier("", &Identifier::new(URI_SYSTEM, &self.text)))
    }

    /// Of a logical reference the type, empty where none is told, and the search value that finds what it names.
    pub fn sought(&self) -> Option<(&str, &str)> {
        self.text.split_once(BY_IDENTIFIER).filter(|_| self.relative_at.is_none())
    }

    /// The reference a resource answers to: `Type/id`.
    pub(super) fn of_resource(resource: &Node) -> Option<Reference> {
        let (type_name, id) = (resource.resource_type()?, resource.text("id")?);
        Reference::new(&format_compact!("{type_name}/{id}"))
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `Type/id`, the end of a RESTful reference; `None` for `urn:` and other references.
    pub fn relative(&self) -> Option<&str> {
        self.text.get(self.relative_at? as usize..)
    }

    /// The type the reference points to, when it says so.
    pub fn type_name(&self) -> Option<&str> {
        self.relative()?.split('/').next()
    }

    /// Whether it is `Type/id` alone.
    pub(super) fn has_no_base(&self) -> bool {
        self.relative_at == Some(0)
    }

    /// Whether two references may mean the same resource, were the unstated base of one the base of the other.
    pub(super) fn may_be(&self, other: &Reference) -> bool {
        let one_has_no_base = self.has_no_base() || other.has_no_base();
        (one_has_no_base && self.relative_at.is_some() && self.relative() == other.relative()) || self == other
    }
}

/// What a UUID begins with where it is a URI.
pub(super) const UUID_SCHEME: &str = "urn:uuid:";
/// The same of an OID.
pub(super) const OID_SCHEME: &str = "urn:oid:";
/// What stands between the type and the search value of a logical reference.
const BY_IDENTIFIER: &str = "?identifier=";

/// A search value with what means something in one escaped (R4 §3.1.1.5.7).
fn escaped(value: &str) -> CompactString {
    value.chars().flat_map(|letter| matches!(letter, '\\' | ',' | '$' | '|').then_some('\\').into_iter().chain([letter])).collect()
}

fn relative_at(text: &str) -> Option<u32> {
    let (before, id) = text.rsplit_once('/')?;
    let type_name = before.rsplit('/').next()?;
    let is_type = type_name.starts_with(|letter: char| letter.is_ascii_uppercase()) && type_name.bytes().all(|b| b.is_ascii_alphabetic());
    is_type.then(|| u32::try_from(text.len() - id.len() - type_name.len() - 1).ok()).flatten()
}

/// A list element leniently: its items, or the one value where a list was forgotten.
pub(super) fn items<'a>(node: &'a Node, name: &str) -> &'a [Node] {
    match node.get(name) {
        Some(found) => found.as_list().unwrap_or(std::slice::from_ref(found)),
        None => &[],
    }
}

/// Every coding of a `CodeableConcept`, or the node itself when it is a `Coding`.
pub(super) fn codings(node: &Node) -> &[Node] {
    if node.get("coding").is_some() { items(node, "coding") } else { std::slice::from_ref(node) }
}
