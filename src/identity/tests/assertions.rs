//! Client assertions and key sets, judged without a gateway around them.

use super::*;
use crate::fhir::{Node, json};

fn verify(token: &str) -> Result<Proven, AssertionError> {
    let keys = Jwks::parse(&EC_KEY.public_jwks).unwrap();
    let expected =
        Expected { audience: TOKEN_ENDPOINT, jwks_url: Some("https://lab.example.org/jwks"), now: start(), skew: Duration::from_secs(30) };
    Assertion::read(token)?.verify(&keys, expected)
}

fn number(text: &str) -> Node {
    crate::fhir::Value::Number(text.into()).into()
}

#[test]
fn assertions_are_judged_by_their_claims() {
    let check = |name: &str, claims: Object, expected: Result<(), AssertionError>| {
        assert_eq!(verify(&signed(header(), claims)).map(|_| ()), expected, "{name}");
    };
    check("as it should be", claims(), Ok(()));
    check("audience in a list", claims().with("aud", vec!["https://other".into(), TOKEN_ENDPOINT.into()]), Ok(()));
    check("claims of others", claims().with("extensions", Object::new().with("hl7-b2b", "x")), Ok(()));
    check("fraction of a second", claims().with("exp", number(&format!("{}.5", NOW_S + 60))), Ok(()));
    check("expired within the skew", claims().with("exp", seconds(-29)), Ok(()));
    check("five minutes and the skew", claims().with("exp", seconds(330)), Ok(()));
    check("clock ahead within the skew", claims().with("iat", seconds(30)).with("nbf", seconds(30)), Ok(()));
    check("wrong audience", claims().with("aud", "https://gateway.example.org/fhir"), Err(AssertionError::Audience));
    check("audience with a slash", claims().with("aud", format!("{TOKEN_ENDPOINT}/")), Err(AssertionError::Audience));
    check("audience that begins alike", claims().with("aud", "https://gateway.example.org"), Err(AssertionError::Audience));
    check("audience of another kind", claims().with("aud", 1), Err(AssertionError::Audience));
    check("endless audiences", claims().with("aud", vec![TOKEN_ENDPOINT.into(); 9]), Err(AssertionError::Audience));
    check("issuer is another", claims().with("iss", "hospital"), Err(AssertionError::Issuer));
    check("subject is another", claims().with("sub", "hospital"), Err(AssertionError::Issuer));
    check("issuer is empty", claims().with("iss", "").with("sub", ""), Err(AssertionError::Issuer));
    check("issuer is too long", claims().with("iss", "x".repeat(256)).with("sub", "x".repeat(256)), Err(AssertionError::Issuer));
    check("expired", claims().with("exp", seconds(-30)), Err(AssertionError::Expired));
    check("expired long ago", claims().with("exp", 0), Err(AssertionError::Expired));
    check("lives too long", claims().with("exp", seconds(331)), Err(AssertionError::LivesTooLong));
    check("lives for ever", claims().with("exp", u64::try_from(i64::MAX).unwrap()), Err(AssertionError::LivesTooLong));
    check("expiry beyond numbers", claims().with("exp", u64::MAX), Err(AssertionError::NoExpiry));
    check("expiry as text", claims().with("exp", "1795178216"), Err(AssertionError::NoExpiry));
    check("expiry with an exponent", claims().with("exp", number("1.7951782e9")), Err(AssertionError::NoExpiry));
    check("not yet valid", claims().with("nbf", seconds(31)), Err(AssertionError::NotYetValid));
    check("issued in the future", claims().with("iat", seconds(31)), Err(AssertionError::NotYetValid));
    check("issued at no time", claims().with("iat", "now"), Err(AssertionError::NotYetValid));
    check("empty jti", claims().with("jti", ""), Err(AssertionError::NoJti));
    check("endless jti", claims().with("jti", "x".repeat(257)), Err(AssertionError::NoJti));
    for (missing, expected) in [
        ("iss", AssertionError::Issuer),
        ("sub", AssertionError::Issuer),
        ("aud", AssertionError::Audience),
        ("exp", AssertionError::NoExpiry),
        ("jti", AssertionError::NoJti),
    ] {
        let mut claims = claims();
        claims.remove(missing);
        check(missing, claims, Err(expected));
    }
}

