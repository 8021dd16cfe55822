use super::*;
use std::path::Path;

fn check(text: &str, expected: Result<&str, SyntaxErrorKind>) {
    let actual = parse(text.as_bytes(), 8).map(|node| write(&node)).map_err(|error| error.kind);
    assert_eq!(actual, expected.map(str::to_owned), "{text}");
}

#[test]
fn what_is_accepted_is_written_as_it_came() {
    for text in ["null", "true", "-0", "1.10", "1E400", "1.0e+2", "\"\"", "[]", "{}", "{\"a\":[1,{\"b\":null}],\"\":\"ü\u{1F525}\"}"] {
        check(text, Ok(text));
    }
    check("\u{FEFF} { \"a\" : [ 1 , 2 ] } \n", Ok("{\"a\":[1,2]}"));
    check(r#""\u0041\ud83d\ude00\/\b\f\n\r\t""#, Ok("\"A\u{1F600}/\\b\\f\\n\\r\\t\""));
}

#[test]
fn refusals() {
    use SyntaxErrorKind as Kind;
    check("", Err(Kind::Empty));
    check(" \n", Err(Kind::Empty));
    check("{\"id\":1,\"\\u0069d\":2}", Err(Kind::DuplicateMember { name: "id".to_owned() }));
    check("[[[[[[[[[]]]]]]]]]", Err(Kind::TooDeep { limit: 8 }));
    check(r#""\ud800""#, Err(Kind::LoneSurrogate));
    check(r#""\ud800\u0041""#, Err(Kind::LoneSurrogate));
    check(r#""\udc00""#, Err(Kind::LoneSurrogate));
    check("\"a\nb\"", Err(Kind::ControlCharacter));
    check(r#""\x""#, Err(Kind::BadEscape));
    check(r#""\u12G4""#, Err(Kind::BadEscape));
    for number in ["01", "-", "1.", ".5", "1e", "+1", "1.e5", "0x1", "-01"] {
        assert!(parse(number.as_bytes(), 8).is_err(), "{number}");
    }
    check("1 2", Err(Kind::TrailingContent));
    check("{\"a\":1,}", Err(Kind::Unexpected { expected: "a member name in double quotes" }));
    check("[1,]", Err(Kind::Unexpected { expected: "a value" }));
    assert_eq!(parse(b"\"a\xC3\"", 8).map_err(|error| (error.offset, error.kind)), Err((2, Kind::InvalidUtf8)));
}

#[test]
fn a_document_of_very_many_small_values_is_refused_by_its_limit() {
    let list = |length: usize, space: usize| format!("[{}]", vec![format!("1{}", " ".repeat(space)); length].join(","));
    assert!(parse(list(VALUES_OF_ANY - 1, 0).as_bytes(), 8).is_ok());
    let many = list(400_000, 0);
    let limit = VALUES_OF_ANY + many.len() / BYTES_OF_A_VALUE;
    let refused = parse(many.as_bytes(), 8).unwrap_err();
    assert_eq!((refused.offset, refused.kind.clone()), (1 + 2 * (limit - 1), SyntaxErrorKind::TooManyValues { limit }));
    assert_eq!(parse_leniently(many.as_bytes(), 8).unwrap_err(), refused);
    assert!(parse(list(400_000, 6).as_bytes(), 8).is_ok(), "large values are no matter");
}

#[test]
fn duplicates_are_found_among_many_members() {
    let members: Vec<String> = (0..100).map(|number| format!("\"m{number}\":{number}")).collect();
    assert!(parse(format!("{{{}}}", members.join(",")).as_bytes(), 8).is_ok());
    assert!(parse(format!("{{{},\"m3\":0}}", members.join(",")).as_bytes(), 8).is_err());
}

#[test]
fn canonical_form_sorts_members() {
    let node = parse(b"{\"b\":1.0,\"a\":{\"d\":1,\"c\":2}}", 8).unwrap();
    assert_eq!(write_canonical(&node), "{\"a\":{\"c\":2,\"d\":1},\"b\":1.0}");
}

/// The public parsing cases: names beginning `y_` must be accepted and written back equal, `n_` refused, `i_` only must not crash.
#[test]
fn parsing_suite() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/suites/json/test_parsing");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: {} is not here", folder.display());
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let result = parse(&std::fs::read(&path).unwrap(), DEFAULT_DEPTH);
        match name.split('_').next() {
            // FHIR forbids what RFC 8259 only advises against.
            Some("y") if name.contains("duplicated_key") => assert!(result.is_err(), "{name}"),
            Some("y") => {
                let node = result.unwrap_or_else(|error| panic!("{name}: {} at {}", error.kind, error.offset));
                assert_eq!(parse(write(&node).as_bytes(), DEFAULT_DEPTH).unwrap(), node, "{name}");
                assert_eq!(parse(write_pretty(&node).as_bytes(), DEFAULT_DEPTH).unwrap(), node, "{name}");
            }
            Some("n") => assert!(result.is_err(), "{name}"),
            _ => {}
        }
    }
}
