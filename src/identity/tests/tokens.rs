//! Token requests and access tokens, over a configuration.

use super::*;

#[test]
fn an_assertion_counts_once() {
    let guard = ReplayGuard::new();
    let until = start() + Duration::from_secs(100);
    assert!(guard.record("a", "one", until, start()));
    assert!(!guard.record("a", "one", until, start()));
    assert!(guard.record("b", "one", until, start()), "another client's jti is another jti");
    assert!(!guard.record("a", "one", until, until - Duration::from_secs(1)));
    assert!(guard.record("a", "one", until + Duration::from_secs(100), until), "an expired assertion would be refused before");
}

#[test]
fn the_memory_for_assertions_is_bounded() {
    let guard = ReplayGuard::new();
    let until = start() + Duration::from_secs(100);
    for index in 0..MAX_JTIS_PER_CLIENT {
        assert!(guard.record("a", &index.to_string(), until, start()));
    }
    assert!(!guard.record("a", "one more", until, start()), "refused rather than forgotten");
    assert!(guard.record("b", "one", until, start()), "others are not affected");
    assert!(guard.record("a", "one more", until + Duration::from_secs(100), until), "room again once they have expired");
}

#[tokio::test]
async fn a_proved_client_gets_a_token_and_is_recognised_by_it() {
    let gateway = gateway("story", None, false);
    let response = gateway.identity.token(&request(&signed(header(), claims()), "system/*.read system/Observation.c")).await.unwrap();
    let body = response.to_json();
    assert_eq!(body["scope"], "system/Observation.crs system/Patient.read");
    assert_eq!((body["token_type"].as_str(), body["expires_in"].as_u64()), (Some("bearer"), Some(300)));
    assert!(!format!("{response:?}").contains(body["access_token"].as_str().unwrap()));

    let authorization = format!("Bearer {}", body["access_token"].as_str().unwrap());
    let caller = gateway.identity.authenticate(Some(&authorization), None).unwrap();
    assert_eq!((caller.client_id.as_str(), caller.source.as_deref()), ("laboratory", Some("laboratory")));
    assert_eq!(caller.token_id, response.token_id);
    assert!(caller.has_role(Role::Regulator) && !caller.has_role(Role::BreakGlass));
    assert!(caller.require(Interaction::Create, "Observation").is_ok());
    assert_eq!(caller.require(Interaction::Update, "Observation").unwrap_err().reason, Reason::Forbidden);
    assert_eq!(caller.require(Interaction::Read, "Condition").unwrap_err().reason, Reason::Forbidden);

    gateway.time.advance(Duration::from_secs(300));
    let refusal = gateway.identity.authenticate(Some(&authorization), None).unwrap_err();
    assert_eq!((refusal.reason, refusal.findings[0].code), (Reason::Unauthenticated, IssueType::Expired));
}

#[tokio::test]
async fn token_requests_that_are_refused() {
    let gateway = gateway("refused", None, false);
    let assertion = signed(header(), claims());
    let good = request(&assertion, "system/Observation.rs");
    let change = |name: &str, value: &str| {
        let mut form = good.clone();
        form.retain(|(held, _)| held != name);
        form.push((name.to_owned(), value.to_owned()));
        form
    };
    let stranger = signed(header(), claims().with("iss", "stranger").with("sub", "stranger"));
    let wrong_key = signed(header().with("kid", "key-2"), claims());
    let cases = [
        ("no grant type", change("grant_type", ""), "invalid_request"),
        ("other grant type", change("grant_type", "authorization_code"), "unsupported_grant_type"),
        ("other assertion type", change("client_assertion_type", "saml2-bearer"), "invalid_request"),
        ("no assertion", change("client_assertion", ""), "invalid_request"),
        ("no scope", change("scope", ""), "invalid_request"),
        ("a secret", change("client_secret", "swordfish"), "invalid_request"),
        ("twice", [good.clone(), form(&[("scope", "system/*.rs")])].concat(), "invalid_request"),
        ("too many", (0..33).map(|index| (index.to_string(), "x".to_owned())).collect(), "invalid_request"),
        ("scope of a person", change("scope", "patient/Observation.rs"), "invalid_scope"),
        ("scope with a query", change("scope", "system/Observation.rs?code=1"), "invalid_scope"),
        ("scope not registered", change("scope", "system/Condition.rs"), "invalid_scope"),
        ("unknown purpose", change("purpose_of_use", "CURIOSITY"), "invalid_request"),
        ("purpose not registered", change("purpose_of_use", "HMARKT"), "invalid_request"),
        ("another client_id", change("client_id", "hospital"), "invalid_client"),
        ("unknown client", change("client_assertion", &stranger), "invalid_client"),
        ("unknown key", change("client_assertion", &wrong_key), "invalid_client"),
        ("no assertion at all", change("client_assertion", "x"), "invalid_client"),
    ];
    for (name, mut form, expected) in cases {
        // Cases that come past the proof use up their assertion, so each needs one of its own.
        let fresh = signed(header(), claims().with("jti", name));
        form.iter_mut().filter(|(_, value)| *value == assertion).for_each(|(_, value)| value.clone_from(&fresh));
        let error = gateway.identity.token(&form).await.unwrap_err();
        assert_eq!((error.error.code(), error.status()), (expected, 400), "{name}");
        let shown = format!("{error:?} {}", error.to_json());
        for secret in [&assertion, &fresh, "swordfish", "CURIOSITY"] {
            assert!(!shown.contains(secret), "{name}: what was sent is repeated");
        }
    }
    let description = async |assertion: &str| gateway.identity.token(&request(assertion, "system/*.rs")).await.unwrap_err().description;
    assert_eq!(description(&stranger).await, description(&wrong_key).await, "an unproved caller cannot tell which clients exist");
}

