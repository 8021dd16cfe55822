//! What the shape of the file cannot say: ranges, names that must exist, and what must go together. Pure: no file is opened here.

use super::problem::Problems;
use super::{
    Auth, BaseUrl, Client, Destination, Holder, Identifier, ImplicitRule, Interaction, Organisation, Role, SENSITIVITIES, Settings,
    SignOff, Source, limits,
};
use std::collections::{BTreeSet, HashSet};

/// Adds everything that is wrong with the settings.
pub fn check(settings: &Settings, problems: &mut Problems) {
    server(settings, problems);
    storage_and_ledger(settings, problems);
    ledger(settings, problems);
    identity(settings, problems);
    consent(settings, problems);
    redis(settings, problems);
    definitions_and_terminology(settings, problems);
    parties(settings, problems);
}

fn server(settings: &Settings, problems: &mut Problems) {
    const SECTION: &str = "[server]";
    let server = &settings.server;
    problems.within(SECTION, "body_limit_bytes", server.body_limit_bytes, limits::BODY_BYTES);
    problems.within(SECTION, "request_timeout_ms", server.request_timeout_ms, limits::REQUEST_TIMEOUT_MS);
    problems.within(SECTION, "max_concurrent_requests", server.max_concurrent_requests, limits::CONCURRENCY);
    problems.within(SECTION, "max_bundle_entries", server.max_bundle_entries, limits::BUNDLE_ENTRIES);
    problems.within(SECTION, "max_document_depth", server.max_document_depth, limits::DOCUMENT_DEPTH);
    problems.within(SECTION, "drain_timeout_ms", server.drain_timeout_ms, limits::DRAIN_TIMEOUT_MS);
    let is_same = server.listen == server.admin_listen && server.listen.port() != 0;
    problems.require(!is_same, SECTION, "admin_listen", "must differ from listen");
    if !server.listen.ip().is_loopback() {
        let is_protected = server.tls.is_some() || server.behind_tls_proxy;
        problems.require(
            is_protected,
            SECTION,
            "tls",
            "is needed to listen beyond loopback; or set behind_tls_proxy = true when a proxy ends TLS",
        );
        problems.require(
            server.base_url.is_some(),
            SECTION,
            "base_url",
            "is needed to listen beyond loopback: the https origin clients use",
        );
    }
    if let Some(url) = &server.base_url {
        problems.require(url.is_https() || url.is_loopback(), SECTION, "base_url", "must begin with https:// unless it names loopback");
    }
}

fn storage_and_ledger(settings: &Settings, problems: &mut Problems) {
    let storage = &settings.storage;
    problems.require(!storage.data_dir.as_os_str().is_empty(), "[storage]", "data_dir", "must name a directory");
    problems.within("[storage]", "max_group_units", storage.max_group_units, limits::GROUP_UNITS);
    problems.within("[storage]", "max_queued_units", storage.max_queued_units, limits::QUEUE_UNITS);
    problems.within("[storage]", "readers", storage.readers, limits::READERS);
    let is_one = storage.gateway_key_file.is_none() || storage.gateway_key_env.is_none();
    problems.require(is_one, "[storage]", "gateway_key_env", "must not be given beside gateway_key_file: there is one such key");
    problems.within("[storage]", "max_bytes", storage.max_bytes, limits::STORAGE_BYTES);
    problems.within("[storage]", "cache_bytes", storage.cache_bytes, limits::CACHE_BYTES);
    let origin = &settings.ledger.origin;
    let is_origin =
        !origin.is_empty() && origin.len() <= 255 && !origin.contains("://") && origin.bytes().all(|b| b.is_ascii_graphic() && b != b'+');
    problems.require(
        is_origin,
        "[ledger]",
        "origin",
        "must be a host and path without scheme, blanks or '+', such as log.example.org/hearthgate",
    );
}

