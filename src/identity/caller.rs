//! Who is calling, once proved: what every later room is told about the other side.

use super::access::{Grant, TokenError};
use super::oauth::purposes;
use crate::config::{Client, DataKind, Identifier, Interaction, Organisation, Patients, Purpose, Role, Scopes};
use crate::outcome::{IssueType, Reason, Refusal};

/// The request header by which a caller narrows the purposes of its token for one request.
pub const PURPOSE_HEADER: &str = "x-purpose-of-use";

/// A proved caller and the most it may do. Consent may allow less, never more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub client_id: String,
    pub organisation: Organisation,
    /// Why it asks: the purposes of the token, or those of them the request names.
    pub purposes: Vec<Purpose>,
    /// Whether the request names them: then it is for all of them.
    pub names_purposes: bool,
    pub scopes: Scopes,
    pub roles: Vec<Role>,
    /// What it may be told of the persons concerned.
    pub data: DataKind,
    /// Whether it may file, change and revoke Consents.
    pub files_consent: bool,
    /// The `[source.NAME]` its pushes count as.
    pub source: Option<String>,
    /// The patients it acts for, when it does.
    pub acts_for: Option<Patients>,
    /// Whose application it is, when it is a person's.
    pub person: Option<Identifier>,
    /// The id of the token, for audit.
    pub token_id: String,
}

impl Caller {
    /// The caller a token stands for: what was granted and is still registered.
    pub(super) fn of(client: &Client, grant: Grant) -> Caller {
        Caller {
            client_id: grant.client_id,
            organisation: client.organisation.clone(),
            purposes: grant.purposes.into_iter().filter(|purpose| client.purposes.contains(purpose)).collect(),
            names_purposes: false,
            scopes: grant.scopes.intersection(&client.scopes),
            roles: client.roles.clone(),
            data: client.data,
            files_consent: client.files_consent,
            source: client.source.clone(),
            acts_for: client.acts_for.clone(),
            person: client.person.clone(),
            token_id: grant.token_id,
        }
    }

    /// Refuses an interaction with a type that the scopes do not allow.
    pub fn require(&self, interaction: Interaction, type_name: &str) -> Result<(), Refusal> {
        if self.scopes.allows(interaction, type_name) {
            return Ok(());
        }
        let letter = interaction.letter();
        let text = format!("the access token allows no system/{type_name}.{letter}; ask for a token with that scope");
        Err(Refusal::new(Reason::Forbidden, IssueType::Forbidden, text))
    }

    /// Whether the caller was given a role.
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// The caller with the purposes of the header [`PURPOSE_HEADER`], which must be among its own: a header narrows, never widens.
    pub fn narrowed(self, header: Option<&str>) -> Result<Caller, Refusal> {
        let Some(header) = header else { return Ok(self) };
        let wanted = purposes(header).ok_or_else(|| {
            let text = "the header X-Purpose-Of-Use must hold codes of v3-PurposeOfUse, such as TREAT";
            Refusal::new(Reason::Malformed, IssueType::CodeInvalid, text)
        })?;
        if !wanted.iter().all(|purpose| self.purposes.contains(purpose)) {
            let text = "the header X-Purpose-Of-Use names a purpose the access token does not allow";
            return Err(Refusal::new(Reason::Forbidden, IssueType::Forbidden, text));
        }
        Ok(Caller { purposes: wanted, names_purposes: true, ..self })
    }
}

/// The token of an `Authorization` header (RFC 6750 section 2.1).
pub(super) fn bearer(authorization: Option<&str>) -> Result<&str, Refusal> {
    let refuse = |text| Refusal::new(Reason::Unauthenticated, IssueType::Login, text);
    let header =
        authorization.ok_or_else(|| refuse("an access token is needed: send Authorization: Bearer with a token of the token endpoint"))?;
    let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
    let token = token.trim_matches(' ');
    let is_bearer = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' ');
    is_bearer.then_some(token).ok_or_else(|| refuse("the Authorization header must be Bearer and one access token"))
}

/// What the sender is told about a token that grants nothing. A foreign token and an unreadable one are not told apart.
pub(super) fn refuse_token(error: TokenError) -> Refusal {
    match error {
        TokenError::Expired => {
            Refusal::new(Reason::Unauthenticated, IssueType::Expired, "the access token has expired; ask the token endpoint for a new one")
        }
        TokenError::Unreadable | TokenError::Foreign => Refusal::new(
            Reason::Unauthenticated,
            IssueType::Login,
            "the access token is not valid here; ask the token endpoint for a new one",
        ),
    }
}