#[test]
fn assertions_are_judged_by_their_header() {
    let check = |name: &str, header: Object, expected: Result<(), AssertionError>| {
        assert_eq!(verify(&signed(header, claims())).map(|_| ()), expected, "{name}");
    };
    check("without typ", Object::new().with("alg", "ES384").with("kid", "key-1"), Ok(()));
    check("typ in small letters", header().with("typ", "jwt"), Ok(()));
    check("jku as registered", header().with("jku", "https://lab.example.org/jwks"), Ok(()));
    check("jku elsewhere", header().with("jku", "https://evil.example.org/jwks"), Err(AssertionError::KeySetUrl));
    check("x5u does not matter", header().with("x5u", "https://evil.example.org/x5u"), Ok(()));
    check("other typ", header().with("typ", "at+jwt"), Err(AssertionError::Type));
    check("typ is no text", header().with("typ", 1), Err(AssertionError::Type));
    check("critical extension", header().with("crit", vec!["b64".into()]).with("b64", false), Err(AssertionError::Critical));
    check("no kid", Object::new().with("alg", "ES384"), Err(AssertionError::KeyId));
    check("kid is a path", header().with("kid", "../../key-1"), Err(AssertionError::Unproven));
    check("kid is unknown", header().with("kid", "key-2"), Err(AssertionError::Unproven));
    check("kid is endless", header().with("kid", "k".repeat(257)), Err(AssertionError::KeyId));
    check("algorithm of another key", header().with("alg", "RS384"), Err(AssertionError::Unproven));
    for algorithm in ["none", "None", "", "HS256", "HS384", "RS256", "ES256", "PS384", "EdDSA", "es384"] {
        check(algorithm, header().with("alg", algorithm), Err(AssertionError::Algorithm));
    }
}

#[test]
fn a_public_key_used_as_a_shared_secret_proves_nothing() {
    let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, EC_KEY.public_jwks.as_bytes());
    let forged = jws::sign_with_secret(&header().with("alg", "HS256").into(), &claims().into(), &secret);
    assert_eq!(verify(&forged), Err(AssertionError::Algorithm));
}

#[test]
fn tampered_and_torn_assertions_prove_nothing() {
    let good = signed(header(), claims());
    let parts: Vec<&str> = good.split('.').collect();
    let encode = |text: &str| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
    let check = |name: &str, token: String, expected: AssertionError| assert_eq!(verify(&token), Err(expected), "{name}");
    let other_claims = encode(&json::write(&claims().with("jti", "two").into()));
    check("other claims", format!("{}.{other_claims}.{}", parts[0], parts[2]), AssertionError::Unproven);
    check("no signature", format!("{}.{}.", parts[0], parts[1]), AssertionError::Unproven);
    check("two parts", format!("{}.{}", parts[0], parts[1]), AssertionError::Malformed);
    check("four parts", format!("{good}.e30"), AssertionError::Malformed);
    check("padding", format!("{good}="), AssertionError::Malformed);
    check("white space", format!(" {good}"), AssertionError::Malformed);
    check("nothing", String::new(), AssertionError::Malformed);
    check("other alphabet", format!("{}.{}.+/+/", parts[0], parts[1]), AssertionError::Malformed);
    check("claims are a list", format!("{}.{}.{}", parts[0], encode("[]"), parts[2]), AssertionError::Malformed);
    let twice = r#"{"iss":"hospital","iss":"laboratory","sub":"laboratory"}"#;
    check("duplicate claim", format!("{}.{}.{}", parts[0], encode(twice), parts[2]), AssertionError::Malformed);
    let deep = format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000));
    check("deep claims", format!("{}.{}.{}", parts[0], encode(&deep), parts[2]), AssertionError::Malformed);
    check("oversize", signed(header(), claims().with("x", "y".repeat(MAX_TOKEN_BYTES))), AssertionError::TooLarge);
    check("a megabyte", "a".repeat(1 << 20), AssertionError::TooLarge);
}

#[test]
fn assertions_signed_by_openssl_are_proved() {
    let fixtures = repository().join("fixtures/identity");
    let keys = Jwks::parse(&std::fs::read_to_string(fixtures.join("openssl.jwks.json")).unwrap()).unwrap();
    for name in ["openssl-rs384.jwt", "openssl-es384.jwt"] {
        let token = std::fs::read_to_string(fixtures.join(name)).unwrap();
        let expected = Expected { audience: TOKEN_ENDPOINT, jwks_url: None, now: start(), skew: Duration::ZERO };
        let proven = Assertion::read(token.trim()).unwrap().verify(&keys, expected).unwrap();
        assert_eq!((proven.client_id.as_str(), proven.remember_until), ("laboratory", start() + MAX_LIFETIME), "{name}");
    }
}