fn ledger(settings: &Settings, problems: &mut Problems) {
    let ledger = &settings.ledger;
    problems.within("[ledger]", "witness_interval_ms", ledger.witness_interval_ms, limits::WITNESS_INTERVAL_MS);
    problems.within("[ledger]", "anchor_within_ms", ledger.anchor_within_ms, limits::ANCHOR_WITHIN_MS);
    problems.within("[ledger]", "grows_by", ledger.grows_by, limits::GROWS_BY);
    problems.within("[ledger]", "max_unpublished_ms", ledger.max_unpublished_ms, limits::UNPUBLISHED_MS);
    let is_closed = !ledger.open_add || settings.server.listen.ip().is_loopback();
    problems.require(is_closed, "[ledger]", "open_add", "must be off beyond loopback: whoever asks may add entries");
    if let Some(bucket) = &ledger.publish {
        let is_name = |text: &str| !text.is_empty() && text.len() <= 255 && text.bytes().all(|byte| byte.is_ascii_graphic());
        problems.require(is_name(&bucket.bucket), "[ledger.publish]", "bucket", "must name a bucket");
        problems.require(is_name(&bucket.region), "[ledger.publish]", "region", "must name a region");
        problems.require(is_name(&bucket.access_key_id), "[ledger.publish]", "access_key_id", "must not be empty");
        let is_safe = bucket.endpoint.as_ref().is_none_or(|url| url.is_https() || url.is_loopback());
        problems.require(is_safe, "[ledger.publish]", "endpoint", "must begin with https:// unless it names loopback");
    }
    if let Some(witness) = &ledger.witness {
        let is_name = !witness.name.is_empty()
            && witness.name.len() <= 240
            && !witness.name.contains("://")
            && witness.name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'+');
        problems.require(is_name, "[ledger.witness]", "name", "must be a host and path without scheme, blanks or '+'");
        problems.within("[ledger.witness]", "mirror_interval_ms", witness.mirror_interval_ms, limits::MIRROR_INTERVAL_MS);
    }
}

fn identity(settings: &Settings, problems: &mut Problems) {
    const SECTION: &str = "[identity]";
    let identity = &settings.identity;
    problems.within(SECTION, "token_lifetime_s", identity.token_lifetime_s, limits::TOKEN_LIFETIME_S);
    problems.within(SECTION, "clock_skew_s", identity.clock_skew_s, limits::CLOCK_SKEW_S);
    problems.within(SECTION, "jwks_limit_bytes", identity.jwks_limit_bytes, limits::JWKS_BYTES);
    problems.within(SECTION, "jwks_max_age_s", identity.jwks_max_age_s, limits::JWKS_MAX_AGE_S);
    problems.within(SECTION, "jwks_min_interval_s", identity.jwks_min_interval_s, limits::JWKS_MIN_INTERVAL_S);
    problems.within(SECTION, "jwks_timeout_ms", identity.jwks_timeout_ms, limits::JWKS_TIMEOUT_MS);
    for (key, url) in [("issuer", &identity.issuer), ("token_endpoint", &identity.token_endpoint)] {
        let is_safe = url.as_ref().is_none_or(|url| url.is_https() || url.is_loopback());
        problems.require(is_safe, SECTION, key, "must begin with https:// unless it names loopback");
    }
    systems(&identity.person_identifier_systems, SECTION, "person_identifier_systems", problems);
}

fn consent(settings: &Settings, problems: &mut Problems) {
    let consent = &settings.consent;
    problems.within("[consent]", "majority_years", consent.majority_years, limits::MAJORITY_YEARS);
    for years in consent.majority.values() {
        problems.within("[consent.majority]", "years", *years, limits::MAJORITY_YEARS);
    }
    problems.within("[consent.break_glass]", "lasts_s", consent.break_glass.lasts_s, limits::BREAK_GLASS_S);
    let are_codes = consent.break_glass.never.iter().all(|code| !code.is_empty() && code.bytes().all(|b| b.is_ascii_alphanumeric()));
    problems.require(are_codes, "[consent.break_glass]", "never", "must list codes of v3-ActCode, such as PSYTHPN");
    let known: BTreeSet<String> = known_partners(settings).collect();
    let unknown = "must list organisations as a client or a destination names its own: system|value, or a reference";
    problems.require(consent.told_of_redaction.iter().all(|name| known.contains(name)), "[consent]", "told_of_redaction", unknown);
    problems.within("[consent]", "implicit", consent.implicit.len() as u64, limits::IMPLICIT_RULES);
    for rule in &consent.implicit {
        implicit_rule(rule, &known, unknown, problems);
    }
}

