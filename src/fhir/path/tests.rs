use super::*;
use crate::fhir::node::Node;
use crate::fhir::temporal::DateTime;
use crate::fhir::types::{Element, ElementId, TypeDefinition, TypeKind, TypeTable, TypeUse, UNBOUNDED};
use compact_str::CompactString;

/// A small release: `name kind base` for each type, then its elements as `path type|type`, with a `*` behind those that repeat
/// and `#path` for a content reference.
const RELEASE: &str = "
:Element complex -
Element.id string
Element.extension Extension*
:Extension complex Element
Extension.id string
Extension.extension Extension*
Extension.url uri
Extension.value[x] string|Quantity|boolean
:boolean primitive Element
:integer primitive Element
:positiveInt primitive integer
:decimal primitive Element
:string primitive Element
string.id string
string.extension Extension*
:code primitive string
:id primitive string
:uri primitive Element
uri.id string
uri.extension Extension*
:canonical primitive uri
:date primitive Element
date.id string
date.extension Extension*
:dateTime primitive Element
dateTime.id string
dateTime.extension Extension*
:xhtml primitive Element
:Quantity complex Element
Quantity.value decimal
Quantity.unit string
Quantity.system uri
Quantity.code code
:Age complex Quantity
Age.value decimal
Age.unit string
Age.system uri
Age.code code
:Period complex Element
Period.start dateTime
Period.end dateTime
:Reference complex Element
Reference.reference string
Reference.type uri
:HumanName complex Element
HumanName.use code
HumanName.family string
HumanName.given string*
HumanName.period Period
:Resource resource -
Resource.id id
:DomainResource resource Resource
DomainResource.id id
DomainResource.contained Resource*
:Patient resource DomainResource
Patient.id id
Patient.contained Resource*
Patient.extension Extension*
Patient.active boolean
Patient.name HumanName*
Patient.birthDate date
Patient.deceased[x] boolean|dateTime
Patient.generalPractitioner Reference*
:Practitioner resource DomainResource
Practitioner.id id
:Observation resource DomainResource
Observation.id id
Observation.contained Resource*
Observation.subject Reference
Observation.value[x] Quantity|string|Age|Period
Observation.component BackboneElement*
Observation.component.value[x] Quantity|string
:Questionnaire resource DomainResource
Questionnaire.id id
Questionnaire.item BackboneElement*
Questionnaire.item.linkId string
Questionnaire.item.item #Questionnaire.item*
:Bundle resource Resource
Bundle.id id
Bundle.entry BackboneElement*
Bundle.entry.fullUrl uri
Bundle.entry.resource Resource
";

pub(super) fn release() -> TypeTable {
    let (mut types, mut elements): (Vec<TypeDefinition>, Vec<Element>) = (Vec::new(), Vec::new());
    let mut paths: Vec<CompactString> = Vec::new();
    for line in RELEASE.lines().filter(|line| !line.is_empty()) {
        let parts: Vec<&str> = line.split(' ').collect();
        let id = ElementId(u32::try_from(elements.len()).unwrap());
        if let Some(name) = parts[0].strip_prefix(':') {
            let kind = match parts[1] {
                "primitive" => TypeKind::Primitive,
                "resource" => TypeKind::Resource,
                _ => TypeKind::Complex,
            };
            let base = (parts[2] != "-").then(|| parts[2].into());
            types.push(TypeDefinition { name: name.into(), kind, is_abstract: name.ends_with("Resource"), base, root: id });
            elements.push(element(name, "", &paths));
            paths.push(name.into());
            continue;
        }
        elements.push(element(parts[0], parts[1], &paths));
        paths.push(parts[0].into());
        let parent = paths.iter().position(|path| path == parts[0].rsplit_once('.').unwrap().0).unwrap();
        elements[parent].children.push(id);
    }
    TypeTable::new("4.0.1", types, elements)
}

