//! Trust policies: which logs are believed, and which witnesses must have cosigned.
//!
//! Names of witnesses and groups are octets without meaning outside the file.

use super::checkpoint::Checkpoint;
use super::encoding::decimal;
use super::error::{Format, LedgerError, Malformed, SignatureError};
use super::history::{KeyHistory, Tenure};
use super::key::VerifierKey;
use super::note::{Note, VerifiedSignature};

/// The largest policy file, in bytes.
pub const MAX_POLICY_BYTES: usize = 1024 * 1024;
/// The most logs, and the most witnesses and groups together; the format recommends at least 32 of each.
pub const MAX_POLICY_PARTIES: usize = 1024;

/// A log whose checkpoints are believed; its key's name is its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyLog {
    pub key: VerifierKey,
    pub url: Option<String>,
    /// The largest tree it may have signed, for a key that was succeeded by another.
    pub until_size: Option<u64>,
}

impl PolicyLog {
    /// Whether its key was the log's at a size.
    pub fn is_in_time(&self, size: u64) -> bool {
        self.until_size.is_none_or(|until| size <= until)
    }
}

/// A named party of the quorum: a witness, or a group of parties named before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    pub name: Vec<u8>,
    pub role: Role,
}

/// What a party is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    Witness {
        key: Box<VerifierKey>,
        url: Option<String>,
    },
    /// It has witnessed when at least `threshold` of its members have; members are positions in [`Policy::parties`].
    Group {
        threshold: usize,
        members: Vec<usize>,
    },
}

/// A trust policy, from its file by [`Policy::parse`] or built by hand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    logs: Vec<PolicyLog>,
    parties: Vec<Party>,
    quorum: Option<usize>,
    /// Second keys of logs: nobody asks for their signatures, and where there is one it must hold.
    seconds: Vec<VerifierKey>,
}

/// A checkpoint that a policy accepted: only [`Policy::accept`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    checkpoint: Checkpoint,
    signatures: Vec<VerifiedSignature>,
}

impl Accepted {
    /// What the log signed.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The log's signature and every known witness's. Times lie in the cosigners' hands; whether they are plausible is for the
    /// caller, who has a clock.
    pub fn signatures(&self) -> &[VerifiedSignature] {
        &self.signatures
    }
}

impl Policy {
    /// A policy that believes one log and asks for no witness.
    pub fn of_log(key: VerifierKey) -> Policy {
        Policy { logs: vec![PolicyLog { key, url: None, until_size: None }], ..Policy::default() }
    }

    /// A policy that believes a log by the keys in use, as its `/ledger/key` gives them: the first, and beside it one of another kind, which then
    /// must have signed too.
    ///
    /// # Errors
    /// When a line is no key, or they are not a log's.
    pub fn of_keys(text: &str) -> Result<Policy, Malformed> {
        let refuse = |rule| Malformed::new(Format::Policy, rule);
        let mut keys = text.trim().lines().map(str::parse::<VerifierKey>);
        let policy = Policy::of_log(keys.next().ok_or(refuse("there is no key"))??);
        let Some(second) = keys.next().transpose()? else { return Ok(policy) };
        if !second.algorithm().is_cosigner() || keys.next().is_some() {
            return Err(refuse("there are more keys than a log signs with"));
        }
        let party = Party { name: b"second".to_vec(), role: Role::Witness { key: Box::new(second), url: None } };
        Ok(Policy { parties: vec![party], quorum: Some(0), ..policy })
    }

    /// Reads a policy file.
    ///
    /// # Errors
    /// When it breaks a rule of the format, with the line.
    pub fn parse(bytes: &[u8]) -> Result<Policy, Malformed> {
        let refuse = |rule| Malformed::new(Format::Policy, rule);
        if bytes.len() > MAX_POLICY_BYTES {
            return Err(refuse("it is too large"));
        }
        let mut reading = Reading::default();
        if !bytes.is_empty() {
            let body = bytes.strip_suffix(b"\n").ok_or(refuse("the last line does not end in a line end"))?;
            for (number, line) in (1usize..).zip(body.split(|byte| *byte == b'\n')) {
                reading.line(line).map_err(|rule| refuse(rule).at_line(number))?;
            }
        }
        reading.finish().map_err(refuse)
    }

