//! SCRAM: credentials (Describe and AlterUserScramCredentials) and the server's side of the exchange.
//!
//! Must not know: connections. No password is kept, only keys made from it (RFC 5802).

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _};
use kafka_protocol::messages::alter_user_scram_credentials_request::ScramCredentialUpsertion;
use kafka_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use kafka_protocol::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResult,
};
use kafka_protocol::messages::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
};
use sha2::{Digest as _, Sha256, Sha512};

use crate::broker::{Hub, Refusal, State};
use crate::wire::{Call, Code, text};

/// Iterations that Kafka takes.
const LEAST: i32 = 4_096;
const MOST: i32 = 16_384;

/// A mechanism, with its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mechanism {
    Sha256 = 1,
    Sha512 = 2,
}

impl Mechanism {
    /// Every mechanism.
    pub(crate) const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// Its SASL name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    fn of(number: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|one| *one as i8 == number)
    }

    fn hmac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => signed(Hmac::<Sha256>::new_from_slice(key).ok(), message),
            Self::Sha512 => signed(Hmac::<Sha512>::new_from_slice(key).ok(), message),
        }
    }

    fn hash(self, of: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(of).to_vec(),
            Self::Sha512 => Sha512::digest(of).to_vec(),
        }
    }
}

fn signed<M: hmac::Mac>(mac: Option<M>, message: &[u8]) -> Vec<u8> {
    mac.map(|mac| mac.chain_update(message).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

/// What is kept of a user's password.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    iterations: i32,
    salt: Bytes,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

/// Credentials by user and mechanism.
pub(crate) type Credentials = BTreeMap<(String, Mechanism), Credential>;

pub(crate) fn alter(
    hub: &Arc<Hub>,
    call: &Call,
    request: &AlterUserScramCredentialsRequest,
) -> AlterUserScramCredentialsResponse {
    let mut state = hub.state.lock();
    let mut users: Vec<String> = Vec::new();
    let named = request
        .deletions
        .iter()
        .map(|one| &one.name)
        .chain(request.upsertions.iter().map(|one| &one.name));
    for name in named {
        if !users.iter().any(|known| *known == name.as_str()) {
            users.push(name.to_string());
        }
    }
    let results = users.into_iter().map(|user| {
        let done = match call.fault {
            Some(fault) => Err(Refusal::new(fault, fault.to_string())),
            None => alter_one(hub, &mut state, &user, request),
        };
        let result = AlterUserScramCredentialsResult::default().with_user(text(user));
        match done {
            Ok(()) => result.with_error_message(None),
            Err(refusal) => result
                .with_error_code(refusal.code.code())
                .with_error_message(Some(text(refusal.message))),
        }
    });
    AlterUserScramCredentialsResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_results(results.collect())
}

/// All of one user's changes, or none.
pub(crate) fn alter_one(
    hub: &Hub,
    state: &mut State,
    user: &str,
    request: &AlterUserScramCredentialsRequest,
) -> Result<(), Refusal> {
    let unacceptable = |message: &str| Err(Refusal::new(Code::UnacceptableCredential, message));
    if user.is_empty() {
        return unacceptable("Username must not be empty");
    }
    let mechanism = |number: i8| {
        Mechanism::of(number)
            .ok_or_else(|| Refusal::new(Code::UnsupportedSaslMechanism, "Unknown SCRAM mechanism"))
    };
    let mut after = state.credentials.clone();
    let mut altered = false;
    let deletions = request
        .deletions
        .iter()
        .filter(|one| one.name.as_str() == user);
    for deletion in deletions {
        once(&mut altered)?;
        if after
            .remove(&(user.to_owned(), mechanism(deletion.mechanism)?))
            .is_none()
        {
            return Err(Refusal::new(
                Code::ResourceNotFound,
                "Attempt to delete a user credential that does not exist",
            ));
        }
    }
    let upsertions = request
        .upsertions
        .iter()
        .filter(|one| one.name.as_str() == user);
    for upsertion in upsertions {
        once(&mut altered)?;
        let mechanism = mechanism(upsertion.mechanism)?;
        if upsertion.iterations < LEAST {
            return unacceptable("Too few iterations");
        }
        if upsertion.iterations > MOST {
            return unacceptable("Too many iterations");
        }
        after.insert(
            (user.to_owned(), mechanism),
            credential(mechanism, upsertion),
        );
    }
    if after.len() > hub.options.limits.entries {
        return unacceptable("the sandbox holds no more credentials");
    }
    state.credentials = after;
    Ok(())
}

/// A user is altered once in a request, whatever the mechanism.
fn once(altered: &mut bool) -> Result<(), Refusal> {
    if std::mem::replace(altered, true) {
        return Err(Refusal::new(
            Code::DuplicateResource,
            "A user credential cannot be altered twice in the same request",
        ));
    }
    Ok(())
}

/// A salt that depends on the user alone.
pub(crate) fn salt_of(user: &str) -> Vec<u8> {
    Sha256::digest(user.as_bytes()).to_vec()
}

/// `Hi` of RFC 5802: the password stretched (PBKDF2 with one block).
pub(crate) fn salted(
    mechanism: Mechanism,
    password: &[u8],
    salt: &[u8],
    iterations: i32,
) -> Vec<u8> {
    let mut block = mechanism.hmac(password, &[salt, &[0, 0, 0, 1]].concat());
    let mut sum = block.clone();
    for _ in 1..iterations {
        block = mechanism.hmac(password, &block);
        for (one, other) in sum.iter_mut().zip(&block) {
            *one ^= other;
        }
    }
    sum
}

fn credential(mechanism: Mechanism, upsertion: &ScramCredentialUpsertion) -> Credential {
    let salted = &upsertion.salted_password;
    Credential {
        iterations: upsertion.iterations,
        salt: upsertion.salt.clone(),
        stored_key: mechanism.hash(&mechanism.hmac(salted, b"Client Key")),
        server_key: mechanism.hmac(salted, b"Server Key"),
    }
}

pub(crate) fn describe(
    hub: &Arc<Hub>,
    call: &Call,
    request: &DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    let answer =
        DescribeUserScramCredentialsResponse::default().with_throttle_time_ms(call.throttle);
    if let Some(fault) = call.fault {
        return answer.with_error_code(fault.code());
    }
    let state = hub.state.lock();
    let asked: Vec<String> = request
        .users
        .iter()
        .flatten()
        .map(|user| user.name.to_string())
        .collect();
    let mut users: Vec<String> = if asked.is_empty() {
        state
            .credentials
            .keys()
            .map(|(user, _)| user.clone())
            .collect()
    } else {
        asked.clone()
    };
    users.sort();
    users.dedup();
    let results = users.into_iter().map(|user| {
        let infos: Vec<CredentialInfo> = state
            .credentials
            .iter()
            .filter(|((of, _), _)| *of == user)
            .map(|((_, mechanism), credential)| {
                CredentialInfo::default()
                    .with_mechanism(*mechanism as i8)
                    .with_iterations(credential.iterations)
            })
            .collect();
        let result = DescribeUserScramCredentialsResult::default().with_user(text(user.as_str()));
        if asked.iter().filter(|other| **other == user).count() > 1 {
            return result
                .with_error_code(Code::DuplicateResource.code())
                .with_error_message(Some(text(format!(
                    "Cannot describe SCRAM credentials for the same user twice in a single request: {user}"
                ))));
        }
        if infos.is_empty() {
            return result
                .with_error_code(Code::ResourceNotFound.code())
                .with_error_message(Some(text(format!(
                    "Attempt to describe a user credential that does not exist: {user}"
                ))));
        }
        result.with_credential_infos(infos)
    });
    answer.with_results(results.collect())
}

/// An exchange after its first answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) mechanism: Mechanism,
    pub(crate) user: String,
    credential: Credential,
    nonce: String,
    /// Both first messages as the signature covers them.
    covered: String,
}

/// Answers the client's first message: the exchange, and what the server says.
pub(crate) fn begin(
    state: &State,
    mechanism: Mechanism,
    message: &[u8],
    nonce: &str,
) -> Option<(Exchange, String)> {
    let message = std::str::from_utf8(message).ok()?;
    // No channel binding is offered: `n` or `y`, an authorization id that nobody needs, the rest.
    let mut parts = message.splitn(3, ',');
    if !matches!(parts.next()?, "n" | "y") {
        return None;
    }
    let _authorization = parts.next()?;
    let bare = parts.next()?;
    let user = attribute(bare, "n=")?
        .replace("=2C", ",")
        .replace("=3D", "=");
    let nonce = format!("{}{nonce}", attribute(bare, "r=")?);
    let credential = state.credentials.get(&(user.clone(), mechanism))?.clone();
    let answer = format!(
        "r={nonce},s={},i={}",
        STANDARD.encode(&credential.salt),
        credential.iterations
    );
    let covered = format!("{bare},{answer}");
    let exchange = Exchange {
        mechanism,
        user,
        credential,
        nonce,
        covered,
    };
    Some((exchange, answer))
}

/// Checks the client's proof; the server's own signature, when it holds.
pub(crate) fn end(exchange: &Exchange, message: &[u8]) -> Option<String> {
    let message = std::str::from_utf8(message).ok()?;
    let (without, proof) = message.rsplit_once(",p=")?;
    if attribute(without, "r=")? != exchange.nonce {
        return None;
    }
    let proof = STANDARD.decode(proof).ok()?;
    let mechanism = exchange.mechanism;
    let covered = format!("{},{without}", exchange.covered);
    let signature = mechanism.hmac(&exchange.credential.stored_key, covered.as_bytes());
    if proof.len() != signature.len() {
        return None;
    }
    let key: Vec<u8> = proof
        .iter()
        .zip(&signature)
        .map(|(one, other)| one ^ other)
        .collect();
    if mechanism.hash(&key) != exchange.credential.stored_key {
        return None;
    }
    let own = mechanism.hmac(&exchange.credential.server_key, covered.as_bytes());
    Some(format!("v={}", STANDARD.encode(own)))
}

fn attribute<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.split(',').find_map(|part| part.strip_prefix(name))
}
