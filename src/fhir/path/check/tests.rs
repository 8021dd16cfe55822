use super::super::Expression;
use super::super::tests::release;
use super::*;
use crate::definitions::Definitions;
use crate::fhir::json;

#[test]
fn strict_check() {
    let types = release();
    let judge = |expression: &str| Expression::compile(expression, &types).unwrap().check(&types, Some("Patient"));
    for expression in [
        "name.given",
        "Patient.deceased as dateTime",
        "contained.anything",
        "name.where(given.exists()).family",
        "generalPractitioner.resolve().x",
    ] {
        assert_eq!(judge(expression), Ok(()), "{expression}");
    }
    for expression in [
        "name.given1",
        "Observation.value",
        "name.where(first = 'x')",
        "(deceased as dateTime).family",
        "children().skip(1)",
        "iif('x', 1, 2)",
    ] {
        assert!(judge(expression).is_err(), "{expression}");
    }
}

/// What is found in each expression that is written for one type: nothing, or the first thing that cannot be.
fn judge(types: &TypeTable, purpose: &Purpose<'_>, cases: &[(&str, &str)]) {
    for (expression, wanted) in cases {
        let found = Expression::compile(expression, types).and_then(|compiled| compiled.check_for(types, purpose));
        assert_eq!(found.map_or_else(|error| error.to_string(), |()| String::new()), *wanted, "{expression}");
    }
}

fn root(types: &TypeTable, name: &str) -> Begin<'static> {
    Begin::Elements(vec![types.type_named(name).unwrap().root])
}

#[test]
fn what_a_type_cannot_have_is_found() {
    let types = release();
    let purpose = Purpose { context: root(&types, "Observation"), resource: Some("Observation"), ..Purpose::default() };
    judge(
        &types,
        &purpose,
        &[
            ("value.exists() or component.exists()", ""),
            ("valueQuantity.exists()", "'valueQuantity' is not an element of 'Observation'"),
            ("value.unit.exists()", ""),
            ("value.where($this is Quantity).unit", ""),
            ("value.unti.exists()", "'unti' is not an element of 'Quantity'"),
            ("(value as Quantity).start", "'start' is not an element of 'Quantity'"),
            ("value.ofType(Period).start < value.ofType(Period).end", ""),
            ("component.all(value.exists())", ""),
            ("component.where(vlaue.exists()).count() > 1", "'vlaue' is not an element of 'Observation.component'"),
            ("%resource.subject.exists() and %context.valu.exists()", "'valu' is not an element of 'Observation'"),
            ("%resource.subjekt.exists()", "'subjekt' is not an element of 'Observation'"),
            ("%rootResource.anything.exists()", ""),
            ("subject.resolve().anything", ""),
            ("contained.anything", ""),
            ("descendants().anything", ""),
            ("extension('x').valu", "'valu' is not an element of 'Extension'"),
            ("extension('x').value.unit", ""),
            ("(subject | component).reference", ""),
            ("(subject | component).refrence", "'refrence' is not an element of 'Reference'"),
            ("iif(subject.exists(), subject, component).reference", ""),
            ("component.aggregate($total + value.count(), 0) > 1", ""),
            ("component.select($this.value).unit", ""),
            ("Observation.value", ""),
            ("Patient.name.exists()", "'Patient' is not an element of 'Observation'"),
            ("defineVariable('x', value).component.where(value = %x)", ""),
            ("value = %y", "the variable '%y' is not defined"),
            ("%`vs-x` = %ucum or %`ext-x` = %sct or %`cs-x`.exists() or %factory.exists()", ""),
            ("value.bla()", "FHIRPath has no function 'bla'"),
            ("value is Bla", "'Bla' is not a known type"),
            ("value.exists(1, 2)", "the arguments of 'exists' are not as it requires"),
        ],
    );
}

