//! `.well-known/smart-configuration`: what this gateway's authorization supports, and nothing it does not (SMART App Launch 2.2, "Conformance").

use crate::config::{Settings, SigningAlgorithm};
use serde_json::{Value, json};

/// The document, to be served as `application/json` below the FHIR base without authentication. It has no `issuer` and no `jwks_uri`: SMART keeps them
/// for OpenID Connect. It has no authorization endpoint: nobody signs in here.
pub fn smart_configuration(settings: &Settings) -> Value {
    json!({
        "token_endpoint": settings.token_endpoint(),
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": [SigningAlgorithm::Rs384.name(), SigningAlgorithm::Es384.name()],
        "scopes_supported": ["system/*.cruds", "system/*.rs", "system/*.read", "system/*.write", "system/*.*"],
        "capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"],
    })
}