    /// The logs that are believed.
    pub fn logs(&self) -> &[PolicyLog] {
        &self.logs
    }

    /// Witnesses and groups, in the order of their definition.
    pub fn parties(&self) -> &[Party] {
        &self.parties
    }

    /// The party that must have witnessed; nothing means that no cosignature is asked for.
    pub fn quorum(&self) -> Option<&Party> {
        self.quorum.and_then(|quorum| self.parties.get(quorum))
    }

    /// Believes one more log, known from elsewhere.
    #[must_use]
    pub fn with_log(mut self, key: VerifierKey) -> Policy {
        self.logs.push(PolicyLog { key, url: None, until_size: None });
        self
    }

    /// Asks that a signature by this key hold where there is one.
    #[must_use]
    pub fn with_second(mut self, key: VerifierKey) -> Policy {
        self.seconds.push(key);
        self
    }

    /// The same witnesses and quorum, and no log yet.
    #[must_use]
    pub fn without_logs(mut self) -> Policy {
        self.logs.clear();
        self
    }

    /// Believes the keys of one of the logs only, and asks for no witness.
    pub fn only(&self, origin: &str) -> Policy {
        let logs = self.logs.iter().filter(|log| log.key.name() == origin).cloned().collect();
        Policy { logs, ..Policy::default() }
    }

    /// Believes the other keys of a log, too, each up to the size at which it was succeeded: the two keys of a succession vouch for each
    /// other. A history of which no key is believed changes nothing.
    #[must_use]
    pub fn with_history(mut self, history: &KeyHistory) -> Policy {
        let tenures = history.tenures();
        let Some(known) = self.logs.iter().position(|log| tenures.iter().any(|tenure| tenure.key == log.key)) else { return self };
        let url = self.logs.get(known).and_then(|log| log.url.clone());
        self.logs.retain(|log| tenures.iter().all(|tenure| tenure.key != log.key));
        self.logs.extend(tenures.into_iter().map(|Tenure { key, until_size }| PolicyLog { key, url: url.clone(), until_size }));
        let is_party = |key: &VerifierKey| self.parties.iter().filter_map(Party::witness_key).any(|party| party == key);
        self.seconds.extend(history.second().filter(|key| !is_party(key)).cloned());
        self
    }

    /// Accepts a signed checkpoint when one of the logs signed it under its own origin and the quorum cosigned it.
    ///
    /// # Errors
    /// When a log's or witness's signature does not verify, the log's is missing, the text is no checkpoint, or the quorum is missed.
    pub fn accept(&self, note: &Note) -> Result<Accepted, LedgerError> {
        let logs = self.logs.iter().map(|log| &log.key);
        let known: Vec<&VerifierKey> = logs.chain(self.parties.iter().filter_map(Party::witness_key)).chain(&self.seconds).collect();
        let opened = note.open(&known)?;
        let checkpoint = Checkpoint::of(&opened)?;
        let signed_by = |key: &VerifierKey| opened.verified().iter().any(|signature| signature.key == *key);
        if !self.logs.iter().any(|log| log.key.name() == checkpoint.origin && signed_by(&log.key) && log.is_in_time(checkpoint.size)) {
            return Err(SignatureError::NotSignedByLog.into());
        }
        if !self.quorum_reached(signed_by) {
            return Err(SignatureError::QuorumMissed.into());
        }
        let signatures = opened.verified().to_vec();
        Ok(Accepted { checkpoint, signatures })
    }

    /// The same for what nobody was asked to cosign.
    pub fn without_quorum(self) -> Policy {
        Policy { quorum: None, ..self }
    }

    /// Walks the parties in the order of their definition, so that every member is decided before its group.
    fn quorum_reached(&self, signed_by: impl Fn(&VerifierKey) -> bool) -> bool {
        let mut witnessed: Vec<bool> = Vec::with_capacity(self.parties.len());
        for party in &self.parties {
            witnessed.push(match &party.role {
                Role::Witness { key, .. } => signed_by(key),
                Role::Group { threshold, members } => {
                    members.iter().filter(|member| witnessed.get(**member).copied().unwrap_or(false)).count() >= *threshold
                }
            });
        }
        self.quorum.is_none_or(|quorum| witnessed.get(quorum).copied().unwrap_or(false))
    }
}