fn element(path: &str, types: &str, earlier: &[CompactString]) -> Element {
    let name = path.rsplit('.').next().unwrap();
    let (types, max) = types.strip_suffix('*').map_or((types, 1), |types| (types, UNBOUNDED));
    let referenced = types.strip_prefix('#').map(|path| earlier.iter().position(|known| known == path).unwrap());
    let codes = if referenced.is_some() { "" } else { types };
    let uses = codes.split('|').filter(|code| !code.is_empty());
    Element {
        path: path.into(),
        name: name.trim_end_matches("[x]").into(),
        min: 0,
        max,
        types: uses.map(|code| TypeUse { code: code.into(), root: None, targets: Vec::new(), profile: None }).collect(),
        is_choice: name.ends_with("[x]"),
        is_modifier: false,
        is_summary: false,
        binding: None,
        constraints: Vec::new(),
        content_reference: referenced.map(|index| ElementId(u32::try_from(index).unwrap())),
        children: Vec::new(),
        max_length: None,
    }
}

fn parse(text: &str) -> Node {
    crate::fhir::json::parse(text.as_bytes(), 64).unwrap()
}

const PATIENT: &str = r##"{"resourceType":"Patient","id":"p","active":true,"birthDate":"1974-12-25","_birthDate":{"extension":[{"url":"u","valueString":"noon"}]},
 "contained":[{"resourceType":"Practitioner","id":"c"}],
 "name":[{"use":"official","family":"Chalmers","given":["Peter",null,"James"],"_given":[null,{"id":"g"},null]},{"given":["Jim"]}],
 "deceasedDateTime":"2020","generalPractitioner":[{"reference":"#c"},{"reference":"Practitioner/1"},{"reference":"urn:uuid:1","type":"Patient"}]}"##;

const OBSERVATION: &str = r##"{"resourceType":"Observation","subject":{"reference":"Patient/1"},
 "valueQuantity":{"value":1.50,"unit":"gram","system":"http://unitsofmeasure.org","code":"g"},
 "component":[{"valueString":"a"},{"valueQuantity":{"value":2}}]}"##;

const QUESTIONNAIRE: &str =
    r##"{"resourceType":"Questionnaire","item":[{"linkId":"1","item":[{"linkId":"1.1"},{"linkId":"1.2","item":[{"linkId":"1.2.1"}]}]}]}"##;

const BUNDLE: &str = r##"{"resourceType":"Bundle","entry":[{"fullUrl":"http://x/Patient/1","resource":{"resourceType":"Patient","id":"1"}},
 {"fullUrl":"urn:uuid:2","resource":{"resourceType":"Observation","subject":{"reference":"http://x/Patient/1"}}}]}"##;

/// The answers as `type:value`, or the error's name.
fn run(expression: &str, document: &str, dialect: Dialect) -> String {
    let types = release();
    let node = parse(document);
    let show = |result: Result<Vec<Item<'_>>, PathError>| match result {
        Ok(items) => {
            let shown: Vec<String> =
                items.iter().map(|item| format!("{}:{}", item.type_name(&types), item.text().unwrap_or_default())).collect();
            shown.join(" ")
        }
        Err(error) => {
            let name = format!("{error:?}");
            format!("!{}", name.split([' ', '(']).next().unwrap_or_default())
        }
    };
    match Expression::compile_as(expression, &types, dialect) {
        Err(error) => show(Err(error)),
        Ok(compiled) => {
            let mut focus = Focus::resource(&types, &node).unwrap();
            focus.now = DateTime::parse("2026-11-20T10:00:00Z").ok();
            show(compiled.evaluate(&focus))
        }
    }
}

fn check(document: &str, cases: &[(&str, &str)]) {
    for (expression, want) in cases {
        assert_eq!(run(expression, document, Dialect::Specification), *want, "{expression}");
    }
}

