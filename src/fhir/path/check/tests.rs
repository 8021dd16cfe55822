use super::super::Expression;
use super::super::tests::release;
use super::*;
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
            ("descendants().anything.first()", ""),
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