impl Party {
    fn witness_key(&self) -> Option<&VerifierKey> {
        match &self.role {
            Role::Witness { key, .. } => Some(key),
            Role::Group { .. } => None,
        }
    }
}

/// A policy that is being read line by line.
#[derive(Default)]
struct Reading {
    policy: Policy,
    quorum_seen: bool,
    /// Parties that are members of a group already: each may be of one only.
    grouped: Vec<usize>,
}

impl Reading {
    fn line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        if line.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) {
            return Err("it has a control character");
        }
        let items: Vec<&[u8]> = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|item| !item.is_empty()).collect();
        match items.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            [b"log", key] => self.log(key, None),
            [b"log", key, url] => self.log(key, Some(url)),
            [b"witness", name, key] => self.witness(name, key, None),
            [b"witness", name, key, url] => self.witness(name, key, Some(url)),
            [b"group", name, threshold, members @ ..] => self.group(name, threshold, members),
            [b"quorum", name] => self.quorum(name),
            _ => Err("it is no log, witness, group or quorum line with the right number of items"),
        }
    }

    fn log(&mut self, key: &[u8], url: Option<&&[u8]>) -> Result<(), &'static str> {
        let key = parse_key(key)?;
        if self.policy.logs.iter().any(|log| log.key.public_key() == key.public_key()) {
            return Err("another log has this public key");
        }
        if self.policy.logs.len() >= MAX_POLICY_PARTIES {
            return Err("there are too many logs");
        }
        self.policy.logs.push(PolicyLog { key, url: url.map(|url| lossy(url)), until_size: None });
        Ok(())
    }

    fn witness(&mut self, name: &[u8], key: &[u8], url: Option<&&[u8]>) -> Result<(), &'static str> {
        let key = parse_key(key)?;
        if !key.algorithm().is_cosigner() {
            return Err("a witness's key is not of a cosignature type");
        }
        let mut witnesses = self.policy.parties.iter().filter_map(Party::witness_key);
        if witnesses.any(|witness| witness.public_key() == key.public_key()) {
            return Err("another witness has this public key");
        }
        self.define(name, Role::Witness { key: Box::new(key), url: url.map(|url| lossy(url)) })
    }

    fn group(&mut self, name: &[u8], threshold: &[u8], members: &[&[u8]]) -> Result<(), &'static str> {
        let threshold = match threshold {
            b"any" => 1,
            b"all" => members.len(),
            number => std::str::from_utf8(number).ok().and_then(decimal).and_then(|k| usize::try_from(k).ok()).unwrap_or(0),
        };
        if threshold == 0 || threshold > members.len() {
            return Err("the threshold is not any, all, or a number from 1 to that of the members");
        }
        let mut positions = Vec::with_capacity(members.len());
        for member in members {
            let position = self.find(member).ok_or("a member is not defined on a line before")?;
            if self.grouped.contains(&position) {
                return Err("a member is a member already");
            }
            self.grouped.push(position);
            positions.push(position);
        }
        self.define(name, Role::Group { threshold, members: positions })
    }

    fn quorum(&mut self, name: &[u8]) -> Result<(), &'static str> {
        if std::mem::replace(&mut self.quorum_seen, true) {
            return Err("there is a quorum line already");
        }
        if name != b"none" {
            self.policy.quorum = Some(self.find(name).ok_or("the quorum is not defined on a line before")?);
        }
        Ok(())
    }

    fn define(&mut self, name: &[u8], role: Role) -> Result<(), &'static str> {
        if name == b"none" || self.find(name).is_some() {
            return Err("the name is defined already");
        }
        if self.policy.parties.len() >= MAX_POLICY_PARTIES {
            return Err("there are too many witnesses and groups");
        }
        self.policy.parties.push(Party { name: name.to_vec(), role });
        Ok(())
    }

    fn find(&self, name: &[u8]) -> Option<usize> {
        self.policy.parties.iter().position(|party| party.name == name)
    }

    fn finish(self) -> Result<Policy, &'static str> {
        if self.quorum_seen { Ok(self.policy) } else { Err("there is no quorum line") }
    }
}

fn parse_key(text: &[u8]) -> Result<VerifierKey, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| "a key is not UTF-8")?;
    text.parse().map_err(|reason: Malformed| reason.rule)
}

fn lossy(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}