#[test]
fn navigation() {
    check(
        PATIENT,
        &[
            ("id", "id:p"),
            ("Patient.name.family", "string:Chalmers"),
            ("name.given", "string:Peter string: string:James string:Jim"),
            ("name.given.where(hasValue()).count()", "Integer:3"),
            ("name.given[1].id", "string:g"),
            ("Observation.value", ""),
            ("Resource.id", "id:p"),
            ("deceased", "dateTime:2020"),
            ("deceased is dateTime", "Boolean:true"),
            ("deceasedDateTime", "!UnknownElement"),
            ("nothing", ""),
            ("birthDate.extension('u').value", "string:noon"),
            ("contained.id", "id:c"),
            ("contained.first() is Practitioner", "Boolean:true"),
            ("children().count()", "Integer:10"),
            ("name.first().children().count()", "Integer:5"),
            ("%resource.id = %context.id", "Boolean:true"),
        ],
    );
    check(
        OBSERVATION,
        &[
            ("value.value", "decimal:1.50"),
            ("component.value", "string:a Quantity:"),
            ("component.type().name.first()", "String:BackboneElement"),
        ],
    );
    check(
        QUESTIONNAIRE,
        &[("descendants().linkId", "string:1 string:1.1 string:1.2 string:1.2.1"), ("repeat(item).linkId.count()", "Integer:4")],
    );
}

