//! The published examples of the RFCs, taken as facts, and every way a signature can be wrong.

use super::fields::{Member, dictionary};
use super::message::base;
use super::*;
use crate::clock::Instant;
use crate::fhir::{Node, Object, json};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use sha2::{Digest, Sha256};
use std::time::Duration;

fn node(text: &str) -> Node {
    json::parse(text.as_bytes(), 32).unwrap()
}

/// RFC 9421 appendix B.1: the public keys.
fn rfc_keys() -> Vec<PublicKey> {
    read_keys(&node(
        r#"{"keys": [
          {"kid": "test-key-rsa-pss", "kty": "RSA", "e": "AQAB", "n": "r4tmm3r20Wd_PbqvP1s2-QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct-Lh1GH45x28Rw3Ry53mm-oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHqgDsznjPFmTOtCEcN2Z1FpWgchwuYLPL-Wokqltd11nqqzi-bJ9cvSKADYdUAAN5WUtzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4aOT9v6d-nb4bnNkQVklLQ3fVAvJm-xdDOp9LCNCN48V2pnDOkFV6-U9nV5oyc6XI2w"},
          {"kid": "test-key-ecc-p256", "kty": "EC", "crv": "P-256", "x": "qIVYZVLCrPZHGHjP17CTW0_-D9Lfw0EkjqF7xB4FivA", "y": "Mc4nN9LTDOBhfoUeg8Ye9WedFRhnZXZJA12Qp0zZ6F0"},
          {"kid": "test-key-ed25519", "kty": "OKP", "crv": "Ed25519", "x": "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"}]}"#,
    ))
}

const RFC_DIGEST: &str = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
const RFC_BODY: &[u8] = br#"{"hello": "world"}"#;

fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// RFC 9421 appendix B.2: the request of the examples.
fn rfc_fields() -> Vec<(String, String)> {
    fields(&[
        ("host", "example.com"),
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("content-type", "application/json"),
        ("content-digest", RFC_DIGEST),
        ("content-length", "18"),
    ])
}

fn rfc_request(fields: &[(String, String)]) -> Request<'_> {
    Request {
        method: "POST",
        scheme: "https",
        authority: "example.com",
        path: "/foo",
        query: Some("param=Value&Pet=dog"),
        fields,
        body: RFC_BODY,
    }
}

#[test]
fn the_examples_of_rfc_9421_hold() {
    let cases = [
        (
            Algorithm::RsaPssSha512,
            r#"();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd""#,
            "d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==",
        ),
        (
            Algorithm::RsaPssSha512,
            r#"("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example""#,
            "LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==",
        ),
        (
            Algorithm::RsaPssSha512,
            r#"("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss""#,
            "bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==",
        ),
        (
            Algorithm::Ed25519,
            r#"("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#,
            "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
        ),
    ];
    let (keys, rfc_fields) = (rfc_keys(), rfc_fields());
    for (algorithm, input, signature) in cases {
        let members = dictionary(&format!("sig={input}"), "input").unwrap();
        let Member::List { items, parameters } = &members[0].1 else { panic!("{input}") };
        let base = base(items, parameters, &rfc_request(&rfc_fields)).unwrap();
        assert!(base.ends_with(&format!("\"@signature-params\": {input}")), "{base}");
        let signature = BASE64.decode(signature.as_bytes()).unwrap();
        let holding: Vec<&str> =
            keys.iter().filter(|key| key.verifies(algorithm, base.as_bytes(), &signature)).map(PublicKey::id).collect();
        assert_eq!(holding.len(), 1, "{input}");
        assert!(input.contains(holding[0]), "{input}");
        assert!(!keys.iter().any(|key| key.verifies(algorithm, format!("{base} ").as_bytes(), &signature)));
    }
}

/// Appendix B.2.4 signs a response; its base is taken from the RFC.
#[test]
fn the_response_example_of_rfc_9421_holds() {
    let base = "\"@status\": 200\n\"content-type\": application/json\n\"content-digest\": sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:\n\"content-length\": 23\n\"@signature-params\": (\"@status\" \"content-type\" \"content-digest\" \"content-length\");created=1618884473;keyid=\"test-key-ecc-p256\"";
    let signature = BASE64.decode(b"wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==").unwrap();
    assert!(rfc_keys().iter().any(|key| key.verifies(Algorithm::EcdsaP256Sha256, base.as_bytes(), &signature)));
}

