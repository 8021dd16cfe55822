//! HL7's JSON Schema as it is published, made one that documents of the release meet.
//!
//! Four things in it are not as the release itself says: a pattern with a brace too many (`decimal` of R5), no companion `_x` for members of type
//! `canonical`, a list of alternatives where a resource stands inside another, which would answer every defect with "none of these", and what `\S`
//! is: the patterns are Java's, to which a no-break space is no white space (R4B's own code systems have it in texts).

use jsonschema::{PatternOptions, ValidationOptions};
use serde_json::{Map, Value as Json, json};
use std::collections::HashMap;

/// How large one compiled pattern of the schema may be, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// The draft of JSON Schema in which HL7 writes.
const DRAFT: &str = "http://json-schema.org/draft-06/schema#";
/// White space to Java's patterns, and what else is white space to others, as members of a class.
const SPACES: &str = " \\t\\n\\r\\f\\v";
const OTHER_SPACES: &str = "\u{85}\u{A0}\u{1680}\u{2000}-\u{200A}\u{2028}\u{2029}\u{202F}\u{205F}\u{3000}\u{FEFF}";
/// The part of the schema that lists all resource types.
const ANY_RESOURCE: &str = "ResourceList";

/// The schema, mended, and how many of its patterns are no regular expressions and were left out.
pub fn read(bytes: &[u8]) -> Result<(Json, usize), String> {
    let mut schema: Json = serde_json::from_slice(bytes).map_err(|_| "this is not JSON".to_owned())?;
    let definitions = schema.get_mut("definitions").and_then(Json::as_object_mut);
    let definitions = definitions.filter(|all| all.contains_key(ANY_RESOURCE));
    let definitions = definitions.ok_or_else(|| format!("a JSON Schema of FHIR has definitions, {ANY_RESOURCE} among them"))?;
    definitions.insert(ANY_RESOURCE.to_owned(), json!({"type": "object", "required": ["resourceType"]}));
    let mut broken = BrokenPatterns::default();
    for definition in definitions.values_mut() {
        broken.drop_from(definition);
        if let Some(properties) = definition.get_mut("properties").and_then(Json::as_object_mut) {
            add_companions(properties);
        }
    }
    Ok((json!({"$schema": DRAFT, "definitions": definitions}), broken.dropped))
}

/// How schemas are compiled: patterns run in time linear in the text.
pub fn options() -> ValidationOptions<'static> {
    jsonschema::options().with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES_MAX))
}

/// Gives members of type `canonical` the `_x` beside them that every primitive may have.
fn add_companions(properties: &mut Map<String, Json>) {
    let mut missing = Vec::new();
    for (name, stated) in properties.iter() {
        let (canonical, element) = (json!("#/definitions/canonical"), json!({"$ref": "#/definitions/Element"}));
        let companion = if stated.get("$ref") == Some(&canonical) {
            element
        } else if stated.pointer("/items/$ref") == Some(&canonical) {
            json!({"type": "array", "items": element})
        } else {
            continue;
        };
        missing.push((format!("_{name}"), companion));
    }
    for (name, companion) in missing {
        properties.entry(name).or_insert(companion);
    }
}

/// A pattern in which white space is what it is in Java's.
fn of_java(pattern: &str) -> String {
    let (mut meant, mut is_in_class) = (String::with_capacity(pattern.len()), false);
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match (letter, is_in_class) {
            ('\\', _) => match (letters.next(), is_in_class) {
                (Some('s'), true) => meant.push_str(SPACES),
                (Some('s'), false) => meant.extend(["[", SPACES, "]"]),
                (Some('S'), true) => meant.extend(["\\S", OTHER_SPACES]),
                (Some('S'), false) => meant.extend(["[\\S", OTHER_SPACES, "]"]),
                (escaped, _) => meant.extend([Some('\\'), escaped].into_iter().flatten()),
            },
            ('[', false) | (']', true) => {
                is_in_class = !is_in_class;
                meant.push(letter);
            }
            _ => meant.push(letter),
        }
    }
    meant
}

/// Takes out the patterns that are no regular expressions, which would keep every type that leads to them from being judged.
#[derive(Default)]
struct BrokenPatterns {
    /// What was found of each pattern met.
    known: HashMap<String, bool>,
    dropped: usize,
}

impl BrokenPatterns {
    fn drop_from(&mut self, schema: &mut Json) {
        match schema {
            Json::Object(members) => {
                if let Some(Json::String(pattern)) = members.get_mut("pattern") {
                    *pattern = of_java(pattern);
                }
                if members.get("pattern").and_then(Json::as_str).is_some_and(|pattern| self.is_broken(pattern)) {
                    members.remove("pattern");
                    self.dropped += 1;
                }
                members.values_mut().for_each(|inner| self.drop_from(inner));
            }
            Json::Array(items) => items.iter_mut().for_each(|inner| self.drop_from(inner)),
            _ => {}
        }
    }

    fn is_broken(&mut self, pattern: &str) -> bool {
        if let Some(known) = self.known.get(pattern) {
            return *known;
        }
        let is_broken = options().build(&json!({"$schema": DRAFT, "pattern": pattern})).is_err();
        self.known.insert(pattern.to_owned(), is_broken);
        is_broken
    }
}
