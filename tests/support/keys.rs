//! The key pairs of the parties, drawn once for the whole run.

use hearthgate::config::SigningAlgorithm;
use hearthgate::identity::{GeneratedKey, SigningKey, generate_key};
use std::sync::LazyLock;

pub const KEY_ID: &str = "key-1";

static ES384: LazyLock<GeneratedKey> = LazyLock::new(|| generate_key(SigningAlgorithm::Es384, KEY_ID).unwrap());
static RS384: LazyLock<GeneratedKey> = LazyLock::new(|| generate_key(SigningAlgorithm::Rs384, KEY_ID).unwrap());

/// The laboratory signs with RSA, everybody else with a curve, so that both are used wherever tokens are.
fn algorithm(client: &str) -> SigningAlgorithm {
    if client == "laboratory" { SigningAlgorithm::Rs384 } else { SigningAlgorithm::Es384 }
}

fn pair(client: &str) -> &'static GeneratedKey {
    match algorithm(client) {
        SigningAlgorithm::Rs384 => &RS384,
        SigningAlgorithm::Es384 => &ES384,
    }
}

pub fn private_key(client: &str) -> SigningKey {
    SigningKey::from_pem(&pair(client).private_pem, algorithm(client)).unwrap()
}

pub fn public_key_set(client: &str) -> &'static str {
    &pair(client).public_jwks
}
