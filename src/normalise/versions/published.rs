//! The table of what becomes of other releases, for people: made from the tables the code runs on.

use super::Release;
use super::detect::differing;
use super::table::{Action, Carried, Conversions, Place, Row};
use std::fmt::Write;

/// The whole table as Markdown.
pub fn conversion_table() -> String {
    let mut out = String::from(
        "# What becomes of resources in other releases of FHIR\n\n\
         Made from the tables the gateway runs on; a test compares the two. `ext` is HL7's cross-version extension,\n\
         `http://hl7.org/fhir/VERSION/StructureDefinition/extension-PATH`. Elements that are not listed are the same in R4.\n\n\
         After these rows everything is held against R4's own definitions: a reference to a type that R4 does not allow in the element, and a code\n\
         outside the value set that R4 demands, become `ext` too (under the element's path in its own release); where R4 demands the element, or it\n\
         is a modifier (such as `Quantity.comparator`), the resource is refused (`version-element-refused`).\n\n\
         The table is for JSON. XML is read by R4's definitions: what only another release has is refused by name (`version-refused`).\n",
    );
    for release in [Release::Dstu2, Release::Stu3, Release::R4B, Release::R5] {
        let _ = writeln!(out, "\n## {} to R4\n", release.name());
        let Some(conversions) = Conversions::of(release) else {
            out.push_str("Refused, every type whose elements are not R4's.\n");
            continue;
        };
        let types = conversions.types();
        let _ = writeln!(out, "Converted: {}.", types.join(", "));
        let refused: Vec<&str> = differing(release).into_iter().filter(|name| !conversions.has(name)).collect();
        let others = if release == Release::R4B { "Every other type has the same elements in both. " } else { "" };
        let _ = writeln!(
            out,
            "\n{others}Refused: {}.\n",
            if release == Release::R4B { refused.join(", ") } else { "every other type that is declared or shaped so".to_owned() }
        );
        out.push_str("| element | in R4 |\n|---|---|\n");
        let rows = types.iter().flat_map(|name| conversions.rows_of_type(name)).chain(conversions.rows_of_data_types());
        for row in rows {
            let _ = writeln!(out, "| `{}.{}` | {} |", row.container, row.member, told(row, release));
        }
    }
    out
}

fn told(row: &Row, release: Release) -> String {
    let ext = format!("ext `{}`", row.url(release).rsplit('/').next().unwrap_or_default());
    match &row.action {
        Action::Rename(name) => format!("`{name}`"),
        Action::Many(name) => format!("`{name}`, a list of one"),
        Action::One(_) => format!("the first; others: {ext}"),
        Action::Visit => "`encounter`; an episode of care: extension `workflow-episodeOfCare`".to_owned(),
        Action::Concept { system, codes } => format!("CodeableConcept of `{system}` ({}); other codes: {ext}", codes.join(", ")),
        Action::CodeOf(codes) => format!("code ({}); the concept: {ext}", codes.join(", ")),
        Action::Coding => format!("Coding; a concept with more: {ext}"),
        Action::Only(codes) => format!("the same for {}; others: {ext}", codes.join(", ")),
        Action::Annotate(name) => format!("`{name}.text`"),
        Action::Related => {
            format!("`hasMember`, `derivedFrom`, extensions `observation-sequelTo` and `observation-replaces`; other types: {ext}")
        }
        Action::Extension(Carried::Value(type_name)) => format!("{ext} ({type_name})"),
        Action::Extension(Carried::Members(_)) => format!("{ext}, nested"),
        Action::Unwrap { child, .. } => format!("its `{child}`; the rest: extensions on it"),
        Action::Lift(names) => names.iter().map(|(from, to)| format!("`{from}`: `{to}`")).collect::<Vec<_>>().join("; "),
        Action::When { value, member, code, otherwise } => {
            let rest = if otherwise.is_some() { format!("; else {ext}") } else { "; false is dropped".to_owned() };
            format!("{value}: `{member}` is `{code}`{rest}")
        }
        Action::Codes(codes) => codes
            .iter()
            .map(|(from, to, other)| format!("{from}: {to}{}", if *other { format!(" and {ext}") } else { String::new() }))
            .collect::<Vec<_>>()
            .join("; "),
        Action::Split { concept, reference } => format!("concept: {}; reference: {}", placed(*concept, &ext), placed(*reference, &ext)),
        Action::Choose { concept, reference } => format!("`{concept}`, else `{reference}`; a reference beside a concept: {ext}"),
        Action::Into { container, .. } => format!("`{container}.{}`", row.member),
        Action::Beside { name, other, .. } => format!("`{name}`; beside `{other}`: {ext}"),
        Action::Reasons => "`reasonCode` and `reasonReference`; `use`: an extension on each".to_owned(),
        Action::Number => "a number".to_owned(),
        Action::Types(names) => names.iter().map(|(from, to)| format!("{from}/id: {to}/id")).collect::<Vec<_>>().join("; "),
        Action::Required { .. } => "where absent: data-absent-reason `unknown`".to_owned(),
        Action::Spread { names, rest } => {
            let spread = names.iter().map(|(from, to)| format!("`{from}`: `{to}`")).collect::<Vec<_>>().join("; ");
            if rest.is_empty() { spread } else { format!("{spread}; one with more: {ext}, nested") }
        }
        Action::Nest(name) => format!("`{}.{name}`", row.member),
        Action::ValueOf => format!("its `value`, the first of several; the identifiers: {ext}"),
        Action::Refuse(names) if names.is_empty() => "refuses the resource, unless it is false".to_owned(),
        Action::Refuse(names) => format!("with `{}`: refuses the resource", names.join("` or `")),
    }
}

fn placed(place: Option<Place>, ext: &str) -> String {
    place.map_or_else(|| ext.to_owned(), |place| format!("`{}`", place.name))
}