fn implicit_rule(rule: &ImplicitRule, known: &BTreeSet<String>, unknown: &str, problems: &mut Problems) {
    const SECTION: &str = "[[consent.implicit]]";
    problems.require(rule.partners.iter().all(|name| known.contains(name)), SECTION, "partners", unknown);
    let is_place = |place: &String| {
        let letters = |part: &str| part.len() == 2 && part.bytes().all(|letter| letter.is_ascii_uppercase());
        place.split_once('-').map_or_else(|| letters(place), |(country, state)| letters(country) && !state.is_empty())
    };
    problems.require(
        rule.jurisdictions.iter().all(is_place),
        SECTION,
        "jurisdictions",
        "must list countries, or countries and states: US-TX",
    );
    let are_known = rule.sensitivities.iter().all(|code| SENSITIVITIES.contains(&code.as_str()));
    problems.require(are_known, SECTION, "sensitivities", &format!("must list codes of v3-ActCode: {}", SENSITIVITIES.join(", ")));
    let says_something = !(rule.partners.is_empty() && rule.jurisdictions.is_empty() && rule.sensitivities.is_empty());
    problems.require(
        says_something,
        SECTION,
        "policy",
        "names neither partners, jurisdictions nor sensitivities: that is [consent] default",
    );
}

/// Every name of every organisation that may ask or be sent to.
fn known_partners(settings: &Settings) -> impl Iterator<Item = String> {
    let asking = settings.clients.iter().map(|client| &client.organisation);
    let sent_to = settings.destinations.iter().map(|destination| &destination.organisation);
    asking.chain(sent_to).flat_map(Organisation::names)
}

fn redis(settings: &Settings, problems: &mut Problems) {
    let Some(redis) = &settings.redis else { return };
    let is_url = redis.url.starts_with("redis://") || redis.url.starts_with("rediss://");
    problems.require(is_url, "[redis]", "url", "must begin with redis:// or rediss://");
    problems.require(!redis.url.contains('@'), "[redis]", "url", "must not hold a user or password; use password_file");
}

fn definitions_and_terminology(settings: &Settings, problems: &mut Problems) {
    let is_exact = |package: &String| package.split_once('#').is_some_and(|(name, version)| !name.is_empty() && !version.is_empty());
    let text = "must name packages as NAME#VERSION";
    problems.require(settings.definitions.packages.iter().all(is_exact), "[definitions]", "packages", text);
    let Some(terminology) = &settings.terminology else {
        for name in settings.sources.iter().filter(|(_, source)| source.validate.ask_terminology).map(|(name, _)| name) {
            problems.require(false, &format!("[source.{name}.validate]"), "ask_terminology", "needs [terminology]");
        }
        return;
    };
    const SECTION: &str = "[terminology]";
    problems.within(SECTION, "timeout_ms", terminology.timeout_ms, limits::TERMINOLOGY_TIMEOUT_MS);
    problems.within(SECTION, "keep_s", terminology.keep_s, limits::TERMINOLOGY_KEEP_S);
    let is_safe = terminology.url.is_https() || terminology.url.is_loopback();
    problems.require(is_safe, SECTION, "url", "must begin with https:// unless it names loopback");
}