#[test]
fn what_a_function_does_not_take_is_found() {
    let types = Definitions::embedded().types();
    let purpose = Purpose { context: root(types, "Patient"), ..Purpose::default() };
    judge(
        types,
        &purpose,
        &[
            ("name.family.matches('a') and id.matches('a') and implicitRules.startsWith('a') and gender.contains('m')", ""),
            ("name.matches('a')", "'matches' works on text, not on 'HumanName'"),
            ("active.startsWith('x')", "'startsWith' works on text, not on 'boolean'"),
            ("birthDate.toChars()", "'toChars' works on text, not on 'date'"),
            ("birthDate.toString().matches('[0-9]+') and birthDate.length() > 3", ""),
            ("name.length()", "'length' works on a primitive, not on 'HumanName'"),
            ("contact.toString()", "'toString' works on a primitive or a Quantity, not on 'Patient.contact'"),
            ("name.resolve()", "'resolve' works on a Reference or a URI, not on 'HumanName'"),
            ("generalPractitioner.resolve().name and link.other.resolve().exists() and photo.url.resolve().exists()", ""),
            ("name.memberOf('x')", "'memberOf' works on a code, a Coding or a CodeableConcept, not on 'HumanName'"),
            ("maritalStatus.memberOf('x') and gender.memberOf('x') and communication.language.coding.memberOf('x')", ""),
            ("gender.abs()", "'abs' works on a number, not on 'code'"),
            ("multipleBirth.abs() > 1", ""),
            ("gender.lowBoundary()", "'lowBoundary' works on a number, a date or a time, not on 'code'"),
            ("birthDate.lowBoundary() < deceased.ofType(dateTime)", ""),
            ("name.family.yearOf()", "'yearOf' works on a date or a time, not on 'string'"),
            ("name.htmlChecks()", "'htmlChecks' works on XHTML, not on 'HumanName'"),
            ("text.`div`.htmlChecks()", ""),
            ("name.family.anyTrue()", "'anyTrue' works on a Boolean, not on 'string'"),
            ("name.where(given)", "argument 1 of 'where' must be a Boolean, not 'string'"),
            ("name.exists(period)", "argument 1 of 'exists' must be a Boolean, not 'Period'"),
            ("name.all(family.length())", "argument 1 of 'all' must be a Boolean, not 'System.Integer'"),
            ("link.where(type) = 1", "argument 1 of 'where' must be a Boolean, not 'code'"),
            ("communication.where(preferred).exists() and contained.where(active).exists()", ""),
            ("iif(name, 1, 2) = 1", "argument 1 of 'iif' must be a Boolean, not 'HumanName'"),
            ("name.skip('a')", "argument 1 of 'skip' must be an Integer, not 'System.String'"),
            ("name.given.substring('1')", "argument 1 of 'substring' must be an Integer, not 'System.String'"),
            ("name.given.first().substring(1, telecom.rank)", ""),
            ("name.given.startsWith(1)", "argument 1 of 'startsWith' must be text, not 'System.Integer'"),
            ("name.family.replace('a', active)", "argument 2 of 'replace' must be text, not 'boolean'"),
            ("name.extension(1)", "argument 1 of 'extension' must be text, not 'System.Integer'"),
            ("multipleBirth.ofType(integer).power('a') > 1", "argument 1 of 'power' must be a number, not 'System.String'"),
            ("descendants().first()", "'first' needs an order, which its input does not have"),
            // What may be right passes.
            ("deceased.abs()", "'abs' works on a number, not on 'boolean'"),
            ("(name | gender).matches('a')", ""),
            (
                "extension.value.matches('a') and contained.descendants().matches('a') and %x.matches('a')",
                "the variable '%x' is not defined",
            ),
        ],
    );
}

#[test]
fn each_input_and_argument_has_its_id() {
    let types = Definitions::embedded().types();
    let purpose = Purpose { context: root(types, "Patient"), ..Purpose::default() };
    for (expression, id) in [
        ("name.matches('a')", "FHIRPATH_STRING_SING_ONLY"),
        ("name.length()", "FHIRPATH_PRIMITIVE_ONLY"),
        ("name.resolve()", "FHIRPATH_REFERENCE_ONLY"),
        ("name.memberOf('x')", "FHIRPATH_CODED_ONLY"),
        ("gender.abs()", "FHIRPATH_NUMERICAL_ONLY"),
        ("gender.precision()", "FHIRPATH_CONTINUOUS_ONLY"),
        ("name.take('a')", "FHIRPATH_PARAM_WRONG"),
        ("name.gven", "FHIRPATH_UNKNOWN_NAME"),
    ] {
        let found = Expression::compile(expression, types).unwrap().check_for(types, &purpose).unwrap_err();
        assert_eq!(found.message_id(), Some(id), "{expression}");
    }
}