#[test]
fn our_own_assertions_are_proved() {
    for key in [&EC_KEY, &RSA_KEY] {
        let claims = AssertionClaims { client_id: "gateway", key_id: "key-1", audience: TOKEN_ENDPOINT, jti: "a", now: start() };
        let token = make_client_assertion(&key.signing, claims).unwrap();
        let expected = Expected { audience: TOKEN_ENDPOINT, jwks_url: None, now: start(), skew: Duration::ZERO };
        let assertion = Assertion::read(&token).unwrap();
        assert_eq!(assertion.algorithm(), key.signing.algorithm());
        assert!(assertion.verify(&Jwks::parse(&key.public_jwks).unwrap(), expected).is_ok());
    }
}

#[test]
fn key_sets_hold_usable_public_keys_only() {
    let set: serde_json::Value = serde_json::from_str(&EC_KEY.public_jwks).unwrap();
    let check = |name: &str, change: &dyn Fn(&mut serde_json::Value), usable: bool| {
        let mut set = set.clone();
        change(&mut set["keys"][0]);
        let keys = Jwks::parse(&set.to_string()).unwrap();
        assert_eq!(keys.has("key-1", SigningAlgorithm::Es384), usable, "{name}");
    };
    let without = |name: &'static str| {
        move |key: &mut serde_json::Value| {
            key.as_object_mut().unwrap().remove(name);
        }
    };
    check("as it is", &|_| {}, true);
    check("without use", &without("use"), true);
    check("without alg", &without("alg"), true);
    check("may verify", &|key| key["key_ops"] = serde_json::json!(["verify"]), true);
    check("may only sign", &|key| key["key_ops"] = serde_json::json!(["sign"]), false);
    check("for encryption", &|key| key["use"] = "enc".into(), false);
    check("for another algorithm", &|key| key["alg"] = "ES256".into(), false);
    check("without kid", &without("kid"), false);
    check("with its private half", &|key| key["d"] = "AQAB".into(), false);
    check("of another curve", &|key| key["crv"] = "P-256".into(), false);
    check("short coordinate", &|key| key["x"] = "AQAB".into(), false);
    check("shared secret", &|key| key["kty"] = "oct".into(), false);
    let error = |text: &str| Jwks::parse(text).unwrap_err();
    assert_eq!(error("<html>"), JwksError::NotJson);
    assert_eq!(error("{}"), JwksError::NoKeys);
    assert_eq!(error(&format!(r#"{{"keys":[{}1]}}"#, "1,".repeat(jwks::MAX_KEYS))), JwksError::TooMany);
}

#[test]
fn small_rsa_keys_are_not_usable() {
    let key = |bytes: usize| {
        let modulus = data_encoding::BASE64URL_NOPAD.encode(&vec![0xff; bytes]);
        Jwks::parse(&format!(r#"{{"keys":[{{"kty":"RSA","kid":"a","n":"{modulus}","e":"AQAB"}}]}}"#)).unwrap()
    };
    assert_eq!([key(128).len(), key(255).len(), key(256).len(), key(1024).len(), key(1025).len()], [0, 0, 1, 1, 0]);
}

#[test]
fn private_keys_are_read_for_their_algorithm_only() {
    let check = |pem: &str, algorithm: SigningAlgorithm| SigningKey::from_pem(pem, algorithm).is_ok();
    let ec = generate_key(SigningAlgorithm::Es384, "a").unwrap().private_pem;
    let rsa = generate_key(SigningAlgorithm::Rs384, "a").unwrap().private_pem;
    assert!(check(&ec, SigningAlgorithm::Es384) && !check(&ec, SigningAlgorithm::Rs384));
    assert!(check(&rsa, SigningAlgorithm::Rs384) && !check(&rsa, SigningAlgorithm::Es384));
    for wrong in ["", "-----BEGIN PRIVATE KEY-----", &ec.replace("PRIVATE", "PUBLIC"), &ec.replace("BEGIN ", "BEGIN ENCRYPTED ")] {
        assert!(!check(wrong, SigningAlgorithm::Es384));
    }
}