fn parties(settings: &Settings, problems: &mut Problems) {
    for (section, count) in [
        ("[[client]]", settings.clients.len()),
        ("[source.NAME]", settings.sources.len()),
        ("[[holder]]", settings.holders.len()),
        ("[[destination]]", settings.destinations.len()),
    ] {
        problems.require(count <= limits::MAX_PARTIES, section, "", "there are too many of them");
    }
    unique(settings.clients.iter().map(|client| client.id.as_str()), "[[client]]", "id", problems);
    unique(settings.holders.iter().map(|holder| holder.name.as_str()), "[[holder]]", "name", problems);
    unique(settings.destinations.iter().map(|destination| destination.name.as_str()), "[[destination]]", "name", problems);
    settings.clients.iter().for_each(|one| client(one, settings, problems));
    settings.sources.iter().for_each(|(name, one)| source(name, one, settings, problems));
    settings.holders.iter().for_each(|one| holder(one, settings, problems));
    settings.destinations.iter().for_each(|one| destination(one, problems));
}

fn unique<'a>(names: impl Iterator<Item = &'a str>, section: &str, key: &str, problems: &mut Problems) {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            problems.add(&format!("{section} \"{name}\""), key, "is used twice");
        }
    }
}

fn client(client: &Client, settings: &Settings, problems: &mut Problems) {
    let section = &format!("[[client]] \"{}\"", client.id);
    let is_id = !client.id.is_empty() && client.id.len() <= 255 && client.id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    problems.require(is_id, section, "id", "must be 1 to 255 visible ASCII characters without quotes");
    organisation(&client.organisation, section, problems);
    let has_one = client.jwks_file.is_some() != client.jwks_url.is_some();
    problems.require(has_one, section, "jwks_file", "or jwks_url must be given, and not both");
    if let Some(text) = &client.jwks_url {
        jwks_url(text, section, problems);
    }
    known_source(client.source.as_deref(), section, settings, problems);
    let may = |interactions: &[Interaction]| interactions.iter().any(|&interaction| client.scopes.allows_any_type(interaction));
    let may_push = may(&[Interaction::Create, Interaction::Update, Interaction::Delete]);
    problems.require(!may_push || client.source.is_some(), section, "source", "is needed, because its scopes allow it to push");
    let may_ask = may(&[Interaction::Read, Interaction::Search]);
    problems.require(!may_ask || !client.purposes.is_empty(), section, "purposes", "must name one, because its scopes allow it to read");
    problems.require(client.purposes.len() <= limits::MAX_LIST_ITEMS, section, "purposes", "is too long");
    let breaks_glass = client.purposes.iter().any(|purpose| purpose.code() == "BTG");
    problems.require(
        !breaks_glass || client.roles.contains(&Role::BreakGlass),
        section,
        "purposes",
        "may hold BTG with the role break-glass",
    );
    if let Some(Identifier { system, value }) = &client.person {
        problems.require(is_system(system), section, "person.system", "must be an absolute URI");
        problems.require(!value.is_empty(), section, "person.value", "must not be empty");
    }
}

/// A JWKS URL may have a query, unlike a base URL, but must be as safe.
fn jwks_url(text: &str, section: &str, problems: &mut Problems) {
    match BaseUrl::parse(text.split_once('?').map_or(text, |(base, _)| base)) {
        Err(wrong) => problems.add(section, "jwks_url", wrong),
        Ok(url) => {
            problems.require(url.is_https() || url.is_loopback(), section, "jwks_url", "must begin with https:// unless it names loopback")
        }
    }
}

fn source(name: &str, source: &Source, settings: &Settings, problems: &mut Problems) {
    let section = &format!("[source.{name}]");
    party_name(name, section, "", problems);
    organisation(&source.organisation, section, problems);
    problems.require(source.base_urls.len() <= limits::MAX_LIST_ITEMS, section, "base_urls", "is too long");
    if let Some(system) = &source.default_identifier_system {
        problems.require(is_system(system), section, "default_identifier_system", "must be an absolute URI");
    }
    if let Some(rule) = &source.sign_off {
        sign_off(rule, section, settings, problems);
    }
    if let Some(zone) = &source.time_zone {
        problems.require(is_zone(zone), section, "time_zone", "must be a zone such as Europe/Vienna, or an offset such as +01:00");
    }
}

