use super::*;

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_defaults_are_sound() {
    let settings = Settings::embedded("some-data");
    assert_eq!(settings.check(), Ok(()));
    assert_eq!(settings, Settings::from_toml("[storage]\ndata_dir = \"some-data\"", Path::new("")).unwrap());
    assert!(settings.server.listen.ip().is_loopback() && settings.server.admin_listen.ip().is_loopback());
    assert_eq!(settings.server.fhir_base(), "http://127.0.0.1:8080/fhir");
    assert_eq!(settings.token_endpoint(), "http://127.0.0.1:8080/auth/token");
    assert_eq!(settings.issuer(), "http://127.0.0.1:8080/fhir");
    assert_eq!(settings.ledger_key_file(), Path::new("some-data/ledger.key"));
    assert_eq!(settings.consent.default, ConsentDefault::BreakGlassOnly);
    assert!(!settings.dev);
}

#[test]
fn every_default_lies_in_its_range() {
    for limit in limits::ALL {
        assert!(limit.min <= limit.default && limit.default <= limit.max, "{}", limit.name);
    }
}

#[test]
fn a_full_file_loads_and_prints_back_to_itself() {
    let directory = repository().join("fixtures/config/full");
    let settings = Settings::load(&directory.join("hearthgate.toml")).unwrap();
    assert_eq!(settings.server.origin(), "https://gateway.example.org");
    assert_eq!(settings.storage.data_dir, directory.join("data"));
    assert_eq!(settings.sources["hospital"].base_urls[0].as_str(), "http://ehr.example.org/fhir");
    assert_eq!(settings.clients[0].roles, [Role::Regulator, Role::BreakGlass]);
    let Auth::Basic { password, .. } = &settings.holders[0].auth else { panic!("basic expected") };
    assert!(password.matches("withheld-basic") && !password.matches("withheld-basic\n"));
    let listed = [
        PatientSelector::Reference("Patient/abc".into()),
        PatientSelector::Identifier(Identifier { system: "https://hospital.example.org/mrn".into(), value: "17".into() }),
    ];
    assert_eq!(settings.destinations[0].patients, Patients::Listed(listed.into()));

    let printed = settings.to_string();
    assert_eq!(Settings::from_toml(&printed, Path::new("")).unwrap(), settings);
    for shown in [printed, format!("{settings:?}")] {
        assert!(!shown.contains("withheld-"), "a secret is shown");
    }
}

#[test]
fn a_full_file_differs_from_every_default() {
    let text = std::fs::read_to_string(repository().join("fixtures/config/full/hearthgate.toml")).unwrap();
    for limit in limits::ALL {
        let key = limit.name.rsplit('.').next().unwrap();
        assert!(text.contains(key), "the full fixture does not set {}", limit.name);
    }
}

#[test]
fn the_sample_loads() {
    let settings = Settings::load(&repository().join("deploy/hearthgate.example.toml")).unwrap();
    assert_eq!((settings.clients.len(), settings.sources.len(), settings.holders.len(), settings.destinations.len()), (5, 3, 2, 1));
}

/// The sample shows options that are off as comments. With all of them on, nothing may be wrong but that their files are not there.
#[test]
fn the_options_the_sample_shows_exist() {
    let sample = std::fs::read_to_string(repository().join("deploy/hearthgate.example.toml")).unwrap();
    let is_setting = |line: &str| {
        let key = line.split(" = ").next().unwrap_or_default();
        line.starts_with('[') || (key != line && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
    };
    let uncomment = |line: &str| line.strip_prefix("# ").filter(|rest| is_setting(rest)).unwrap_or(line).to_owned() + "\n";
    let all_on: String = sample.lines().map(uncomment).collect();
    let error = Settings::from_toml(&all_on, Path::new("/nonexistent")).unwrap_err();
    assert!(error.problems.len() >= 8, "{error}");
    assert!(error.problems.iter().all(|problem| problem.text.ends_with("no such file")), "{error}");
}

#[test]
fn refused_configurations() {
    let cases = std::fs::read_to_string(repository().join("fixtures/config/refused.cases")).unwrap();
    for case in cases.split("\n== ").skip(1) {
        let (name, case) = case.split_once('\n').unwrap();
        let expected: Vec<&str> = case.lines().filter_map(|line| line.strip_prefix("! ")).collect();
        let text: String = case.lines().filter(|line| !line.starts_with("! ")).map(|line| format!("{line}\n")).collect();
        let error = Settings::from_toml(&text, Path::new("")).expect_err(name);
        let found: Vec<String> = error.problems.iter().map(Problem::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{name}: {error}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                found.starts_with(expected) || found.replacen(": ", " ", 1) == expected,
                "{name}:\nfound    {found}\nexpected {expected}"
            );
            assert!(!found.contains("swordfish"), "{name}: a value is quoted");
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let check = |path: &str, expected: &str| {
        let error = Settings::load(Path::new(path)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check("/nonexistent/hearthgate.toml", "no such file");
    check("/dev/null", "is empty");
    check("/dev/zero", "is larger than");
}

#[test]
fn dev_is_for_loopback() {
    let mut settings = Settings::default();
    assert_eq!(settings.enable_dev(), Ok(()));
    assert!(settings.dev);
    let mut open = Settings::default();
    open.server.listen.set_ip([0, 0, 0, 0].into());
    assert!(open.enable_dev().is_err());
    assert!(!open.dev);
}

#[test]
fn base_urls_have_one_spelling() {
    let check = |text: &str, spelling: &str, is_loopback: bool| {
        let url = BaseUrl::parse(text).unwrap();
        assert_eq!((url.as_str(), url.is_loopback()), (spelling, is_loopback), "{text}");
    };
    check("https://EHR.example.org:443/FHIR/", "https://ehr.example.org/FHIR", false);
    check("http://localhost:8080", "http://localhost:8080", true);
    check("http://127.0.0.1/fhir", "http://127.0.0.1/fhir", true);
    check("http://127.1/fhir", "http://127.0.0.1/fhir", true);
    check("http://[::1]:80/", "http://[::1]", true);
    check("http://localhost.example.org", "http://localhost.example.org", false);
    check("http://128.0.0.1", "http://128.0.0.1", false);
    for refused in ["", "example.org", "/fhir", "ftp://a", "https://", "https://a?b", "https://a#b", "https://u@a", "javascript:alert(1)"] {
        assert!(BaseUrl::parse(refused).is_err(), "{refused}");
    }
}