#[test]
fn what_repeats_is_followed() {
    let types = release();
    let purpose = Purpose { context: root(&types, "Patient"), ..Purpose::default() };
    judge(
        &types,
        &purpose,
        &[
            // The extensions of a patient have extensions; only the patient has names.
            ("repeat(extension | name).url", ""),
            ("repeat(extension).family", "'family' is not an element of 'Extension'"),
            ("repeat(extension).value.unit", ""),
            ("repeat(extnsion).exists()", "'extnsion' is not an element of 'Patient'"),
            ("repeat(extension | value.extnsion).exists()", "'extnsion' is not an element of 'string'"),
            ("repeat(extension | value.repeat(extension)).exists()", ""),
        ],
    );
}

#[test]
fn parts_for_several_types_select() {
    let types = release();
    let context = Begin::Elements(["Patient", "Observation"].map(|name| types.type_named(name).unwrap().root).to_vec());
    let purpose = Purpose { context, selects: true, ..Purpose::default() };
    judge(
        &types,
        &purpose,
        &[
            ("Patient.name | Observation.subject", ""),
            ("name | subject", ""),
            ("Patient.nmae | Observation.subject", "'nmae' is not an element of 'Patient'"),
            ("Patient.name | Practitioner.name", "'Practitioner' is not an element of 'Patient'"),
            ("Observation.value as Quantity", ""),
            ("(Observation.valueQuantity as Quantity)", "'valueQuantity' is not an element of 'Observation'"),
            ("Resource.id | Resource.ofType(Patient).name", ""),
            ("Resource.mta", "'mta' is not an element of 'Resource'"),
        ],
    );
}

#[test]
fn a_model_is_followed_by_its_own_elements() {
    let types = release();
    let elements = r##"[
        {"path": "Thing"}, {"path": "Thing.part", "type": [{"code": "Element"}]}, {"path": "Thing.part.size", "type": [{"code": "Quantity"}]},
        {"path": "Thing.part.part", "contentReference": "http://example.org/Thing#Thing.part"}, {"path": "Thing.other", "type": [{"code": "http://example.org/Other"}]},
        {"path": "Thing.is[x]", "type": [{"code": "string"}, {"code": "Quantity"}]}
    ]"##;
    let elements = json::parse(elements.as_bytes(), 16).unwrap();
    let model = Model::of(elements.as_list().unwrap(), "Base");
    let at = |path| Purpose { context: Begin::Model(path), model: Some(&model), ..Purpose::default() };
    judge(
        &types,
        &at("Thing"),
        &[
            ("part.size.unit.exists() and id.exists() and extension.exists()", ""),
            ("part.url.exists() and part.id.exists()", "'url' is not an element of 'Thing.part'"),
            ("Thing.part.exists()", ""),
            ("part.part.part.size", ""),
            ("part.repeat(part).size.vlaue", "'vlaue' is not an element of 'Quantity'"),
            ("is.unit", ""),
            ("other.anything", ""),
            ("parts.exists()", "'parts' is not an element of 'Thing'"),
            ("part.sizes", "'sizes' is not an element of 'Thing.part'"),
        ],
    );
    judge(&types, &at("Thing.part"), &[("size.exists()", ""), ("Thing.part", ""), ("other", "'other' is not an element of 'Thing.part'")]);
    judge(&types, &at("Thing.other"), &[("anything", "")]);
    let derived = Model::of(elements.as_list().unwrap(), "Unknown");
    judge(&types, &Purpose { context: Begin::Model("Thing"), model: Some(&derived), ..Purpose::default() }, &[("anything", "")]);
}

/// Each `repeat` looks at what is in it at least twice.
#[test]
fn what_would_take_long_passes() {
    let types = release();
    let nested = format!("nothing.exists() or {}name.nothing{}", "repeat(".repeat(40), ")".repeat(40));
    let purpose = Purpose { context: root(&types, "Patient"), ..Purpose::default() };
    let found = Expression::compile(&nested, &types).unwrap().check_for(&types, &purpose);
    assert!(found.is_err(), "what comes before is found");
    let nested = format!("{}extension{} | nothing", "repeat(".repeat(40), ")".repeat(40));
    assert_eq!(Expression::compile(&nested, &types).unwrap().check_for(&types, &purpose), Ok(()));
}