#[test]
fn the_examples_of_rfc_7515_and_8037_hold_detached() {
    let cases = [
        (
            r#"{"kid": "1", "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            "eyJhbGciOiJFZERTQSJ9..hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
            &b"Example of Ed25519 signing"[..],
        ),
        (
            r#"{"kid": "1", "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
            "eyJhbGciOiJFUzI1NiJ9..DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
            b"{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}",
        ),
    ];
    for (key, text, payload) in cases {
        let key = read_keys(&node(key)).remove(0);
        let detached = Detached::read(text).unwrap();
        assert!(detached.verifies(payload, &key), "{text}");
        assert!(!detached.verifies(&[payload, b" "].concat(), &key), "{text}");
    }
    // RFC 8037 appendix A.3: the thumbprint of that key.
    let key = read_keys(&node(cases[0].0)).remove(0);
    assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn only_whole_detached_signatures_are_read() {
    let header = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let cases = [
        ("abc".to_owned(), Problem::Unreadable("The JWS of Provenance.signature.data")),
        (format!("{}.e30.AA", header("{\"alg\":\"EdDSA\"}")), Problem::Unreadable("The JWS of Provenance.signature.data")),
        (format!("{}..AA..", header("{\"alg\":\"EdDSA\"}")), Problem::Unreadable("The JWS of Provenance.signature.data")),
        (format!("{}..A", header("{\"alg\":\"EdDSA\"}")), Problem::Unreadable("The JWS of Provenance.signature.data")),
        (format!("{}..AA", header("{\"alg\":\"EdDSA\",\"alg\":\"ES256\"}")), Problem::Unreadable("The header of the JWS")),
        (format!("{}..AA", header("[]")), Problem::Unreadable("The header of the JWS")),
        (format!("{}..AA", header("{}")), Problem::Missing("'alg' in its header")),
        (format!("{}..AA", header("{\"alg\":\"none\"}")), Problem::NotOffered("an algorithm")),
        (format!("{}..AA", header("{\"alg\":\"HS256\"}")), Problem::NotOffered("an algorithm")),
        (format!("{}..AA", header("{\"alg\":\"EdDSA\",\"crit\":[\"exp\"]}")), Problem::NotOffered("an extension of JWS")),
        (format!("{}..AA", header("{\"alg\":\"EdDSA\",\"b64\":false}")), Problem::NotOffered("an extension of JWS")),
        ("a".repeat(40_000), Problem::TooMany("bytes in the JWS")),
    ];
    for (text, expected) in cases {
        assert_eq!(Detached::read(&text).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn keys_are_used_for_no_more_than_they_state() {
    let x = "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs";
    let cases = [
        (format!(r#"{{"kid":"1","kty":"OKP","crv":"Ed25519","x":"{x}"}}"#), 1),
        (format!(r#"{{"kid":"1","kty":"OKP","crv":"Ed25519","x":"{x}","alg":"EdDSA","use":"sig","key_ops":["verify"]}}"#), 1),
        (format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#), 0),
        (format!(r#"{{"kid":"1","kty":"OKP","crv":"Ed25519","x":"{x}","d":"{x}"}}"#), 0),
        (format!(r#"{{"kid":"1","kty":"OKP","crv":"Ed25519","x":"{x}","use":"enc"}}"#), 0),
        (format!(r#"{{"kid":"1","kty":"OKP","crv":"Ed25519","x":"{x}","key_ops":["sign"]}}"#), 0),
        (format!(r#"{{"kid":"1","kty":"OKP","crv":"Ed25519","x":"{x}","alg":"ES256"}}"#), 0),
        (format!(r#"{{"kid":"1","kty":"OKP","crv":"X25519","x":"{x}"}}"#), 0),
        (r#"{"kid":"1","kty":"OKP","crv":"Ed25519","x":"AA"}"#.to_owned(), 0),
        (r#"{"kid":"1","kty":"oct","k":"AA"}"#.to_owned(), 0),
    ];
    for (jwk, usable) in cases {
        assert_eq!(read_keys(&node(&jwk)).len(), usable, "{jwk}");
    }
    let many: Vec<String> = (0..MAX_KEYS + 5).map(|n| format!(r#"{{"kid":"{n}","kty":"OKP","crv":"Ed25519","x":"{x}"}}"#)).collect();
    assert_eq!(read_keys(&node(&format!("{{\"keys\":[{}]}}", many.join(",")))).len(), MAX_KEYS);
    let rsa = &rfc_keys()[0];
    assert!(rsa.fits(Algorithm::RsaPssSha512) && rsa.fits(Algorithm::RsaV15Sha384) && !rsa.fits(Algorithm::Ed25519));
    let stated = rsa.to_jwk().with("alg", "RS384");
    assert!(!read_keys(&stated.into())[0].fits(Algorithm::RsaPssSha512));
}

/// A signer of the tests.
struct Signer(Ed25519KeyPair);

const NOW: i64 = 1_800_000_000;

impl Signer {
    fn new(seed: u8) -> Signer {
        Signer(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    fn keys(&self) -> Vec<PublicKey> {
        let x = BASE64URL_NOPAD.encode(self.0.public_key().as_ref());
        read_keys(&node(&format!(r#"{{"kid":"k","kty":"OKP","crv":"Ed25519","x":"{x}"}}"#)))
    }

    /// Headers of a request signed over `base`.
    fn header(&self, base: &str) -> String {
        format!("sig=:{}:", BASE64.encode(self.0.sign(base.as_bytes()).as_ref()))
    }

    fn jws(&self, header: &str, payload: &[u8]) -> String {
        let protected = BASE64URL_NOPAD.encode(header.as_bytes());
        let input = format!("{protected}.{}", BASE64URL_NOPAD.encode(payload));
        BASE64.encode(format!("{protected}..{}", BASE64URL_NOPAD.encode(self.0.sign(input.as_bytes()).as_ref())).as_bytes())
    }
}

fn freshness() -> Freshness {
    Freshness { now: Instant::from_seconds(NOW), skew: Duration::from_secs(30), max_age: Duration::from_secs(300) }
}

fn check_http(extra: &[(&str, &str)], body: &[u8], keys: &[PublicKey]) -> Result<usize, Problem> {
    let fields = fields(extra);
    let request =
        Request { method: "POST", scheme: "https", authority: "gw.example", path: "/fhir/Patient", query: None, fields: &fields, body };
    let signatures = http_signatures(&request, freshness())?;
    signatures.into_iter().map(|signature| signature.verify(keys)).collect::<Result<Vec<_>, _>>().map(|held| held.len())
}

fn sha256(body: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64.encode(&Sha256::digest(body)))
}

#[test]
fn a_request_is_signed_or_refused() {
    let (signer, body) = (Signer::new(1), &b"{}"[..]);
    let digest = sha256(body);
    let parameters = format!(";created={NOW};keyid=\"k\"");
    let input = format!("(\"content-digest\"){parameters}");
    let good = signer.header(&format!("\"content-digest\": {digest}\n\"@signature-params\": {input}"));
    let labelled = |input: &str| format!("sig={input}");
    let signed = |parameters: &str| {
        let input = format!("(\"content-digest\"){parameters}");
        let signature = signer.header(&format!("\"content-digest\": {digest}\n\"@signature-params\": {input}"));
        (labelled(&input), signature)
    };
    let keys = signer.keys();
    let with = |input: &str, signature: &str| {
        check_http(&[("content-digest", &digest), ("signature-input", input), ("signature", signature)], body, &keys)
    };
    assert_eq!(with(&labelled(&input), &good), Ok(1));
    assert_eq!(check_http(&[], body, &keys), Ok(0));
    assert_eq!(check_http(&[("content-digest", &digest)], body, &keys), Ok(0));
    assert_eq!(check_http(&[("content-digest", &sha256(b"x"))], body, &keys), Err(Problem::WrongDigest));
    assert_eq!(check_http(&[("content-digest", "sha-256")], body, &keys), Err(Problem::Unreadable("The Content-Digest header")));
    assert_eq!(check_http(&[("content-digest", "unixsum=:AA==:")], body, &keys), Ok(0));
    let twice = [("content-digest", digest.as_str()), ("content-digest", digest.as_str())];
    assert_eq!(check_http(&twice, body, &keys), Err(Problem::Repeated("The Content-Digest header")));
    // The body changed on the way, or the signer is another.
    let headers = [("content-digest", digest.as_str()), ("signature-input", &labelled(&input)), ("signature", &good)];
    assert_eq!(check_http(&headers, b"{ }", &keys), Err(Problem::WrongDigest));
    assert_eq!(check_http(&headers, body, &Signer::new(2).keys()), Err(Problem::DoesNotHold));
    assert_eq!(check_http(&headers, body, &[]), Err(Problem::UnknownKey));
    assert_eq!(
        check_http(&headers[1..], body, &keys),
        Err(Problem::Missing("\"content-digest\" among its components, with sha-256 or sha-512"))
    );
    // Half of a signature, and more than one under the same label.
    assert!(matches!(check_http(&headers[..2], body, &keys), Err(Problem::Missing(_))));
    assert!(matches!(check_http(&[headers[0], headers[2]], body, &keys), Err(Problem::Missing(_))));
    let doubled = format!("{0}, {0}", labelled(&input));
    assert_eq!(with(&doubled, &good), Err(Problem::Repeated("The Signature-Input header")));
    assert_eq!(with(&labelled(&input), &format!("{good}, {good}")), Err(Problem::Repeated("The Signature header")));
    assert!(matches!(with(&labelled(&input).replace("sig=", "other="), &good), Err(Problem::Missing(_))));
    let many = |text: &str| (0..5).map(|n| text.replacen("sig", &format!("s{n}"), 1)).collect::<Vec<_>>().join(", ");
    assert_eq!(with(&many(&labelled(&input)), &many(&good)), Err(Problem::TooMany("signatures in one request")));
    // Time, key and algorithm.
    for (parameters, expected) in [
        (format!(";created={};keyid=\"k\"", NOW - 331), Err(Problem::Expired)),
        (format!(";created={};keyid=\"k\"", NOW - 330), Ok(1)),
        (format!(";created={};keyid=\"k\"", NOW + 31), Err(Problem::FromTheFuture)),
        (format!(";created={};keyid=\"k\"", NOW + 30), Ok(1)),
        (format!(";created={NOW};expires={};keyid=\"k\"", NOW - 1), Err(Problem::Expired)),
        (format!(";created={NOW};expires={};keyid=\"k\"", NOW + 60), Ok(1)),
        (";keyid=\"k\"".to_owned(), Err(Problem::Missing("'created', the time it was made"))),
        (format!(";created={NOW}"), Err(Problem::Missing("'keyid', a key of the client's registered key set"))),
        (format!(";created={NOW};keyid=\"other\""), Err(Problem::UnknownKey)),
        (format!(";created={NOW};keyid=\"k\";alg=\"ed25519\""), Ok(1)),
        (format!(";created={NOW};keyid=\"k\";alg=\"rsa-pss-sha512\""), Err(Problem::UnknownKey)),
        (format!(";created={NOW};keyid=\"k\";alg=\"hmac-sha256\""), Err(Problem::NotOffered("an algorithm"))),
        (format!(";created={NOW};created={NOW};keyid=\"k\""), Err(Problem::Repeated("A parameter of a signature"))),
        (format!(";created=\"{NOW}\";keyid=\"k\""), Err(Problem::Unreadable("The Signature-Input header"))),
        (format!(";created={NOW}.5;keyid=\"k\""), Err(Problem::Unreadable("The Signature-Input header"))),
    ] {
        let (input, signature) = signed(&parameters);
        assert_eq!(with(&input, &signature), expected, "{parameters}");
    }
    // Components that are not there, twice there, or not offered.
    for (components, expected) in [
        ("\"content-digest\" \"content-digest\"", Problem::Repeated("A covered component")),
        ("\"content-digest\" \"x-absent\"", Problem::AbsentComponent),
        ("\"content-digest\" \"@status\"", Problem::NotOffered("a derived component")),
        ("\"content-digest\" \"@query-param\";name=\"a\"", Problem::AbsentComponent),
        ("\"content-digest\" \"host\";sf", Problem::NotOffered("a parameter of a component")),
        ("\"content-digest\" \"Host\"", Problem::Unreadable("The Signature-Input header")),
        ("\"@method\"", Problem::Missing("\"content-digest\" among its components, with sha-256 or sha-512")),
    ] {
        assert_eq!(with(&format!("sig=({components}){parameters}"), &good), Err(expected), "{components}");
    }
}

#[test]
fn a_request_without_a_body_signs_what_it_asks() {
    let signer = Signer::new(1);
    let parameters = format!(";created={NOW};keyid=\"k\"");
    for (components, lines, is_enough) in [
        ("(\"@method\" \"@target-uri\")", "\"@method\": POST\n\"@target-uri\": https://gw.example/fhir/Patient", true),
        ("(\"@method\" \"@path\")", "\"@method\": POST\n\"@path\": /fhir/Patient", true),
        ("(\"@method\")", "\"@method\": POST", false),
        ("(\"@path\")", "\"@path\": /fhir/Patient", false),
    ] {
        let signature = signer.header(&format!("{lines}\n\"@signature-params\": {components}{parameters}"));
        let headers = [("signature-input", format!("sig={components}{parameters}")), ("signature", signature)];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(check_http(&headers, b"", &signer.keys()).is_ok(), is_enough, "{components}");
    }
}

fn provenance(data: &str) -> Node {
    node(&format!(
        r#"{{"resourceType":"Provenance","signature":[{{"when":"2026-11-20T10:00:00Z","sigFormat":"application/jose","data":"{data}"}},
            {{"sigFormat":"application/signature+xml","data":"PHg+"}}]}}"#
    ))
}

fn check_document(data: &str, resources: &[Node]) -> Result<Verified, Problem> {
    let paths: Vec<String> = (0..resources.len()).map(|n| format!("Bundle.entry[{n}].resource")).collect();
    let candidates: Vec<Candidate<'_>> = paths.iter().zip(resources).map(|(path, resource)| Candidate { path, resource }).collect();
    let mut signatures = signatures_of(&provenance(data), freshness())?;
    signatures.remove(0).verify(&Signer::new(1).keys(), &candidates)
}

#[test]
fn a_document_is_signed_in_its_canonical_form() {
    let signer = Signer::new(1);
    let resource =
        node(r#"{"resourceType":"Patient","meta":{"versionId":"1"},"text":{"status":"empty"},"birthDate":"1970-01-01","id":"a"}"#);
    let other = node(r#"{"resourceType":"Patient"}"#);
    for canon in [Canonicalisation::Json, Canonicalisation::Data, Canonicalisation::Static] {
        let header = format!(r#"{{"alg":"EdDSA","kid":"k","canon":"{}","sigT":"2026-11-20T10:00:00Z"}}"#, canon.uri());
        let data = signer.jws(&header, &canon.bytes(&resource));
        let held = check_document(&data, &[other.clone(), resource.clone()]).unwrap();
        assert!(held.covers("Bundle.entry[1].resource") && !held.covers("Bundle.entry[0].resource"));
        assert_eq!(check_document(&data, std::slice::from_ref(&other)), Err(Problem::DoesNotHold));
        // What is not covered may change, and nothing else.
        let mut changed = resource.clone();
        changed.as_object_mut().unwrap().remove("meta");
        assert_eq!(check_document(&data, &[changed]).is_ok(), canon == Canonicalisation::Static, "{}", canon.uri());
        let mut changed = resource.clone();
        changed.as_object_mut().unwrap().set("birthDate", "1971-01-01");
        assert_eq!(check_document(&data, &[changed]), Err(Problem::DoesNotHold));
        // The order of members does not matter.
        let mut members: Vec<_> = resource.as_object().unwrap().members().to_vec();
        members.reverse();
        assert!(check_document(&data, &[Object::from_members(members).into()]).is_ok());
    }
}

#[test]
fn a_document_signature_is_whole_or_refused() {
    let signer = Signer::new(1);
    let resource = node(r#"{"resourceType":"Patient"}"#);
    let payload = Canonicalisation::Json.bytes(&resource);
    for (header, expected) in [
        (r#"{"alg":"EdDSA","kid":"k"}"#, Ok(())),
        (r#"{"alg":"EdDSA"}"#, Err(Problem::Missing("'kid' in its header, a key of the client's registered key set"))),
        (r#"{"alg":"EdDSA","kid":"other"}"#, Err(Problem::UnknownKey)),
        (r#"{"alg":"ES256","kid":"k"}"#, Err(Problem::UnknownKey)),
        (r#"{"alg":"EdDSA","kid":"k","sigT":"2100-01-01T00:00:00Z"}"#, Err(Problem::FromTheFuture)),
        (r#"{"alg":"EdDSA","kid":"k","canon":"urn:other"}"#, Err(Problem::NotOffered("a canonicalisation"))),
        (r#"{"alg":"EdDSA","kid":"k","canon":"http://hl7.org/fhir/canonicalization/json#static"}"#, Ok(())),
    ] {
        assert_eq!(check_document(&signer.jws(header, &payload), std::slice::from_ref(&resource)).map(drop), expected, "{header}");
    }
    assert_eq!(check_document("!", &[]).unwrap_err(), Problem::Unreadable("Provenance.signature.data"));
    assert_eq!(check_document(&"A".repeat(80_000), &[]).unwrap_err(), Problem::TooMany("bytes in the JWS"));
    let data = signer.jws(r#"{"alg":"EdDSA","kid":"k"}"#, &payload);
    let many = vec![node(r#"{"resourceType":"Basic"}"#); 65];
    assert_eq!(check_document(&data, &many).unwrap_err(), Problem::TooMany("targets in one signed Provenance"));
    let mut crowded = provenance(&data);
    let nine = vec![crowded.items("signature")[0].clone(); MAX_SIGNATURES + 1];
    crowded.as_object_mut().unwrap().set("signature", nine);
    assert_eq!(signatures_of(&crowded, freshness()).unwrap_err(), Problem::TooMany("signatures in one Provenance"));
}

#[test]
fn the_gateway_vouches_for_the_version_and_its_provenance() {
    let gateway = GatewaySigner::from_seed(&[7; 32]).unwrap();
    let version = node(r#"{"resourceType":"Patient","id":"a","meta":{"versionId":"1"}}"#);
    let who = Object::new().with("display", "gateway");
    let mut provenance = node(r#"{"resourceType":"Provenance","recorded":"2026-11-20T10:00:00Z"}"#);
    let signature = gateway.sign(&json::write_canonical(&version), &provenance, Instant::from_seconds(NOW), &who);
    provenance.as_object_mut().unwrap().set("signature", vec![signature]);
    let keys = read_keys(&gateway.key_set());
    let check = |provenance: &Node, version: &Node| {
        let signature = signatures_of(provenance, freshness()).unwrap().remove(0);
        let text = BASE64.decode(provenance.items("signature")[0].text("data").unwrap().as_bytes()).unwrap();
        let detached = Detached::read(std::str::from_utf8(&text).unwrap()).unwrap();
        let vouched = check_gateway_signature(&detached, provenance).unwrap();
        signature.verify(&keys, &[Candidate { path: "", resource: version }]).map(drop).and(vouched)
    };
    assert_eq!(check(&provenance, &version), Ok(()));
    assert_eq!(check(&provenance, &node(r#"{"resourceType":"Patient","id":"b","meta":{"versionId":"1"}}"#)), Err(Problem::DoesNotHold));
    provenance.as_object_mut().unwrap().set("recorded", "2026-11-20T11:00:00Z");
    assert_eq!(check(&provenance, &version), Err(Problem::DoesNotHold));
}