#[test]
fn types_of_items() {
    check(
        OBSERVATION,
        &[
            ("(Observation.value as Quantity).unit", "string:gram"),
            ("Observation.value.ofType(Quantity).code", "code:g"),
            ("Observation.value.as(Period)", ""),
            ("value is Age", "Boolean:false"),
            ("1 is Integer and 1 is System.Integer and (1 is Decimal).not()", "Boolean:true"),
            ("value.value is Decimal", "Boolean:false"),
            ("value.value is decimal", "Boolean:true"),
            ("component.as(Quantity)", "!NotSingle"),
            ("value as Nonsense", "!UnknownType"),
            ("component[0].toInteger() | component[0].toString() | subject.toDate() | subject.toQuantity()", ""),
            ("component[0].convertsToString() or subject.convertsToBoolean() or subject.convertsToQuantity()", "Boolean:false"),
            ("component.toString()", "!NotSingle"),
        ],
    );
    assert_eq!(run("component.value.as(Quantity).value", OBSERVATION, Dialect::Published), "decimal:2");
    assert_eq!(run("active is Boolean", PATIENT, Dialect::Published), "Boolean:true");
    assert_eq!(run(r#"'a:b'.contains(":")"#, PATIENT, Dialect::Published), "Boolean:true");
    assert_eq!(run(r#"'a:b'.contains(":")"#, PATIENT, Dialect::Specification), "!Syntax");
    assert_eq!(run("active is Boolean", PATIENT, Dialect::Specification), "Boolean:false");
}

/// What published rules are written for, and what the specification makes of it.
#[test]
fn dialects() {
    for (expression, published, specified) in [
        ("name.given.startsWith('P')", "", "!NotSingle"),
        ("name.given.contains('P') or true", "Boolean:true", "!NotSingle"),
        ("name.given.matches('P')", "Boolean:false", "!NotSingle"),
        ("name.given.upper()", "", "!NotSingle"),
        ("('a' | 'b' | 'c') contains ('a' | 'c')", "Boolean:true", "!NotSingle"),
        ("('a' | 'b') contains ('a' | 'c')", "Boolean:false", "!NotSingle"),
        ("('a' | 'b') contains 'b'", "Boolean:true", "Boolean:true"),
        ("('a' | 'b') contains {}", "", ""),
        ("('a' | 'b').item(1) & ('a' | 'b').item(2)", "String:b", "!UnknownFunction"),
        ("value.as(SimpleQuantity).exists()", "Boolean:false", "!UnknownType"),
        ("active.not(false)", "!Arguments", "!Arguments"),
        ("text.div.exists()", "Boolean:false", "Boolean:false"),
        ("text.where(div.exists()).exists()", "Boolean:false", "!Syntax"),
        ("mod.exists() or and.exists()", "Boolean:false", "!Syntax"),
        ("7 div 2", "Integer:3", "Integer:3"),
        ("7 div div", "", "!Syntax"),
        ("1 and", "!Syntax", "!Syntax"),
        ("contains.exists() or in.exists() or is.exists() or as.exists()", "Boolean:false", "Boolean:false"),
    ] {
        for (dialect, want) in [(Dialect::Published, published), (Dialect::Specification, specified)] {
            assert_eq!(run(expression, PATIENT, dialect), want, "{expression} {dialect:?}");
        }
    }
}

#[test]
fn references() {
    check(
        OBSERVATION,
        &[
            ("Observation.subject.where(resolve() is Patient).reference", "string:Patient/1"),
            ("subject.where(resolve() is Practitioner)", ""),
        ],
    );
    check(
        PATIENT,
        &[
            ("generalPractitioner.resolve().id", "id:c"),
            ("generalPractitioner.where(resolve() is Practitioner).count()", "Integer:2"),
            ("generalPractitioner.where(resolve() is Patient).reference", "string:urn:uuid:1"),
        ],
    );
    check(BUNDLE, &[("entry.resource.subject.resolve().id", "id:1"), ("entry[1].resource.subject.resolve() is Patient", "Boolean:true")]);
}

#[test]
fn operators() {
    check(
        PATIENT,
        &[
            ("1 + 2 * 3", "Integer:7"),
            ("7 div 2 + 7 mod 2", "Integer:4"),
            ("1 / 4", "Decimal:0.25"),
            ("1 / 0", ""),
            ("9223372036854775807 + 1", ""),
            ("2147483647 + 1", ""),
            ("-2147483647 - 2", ""),
            ("65536 * 32768", ""),
            ("2147483646 + 1", "Integer:2147483647"),
            ("-2147483647 - 1", "Integer:-2147483648"),
            ("'a' & {} & 'b'", "String:ab"),
            ("'a' + 1", "!WrongType"),
            ("1 < 2 and 2 <= 2 and 'b' > 'a' and 1 != 2", "Boolean:true"),
            ("birthDate < @1974-12", ""),
            ("birthDate = @1974-12-25", "Boolean:true"),
            ("{} or true", "Boolean:true"),
            ("({} and true).empty()", "Boolean:true"),
            ("{} implies true", "Boolean:true"),
            ("(1 | 2 | 1).count()", "Integer:2"),
            ("(1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 1.0 | 5 '1' | 'a' | 'a').count()", "Integer:10"),
            (
                "(1 'm' | 2 'm' | 3 'm' | 4 'm' | 5 'm' | 6 'm' | 7 'm' | 8 'm' | 9 'm' | 1 's' | 100 'cm' | 30 '/min' | 0.5 's-1' | 1 'x' | 1 'x').count()",
                "Integer:12",
            ),
            ("(@T01 | @T02 | @T03 | @T04 | @T05 | @T06 | @T07 | @T08 | @T09 | @T10 | @T10:00:00.0 | @T10:00:00).count()", "Integer:11"),
            ("name.use in ('official' | 'usual')", "Boolean:true"),
            ("(1 | 2) contains 2", "Boolean:true"),
            ("1.0 = 1 and 1.01 ~ 1", "Boolean:true"),
            ("'A  b' ~ 'a B'", "Boolean:true"),
            ("--1", "Integer:1"),
            ("-(1) = -1", "Boolean:true"),
            ("1 'kg' = 1000 'g' and 1 'kg' > 2 'g'", "Boolean:true"),
            ("1 'kg' = 1 'm'", ""),
            ("1 year = 12 months", "Boolean:true"),
            ("1 year ~ 1 'a'", "Boolean:true"),
            ("3 'm' * 2 'm' = 6 'm2'", "Boolean:true"),
            ("@2016-02-29 + 1 year", "Date:2017-02-28"),
            ("@2014 + 18 months", "Date:2015"),
            ("@T23:30 + 45 minutes", "Time:00:15"),
            ("@2014-01-01T00:00:00Z - 1 second", "DateTime:2013-12-31T23:59:59Z"),
            ("@2014-01-31 + 1 'mo'", "!WrongType"),
            ("now() > today()", ""),
            ("today()", "Date:2026-11-20"),
        ],
    );
}

#[test]
fn functions() {
    check(
        PATIENT,
        &[
            ("name.exists(use = 'official')", "Boolean:true"),
            ("{}.all(true)", "Boolean:true"),
            ("{}.hasValue()", "Boolean:false"),
            ("name.all(given.exists())", "Boolean:true"),
            ("name.select(given.first())", "string:Peter string:Jim"),
            ("(1|2|3).aggregate($this + $total, 0)", "Integer:6"),
            ("(1|2|3).where($index > 0)", "Integer:2 Integer:3"),
            ("(3|1|2).sort(-$this)", "Integer:3 Integer:2 Integer:1"),
            ("name.given.join(',')", "String:Peter,James,Jim"),
            ("iif(active, 'yes', 1/0)", "String:yes"),
            ("'abc'.substring(1, 1) & 'abc'.indexOf('c').toString()", "String:b2"),
            ("'a.b'.split('.').count()", "Integer:2"),
            ("'x1y'.replaceMatches('[0-9]', '-')", "String:x-y"),
            ("'x'.matches('(')", "!Pattern"),
            ("'x'.matches('(?=x)')", "!PatternNotSupported"),
            ("true or 'x'.matches('(')", "Boolean:true"),
            ("'a.b'.matches('\\\\Qa.b\\\\E')", "Boolean:true"),
            ("'x'.matches('a{1000}{1000}{1000}')", "!Limit"),
            ("('b'|'c'|'a').sort($this desc) | ('b'|'a').sort($this asc).first()", "String:c String:b String:a"),
            ("'5'.toInteger() + '2.50'.toDecimal()", "Decimal:7.50"),
            ("'4 days'.toQuantity()", "Quantity:4 days"),
            ("1 'cm'.toQuantity('m')", "Quantity:0.01 'm'"),
            ("2.power(10) | 16.sqrt() | 1.5.round() | (-1.5).truncate()", "Integer:1024 Decimal:4 Decimal:2 Integer:-1"),
            ("1.5.lowBoundary(2) | @2014.highBoundary(6)", "Decimal:1.45 Date:2014-12"),
            ("'é\\u00e9'.length()", "Integer:2"),
            ("'a<b'.escape('html').unescape('html')", "String:a<b"),
            ("'YQ=='.decode('base64') & 'a'.encode('hex')", "String:a61"),
            ("'\\\\u00e9\\\\n'.unescape('json').length()", "Integer:2"),
            ("name.defineVariable('n').select(%n.count())", "Integer:2 Integer:2"),
            ("select(defineVariable('n', 1)).select(%n)", "!UnknownVariable"),
            ("birthDate.yearOf()", "Integer:1974"),
            ("nosuch()", "!UnknownFunction"),
            ("where()", "!Arguments"),
            ("%nosuch", "!UnknownVariable"),
            ("name.single()", "!NotSingle"),
            ("conformsTo('http://hl7.org/fhir/StructureDefinition/Patient')", "Boolean:true"),
            ("conformsTo('http://x')", "!UnknownCanonical"),
            ("memberOf('http://x')", "!NotSupported"),
        ],
    );
}

#[test]
fn syntax() {
    check(
        PATIENT,
        &[
            ("2 + /* in the way */ 2 // the end", "Integer:4"),
            ("'\\'\\u0041\\t'", "String:'A\t"),
            ("`Patient`.`name`.family", "string:Chalmers"),
            ("name.where(use = 'official').family", "string:Chalmers"),
            ("@2015T.is(DateTime) and @T14.is(Time)", "Boolean:true"),
            ("", "!Syntax"),
            ("1 +", "!Syntax"),
            ("(1", "!Syntax"),
            ("1 2", "!Syntax"),
            ("'a", "!Syntax"),
            ("/* a", "!Syntax"),
            ("'\\q'", "!Syntax"),
            ("@2015-13", "!Syntax"),
            ("@T10:00Z", "!Syntax"),
            ("a.$this", "!Syntax"),
            ("name[0", "!Syntax"),
            ("and", "!Syntax"),
            ("é", "!Syntax"),
        ],
    );
}

#[test]
fn limits() {
    let types = release();
    let node = parse(PATIENT);
    let long = format!("'{}'", "a".repeat(MAX_LENGTH));
    assert!(matches!(Expression::compile(&long, &types), Err(PathError::Limit { limit: Limit::Length, .. })));
    let deep = |levels: usize| format!("{}1{}", "(".repeat(levels), ")".repeat(levels));
    assert!(matches!(Expression::compile(&deep(MAX_NESTING), &types), Err(PathError::Limit { limit: Limit::Nesting, .. })));
    let patterns = vec![r"'a'.matches('\\w{20}')"; 100].join(" or ");
    let compiled = Expression::compile(&patterns, &types).map(|_| ());
    assert!(matches!(compiled, Err(PathError::Limit { limit: Limit::PatternBytes, .. })), "{compiled:?}");
    let focus = Focus::resource(&types, &node).unwrap();
    let nested = |open: &str, close: &str, levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
    let most = MAX_NESTING - 1;
    for text in [
        nested("(", ")", most),
        nested("iif(true, ", ")", most),
        // A right operand is a level of its own.
        nested("(1 + ", ")", most / 2),
        nested("select(", ")", most),
        nested("-(", ")", most),
    ] {
        assert!(Expression::compile(&text, &types).unwrap().evaluate(&focus).is_ok());
    }
    let chain = format!("1{}", " + 1".repeat(10_000));
    assert_eq!(Expression::compile(&chain, &types).unwrap().evaluate(&focus).unwrap().len(), 1);
    let path = format!("id{}", ".trim()".repeat(9_000));
    assert_eq!(Expression::compile(&path, &types).unwrap().evaluate(&focus).unwrap().len(), 1);
    let small = Limits { steps: 10_000, items: 100, text_bytes: 1000 };
    for (text, limit) in [
        ("(1|2|3|4|5|6|7|8|9|10).aggregate($total.combine($total), 1|2|3)", Limit::Items),
        ("('a'|'b'|'c'|'d'|'e'|'f'|'g'|'h'|'i'|'j').aggregate($total & $total, 'abc')", Limit::TextBytes),
        ("repeat($this.toString() & 'a')", Limit::Items),
        ("('a'|'b'|'c'|'d'|'e'|'f'|'g'|'h'|'i'|'j').aggregate($total.select($this & 'x') | $total.select($this & 'y'), 'z')", Limit::Items),
        (&format!("'{}'.toChars()", "a".repeat(200)), Limit::Items),
        (&format!("'{}'.split('a')", "a".repeat(200)), Limit::Items),
        (&format!("'{}'.replace('a', '{}')", "a".repeat(200), "b".repeat(200)), Limit::TextBytes),
        (&format!("'{}'.replaceMatches('(a)', '$1$1$1$1$1$1$1$1$1')", "a".repeat(200)), Limit::TextBytes),
        (&format!("'{}'.encode('hex')", "a".repeat(600)), Limit::TextBytes),
        // A loop over a costly pattern, and a pattern that depends on the item.
        (
            &format!(
                "({}).select(('{}' & $this).matches('(a|b)*a[ab]{{2000}}$'))",
                "'a'|'b'|'c'|'d'|'e'|'f'|'g'|'h'|'i'|'j'",
                "ab".repeat(400)
            ),
            Limit::Steps,
        ),
        (r"(1|2|3|4|5|6|7|8|9|10).select('a'.matches('\\w{2' & $this.toString() & '}'))", Limit::Steps),
        (r"'a'.matches('\\w{1000}{1000}' & '')", Limit::PatternBytes),
    ] {
        let bounded = Focus { limits: small, context: Item::from("x"), ..focus.clone() };
        let result = Expression::compile(text, &types).unwrap().evaluate(&bounded).map(|items| items.len());
        assert!(matches!(&result, Err(PathError::Limit { limit: reached, .. }) if *reached == limit), "{text}: {result:?}");
    }
}

#[test]
fn truth_of_invariants() {
    let types = release();
    let node = parse(PATIENT);
    let focus = Focus::resource(&types, &node).unwrap();
    for (text, want) in [("true", true), ("false", false), ("{}", false), ("name", true), ("'x'", true), ("active", true)] {
        assert_eq!(Expression::compile(text, &types).unwrap().truth(&focus), Ok(want), "{text}");
    }
    let other = TypeTable::new("5.0.0", Vec::new(), Vec::new());
    let compiled = Expression::compile("true", &other).unwrap();
    assert_eq!(compiled.truth(&focus), Err(PathError::OtherTypes));
}

#[test]
fn locations() {
    let types = release();
    for (document, expression, want) in [
        (PATIENT, "$this", "Patient"),
        (PATIENT, "name.given[2]", "Patient.name[0].given[2]"),
        (PATIENT, "name.given[1]", "Patient.name[0].given[1]"),
        (PATIENT, "birthDate.extension.value", "Patient.birthDate.extension[0].value.ofType(string)"),
        (BUNDLE, "entry[1].resource.subject", "Bundle.entry[1].resource.subject"),
        (OBSERVATION, "component.value.value", "Observation.component[1].value.ofType(Quantity).value"),
        (QUESTIONNAIRE, "descendants().linkId.last()", "Questionnaire.item[0].item[1].item[0].linkId"),
    ] {
        let node = parse(document);
        let compiled = Expression::compile(expression, &types).unwrap();
        let items = compiled.evaluate(&Focus::resource(&types, &node).unwrap()).unwrap();
        let Item::Tree(item) = &items[0] else { panic!("{expression}") };
        assert_eq!(locate(&types, &node, item).as_deref(), Some(want), "{expression}");
        assert_eq!(locate(&types, &parse(document), item), None);
    }
}

#[test]
fn batches() {
    let types = release();
    let input = "{\"id\":1,\"expression\":\"name.family\",\"file\":\"p\"}\n\n{\"id\":2,\"expression\":\"1 +\"}\n{\"id\":3,\"expression\":\"@T10:00\",\"strict\":true}\nnonsense\n{\"id\":4,\"expression\":\"id\",\"file\":\"q\"}\n";
    let mut output = Vec::new();
    let open = |file: &str| if file == "p" { Ok(parse(PATIENT)) } else { Err("no such file".to_string()) };
    let setting = Setting { types: &types, now: None, environment: &Alone };
    batch(input.as_bytes(), &mut output, &setting, open).unwrap();
    let want = "{\"id\":1,\"result\":[{\"type\":\"string\",\"value\":\"Chalmers\"}]}\n\
                {\"id\":2,\"error\":\"FHIRPath syntax: expected an expression at byte 3\"}\n\
                {\"id\":3,\"result\":[{\"type\":\"time\",\"value\":\"T10:00\"}]}\n\
                {\"error\":\"not a question: expected true, false or null at byte 0\"}\n\
                {\"id\":4,\"error\":\"no such file\"}\n";
    assert_eq!(String::from_utf8(output).unwrap(), want);
}