fn sign_off(rule: &SignOff, section: &str, settings: &Settings, problems: &mut Problems) {
    problems.within(section, "sign_off.within_s", rule.within_s, limits::SIGN_OFF_WITHIN_S);
    problems.require(rule.types.len() <= limits::MAX_LIST_ITEMS, section, "sign_off.types", "is too long");
    let is_reachable = rule.quorum >= 1 && rule.quorum <= rule.party.len() as u64 && rule.party.len() <= limits::MAX_LIST_ITEMS;
    problems.require(is_reachable, section, "sign_off.quorum", "must be from 1 to the number of parties");
    let (mut roles, mut clients) = (HashSet::new(), HashSet::new());
    for party in &rule.party {
        let is_role = !party.role.is_empty() && party.role.len() <= limits::MAX_NAME_BYTES && roles.insert(&party.role);
        problems.require(is_role, section, "sign_off.party.role", "must be there, be short, and be given once");
        problems.require(!party.clients.is_empty(), section, "sign_off.party.clients", "must name one");
        for client in &party.clients {
            problems.require(clients.insert(client), section, "sign_off.party.clients", "a client signs for one party only");
            let is_known = settings.clients.iter().any(|known| known.id == *client);
            problems.require(is_known, section, "sign_off.party.clients", "names a client that is not configured");
        }
    }
}

fn holder(holder: &Holder, settings: &Settings, problems: &mut Problems) {
    let section = &format!("[[holder]] \"{}\"", holder.name);
    party_name(&holder.name, section, "name", problems);
    organisation(&holder.organisation, section, problems);
    contacted(&holder.base_url, holder.allow_plain_http, section, problems);
    auth(&holder.auth, section, problems);
    known_source(holder.source.as_deref(), section, settings, problems);
    problems.require(
        !holder.identifier_systems.is_empty(),
        section,
        "identifier_systems",
        "must name the systems by which it knows patients",
    );
    systems(&holder.identifier_systems, section, "identifier_systems", problems);
    problems.within(section, "timeout_ms", holder.timeout_ms, limits::HOLDER_TIMEOUT_MS);
    problems.within(section, "body_limit_bytes", holder.body_limit_bytes, limits::HOLDER_BODY_BYTES);
}

fn destination(destination: &Destination, problems: &mut Problems) {
    let section = &format!("[[destination]] \"{}\"", destination.name);
    party_name(&destination.name, section, "name", problems);
    organisation(&destination.organisation, section, problems);
    contacted(&destination.base_url, destination.allow_plain_http, section, problems);
    auth(&destination.auth, section, problems);
    let is_type = |name: &String| {
        name == "*" || (name.starts_with(|c: char| c.is_ascii_uppercase()) && name.bytes().all(|b| b.is_ascii_alphabetic()))
    };
    let are_types =
        !destination.types.is_empty() && destination.types.len() <= limits::MAX_LIST_ITEMS && destination.types.iter().all(is_type);
    problems.require(are_types, section, "types", "must name resource types, or be [\"*\"]");
    if let super::Patients::Listed(patients) = &destination.patients {
        problems.require(patients.len() <= limits::MAX_LIST_ITEMS, section, "patients", "is too long");
    }
    problems.within(section, "timeout_ms", destination.timeout_ms, limits::DELIVERY_TIMEOUT_MS);
    let retry = destination.retry;
    problems.within(section, "retry.initial_ms", retry.initial_ms, limits::RETRY_INITIAL_MS);
    problems.within(section, "retry.max_ms", retry.max_ms, limits::RETRY_MAX_MS);
    problems.within(section, "retry.max_attempts", retry.max_attempts, limits::RETRY_ATTEMPTS);
    problems.require(retry.initial_ms <= retry.max_ms, section, "retry.initial_ms", "must not exceed retry.max_ms");
}