#[tokio::test]
async fn an_assertion_cannot_be_replayed_at_the_token_endpoint() {
    let gateway = gateway("replay", None, false);
    let form = request(&signed(header(), claims()), "system/Observation.rs");
    assert!(gateway.identity.token(&form).await.is_ok());
    let error = gateway.identity.token(&form).await.unwrap_err();
    assert_eq!((error.error, error.label), (OAuthErrorCode::InvalidClient, "replayed"));
}

#[tokio::test]
async fn purposes_are_narrowed_by_request_and_header_but_never_widened() {
    let gateway = gateway("purposes", None, false);
    let token = async |jti: &str, purposes: Option<&str>| {
        let mut form = request(&signed(header(), claims().with("jti", jti)), "system/Observation.rs");
        form.extend(purposes.map(|codes| ("purpose_of_use".to_owned(), codes.to_owned())));
        format!("Bearer {}", gateway.identity.token(&form).await.unwrap().access_token.reveal())
    };
    let (both, one) = (token("both", None).await, token("one", Some("TREAT")).await);
    let check = |token: &str, header: Option<&str>, expected: Result<&[&str], Reason>| {
        let caller = gateway.identity.authenticate(Some(token), header);
        let found = caller.map(|caller| caller.purposes.iter().map(|purpose| purpose.code()).collect::<Vec<_>>());
        assert_eq!(found.as_deref().map_err(|refusal| refusal.reason), expected, "{header:?}");
    };
    check(&both, None, Ok(&["TREAT", "PUBHLTH"]));
    check(&both, Some("PUBHLTH"), Ok(&["PUBHLTH"]));
    check(&both, Some("PUBHLTH, TREAT"), Ok(&["PUBHLTH", "TREAT"]));
    check(&both, Some("HRESCH"), Err(Reason::Forbidden));
    check(&both, Some("TREAT HRESCH"), Err(Reason::Forbidden));
    check(&both, Some("curiosity"), Err(Reason::Malformed));
    check(&both, Some(""), Err(Reason::Malformed));
    check(&one, None, Ok(&["TREAT"]));
    check(&one, Some("PUBHLTH"), Err(Reason::Forbidden));
}

#[tokio::test]
async fn only_our_own_access_tokens_are_taken() {
    let gateway = gateway("foreign", None, false);
    let response = gateway.identity.token(&request(&signed(header(), claims()), "system/Observation.rs")).await.unwrap();
    let good = response.access_token.reveal().to_owned();
    let issuer = |secret: &[u8], issuer: &str, audience: &str| AccessTokens::new(secret, issuer.to_owned(), audience.to_owned());
    let grant = Grant {
        client_id: "laboratory".into(),
        scopes: Scopes::every(),
        purposes: vec![],
        token_id: "x".into(),
        expires: start() + Duration::from_secs(100),
    };
    let forged = issuer(b"another secret of thirty-two byte", "https://gateway.example.org/fhir", "https://gateway.example.org/fhir");
    let check = |name: &str, authorization: Option<&str>| {
        let refusal = gateway.identity.authenticate(authorization, None).unwrap_err();
        assert_eq!((refusal.reason, refusal.findings[0].code), (Reason::Unauthenticated, IssueType::Login), "{name}");
        assert!(!format!("{refusal:?}").contains(&good));
    };
    check("none", None);
    check("empty", Some(""));
    check("basic", Some("Basic bGFi"));
    check("no token", Some("Bearer "));
    check("two tokens", Some("Bearer a b"));
    check("scheme missing", Some(&good));
    check("garbage", Some("Bearer garbage"));
    check("forged", Some(&format!("Bearer {}", forged.issue(&grant, start()))));
    check("tampered", Some(&format!("Bearer {}x", good)));
    check("client assertion", Some(&format!("Bearer {}", signed(header(), claims()))));
    check("huge", Some(&format!("Bearer {}", "a".repeat(1 << 20))));
    assert!(gateway.identity.authenticate(Some(&format!("bearer {good}")), None).is_ok(), "the scheme is not case sensitive");

    let ours = issuer(b"one secret of thirty-two bytes!!", "a", "b");
    let token = ours.issue(&grant, start());
    assert_eq!(ours.read(&token, start()), Ok(grant));
    assert_eq!(issuer(b"one secret of thirty-two bytes!!", "other", "b").read(&token, start()), Err(TokenError::Foreign));
    assert_eq!(issuer(b"one secret of thirty-two bytes!!", "a", "other").read(&token, start()), Err(TokenError::Foreign));
}

#[test]
fn other_tokens_signed_with_our_secret_are_not_access_tokens() {
    let secret = b"one secret of thirty-two bytes!!";
    let tokens = AccessTokens::new(secret, "a".to_owned(), "b".to_owned());
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    let claims = Object::new().with("iss", "a").with("aud", "b").with("client_id", "c").with("exp", seconds(60)).with("jti", "x");
    let claims = claims.with("scope", "system/*.rs").with("purpose_of_use", "");
    let check = |algorithm: &str, kind: &str, claims: Object, expected: bool| {
        let header = Object::new().with("alg", algorithm).with("typ", kind);
        let token = jws::sign_with_secret(&header.into(), &claims.into(), &key);
        assert_eq!(tokens.read(&token, start()).is_ok(), expected, "{algorithm} {kind}");
    };
    check("HS256", "at+jwt", claims.clone(), true);
    check("HS256", "JWT", claims.clone(), false);
    check("none", "at+jwt", claims.clone(), false);
    for missing in ["client_id", "exp", "jti", "scope", "purpose_of_use"] {
        let mut claims = claims.clone();
        claims.remove(missing);
        check("HS256", "at+jwt", claims, false);
    }
}

#[test]
fn a_token_grants_no_more_than_what_is_still_registered() {
    let mut settings = Settings::default();
    settings.enable_dev().unwrap();
    let mut client = Registry::new(&settings, str::to_owned).client("dev").unwrap().clone();
    client.scopes = Scopes::parse("system/Patient.r").unwrap();
    client.purposes.clear();
    let grant = Grant {
        client_id: "dev".into(),
        scopes: Scopes::every(),
        purposes: vec![Purpose::TREATMENT],
        token_id: "x".into(),
        expires: start(),
    };
    let caller = Caller::of(&client, grant);
    assert_eq!((caller.scopes.to_string().as_str(), caller.purposes.len()), ("system/Patient.r", 0));
}

#[test]
fn development_tokens_need_the_switch_and_this_machine() {
    let (on, off) = (gateway("dev-on", None, true), gateway("dev-off", None, false));
    let check = |gateway: &Gateway, client: &str, peer: &str, expected: bool| {
        let token = gateway.identity.dev_token(client, None, peer.parse().unwrap());
        assert_eq!(token.is_ok(), expected, "{client} from {peer}");
    };
    check(&on, "dev", "127.0.0.1", true);
    check(&on, "laboratory", "127.0.0.2", true);
    check(&on, "dev", "::1", true);
    check(&on, "dev", "::ffff:127.0.0.1", true);
    check(&on, "dev", "192.0.2.1", false);
    check(&on, "dev", "::ffff:192.0.2.1", false);
    check(&on, "stranger", "127.0.0.1", false);
    check(&off, "laboratory", "127.0.0.1", false);
    let scopes = Scopes::parse("system/*.rs").unwrap();
    let token = on.identity.dev_token("laboratory", Some(&scopes), [127, 0, 0, 1].into()).unwrap();
    assert_eq!(token.scopes.to_string(), "system/Observation.rs system/Patient.rs", "never more than is registered");
}

#[tokio::test]
async fn the_dev_client_is_proved_by_nothing() {
    let gateway = gateway("dev-proof", None, true);
    let assertion = signed(header(), claims().with("iss", "dev").with("sub", "dev"));
    assert_eq!(gateway.identity.token(&request(&assertion, "system/*.rs")).await.unwrap_err().label, "unproven");
}

#[test]
fn the_smart_configuration_says_what_is_supported() {
    let document = smart_configuration(&Settings::default());
    assert_eq!(document["token_endpoint"], "http://127.0.0.1:8080/auth/token");
    assert_eq!(document["token_endpoint_auth_signing_alg_values_supported"], serde_json::json!(["RS384", "ES384"]));
    for scope in document["scopes_supported"].as_array().unwrap() {
        assert!(Scopes::parse(scope.as_str().unwrap()).is_ok(), "{scope}");
    }
    for absent in ["issuer", "jwks_uri", "authorization_endpoint"] {
        assert!(document.get(absent).is_none(), "{absent} is not supported");
    }
}

#[test]
fn a_token_secret_that_is_too_short_stops_the_start() {
    let path = std::env::temp_dir().join(format!("hearthgate-token-key-{}", std::process::id()));
    std::fs::write(&path, "short\n").unwrap();
    let mut settings = Settings::default();
    settings.identity.token_key_file = Some(path.clone());
    assert!(signing_secret(&settings, &Entropy::seeded(1)).is_err());
    std::fs::write(&path, "a text of at least thirty-two characters\n").unwrap();
    assert_eq!(signing_secret(&settings, &Entropy::seeded(1)).unwrap(), b"a text of at least thirty-two characters");
    std::fs::remove_file(&path).unwrap();
    settings.identity.token_key_file = None;
    assert_eq!(signing_secret(&settings, &Entropy::seeded(1)).unwrap().len(), 32);
}