fn party_name(name: &str, section: &str, key: &str, problems: &mut Problems) {
    let is_name = !name.is_empty()
        && name.len() <= limits::MAX_NAME_BYTES
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'));
    problems.require(is_name, section, key, "a name must be 1 to 64 lower-case letters, digits, '-' or '_'");
    problems.require(name != super::OWN_STORE, section, key, "this name means the gateway's own store");
}

fn organisation(organisation: &Organisation, section: &str, problems: &mut Problems) {
    let is_named = organisation.reference.is_some() || organisation.identifier.is_some();
    problems.require(is_named, section, "organisation", "needs a reference or an identifier, because consents name it by them");
    if let Some(reference) = &organisation.reference {
        let has_id = reference.strip_prefix("Organization/").is_some_and(|id| !id.is_empty() && !id.contains('/'));
        problems.require(has_id, section, "organisation.reference", "must look like Organization/id");
    }
    if let Some(Identifier { system, value }) = &organisation.identifier {
        problems.require(is_system(system), section, "organisation.identifier.system", "must be an absolute URI");
        problems.require(!value.is_empty(), section, "organisation.identifier.value", "must not be empty");
    }
}

fn contacted(url: &BaseUrl, allow_plain_http: bool, section: &str, problems: &mut Problems) {
    let is_safe = url.is_https() || url.is_loopback() || allow_plain_http;
    problems.require(
        is_safe,
        section,
        "base_url",
        "must begin with https://; or set allow_plain_http = true on a network protected otherwise",
    );
}

fn auth(auth: &Auth, section: &str, problems: &mut Problems) {
    match auth {
        Auth::None | Auth::Bearer { .. } | Auth::Mtls { .. } => {}
        Auth::Basic { user, .. } => {
            let is_user = !user.is_empty() && !user.contains(|c: char| c == ':' || c.is_control());
            problems.require(is_user, section, "auth.user", "must not be empty or hold a colon");
        }
        Auth::BackendServices { token_endpoint, client_id, key_id, .. } => {
            let is_safe = token_endpoint.is_https() || token_endpoint.is_loopback();
            problems.require(is_safe, section, "auth.token_endpoint", "must begin with https:// unless it names loopback");
            problems.require(!client_id.is_empty(), section, "auth.client_id", "must not be empty");
            problems.require(!key_id.is_empty(), section, "auth.key_id", "must not be empty");
        }
    }
}

fn known_source(name: Option<&str>, section: &str, settings: &Settings, problems: &mut Problems) {
    if let Some(name) = name.filter(|&name| !settings.sources.contains_key(name)) {
        problems.add(section, "source", format!("there is no [source.{name}]"));
    }
}

fn systems(list: &[String], section: &str, key: &str, problems: &mut Problems) {
    problems.require(list.len() <= limits::MAX_LIST_ITEMS, section, key, "is too long");
    problems.require(list.iter().all(|system| is_system(system)), section, key, "each item must be an absolute URI");
}

/// An absolute URI: a scheme, a colon, something after it, and no blanks.
fn is_system(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_scheme =
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    is_scheme && !rest.is_empty() && text.len() <= 255 && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '|')
}

/// A zone of the IANA database by its shape, or a fixed offset.
fn is_zone(text: &str) -> bool {
    match text.as_bytes() {
        [b'+' | b'-', h1, h2, b':', m1, m2] => {
            matches!((h1, h2), (b'0', b'0'..=b'9') | (b'1', b'0'..=b'4')) && matches!(m1, b'0'..=b'5') && m2.is_ascii_digit()
        }
        name => {
            name == b"UTC"
                || (name.contains(&b'/') && name.len() <= 64 && name.iter().all(|b| b.is_ascii_alphanumeric() || b"/_+-".contains(b)))
        }
    }
}
