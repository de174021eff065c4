//! SaslHandshake and SaslAuthenticate: PLAIN and SCRAM on the listener that wants them.
//!
//! Must not know: what an authenticated client may do.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use uuid::Uuid;

use crate::broker::Hub;
use crate::scram::{self, Exchange, Mechanism};
use crate::session::Session;
use crate::wire::{Code, text};

const PLAIN: &str = "PLAIN";

/// How far a connection's authentication is.
#[derive(Debug, Default)]
pub(crate) enum Progress {
    #[default]
    Nothing,
    Plain,
    Scram(Mechanism),
    Answered(Exchange),
}

pub(crate) fn handshake(
    session: &mut Session,
    request: &SaslHandshakeRequest,
) -> SaslHandshakeResponse {
    if !session.guarded || session.principal.is_some() {
        return SaslHandshakeResponse::default().with_error_code(Code::IllegalSaslState.code());
    }
    let asked = request.mechanism.as_str();
    let scram = Mechanism::ALL.into_iter().find(|one| one.name() == asked);
    let (progress, code) = match scram {
        Some(mechanism) => (Progress::Scram(mechanism), 0),
        None if asked == PLAIN => (Progress::Plain, 0),
        None => (Progress::Nothing, Code::UnsupportedSaslMechanism.code()),
    };
    session.sasl = progress;
    let names = Mechanism::ALL
        .into_iter()
        .map(Mechanism::name)
        .chain([PLAIN]);
    SaslHandshakeResponse::default()
        .with_error_code(code)
        .with_mechanisms(names.map(text).collect())
}

pub(crate) fn authenticate(
    hub: &Arc<Hub>,
    session: &mut Session,
    request: &SaslAuthenticateRequest,
) -> SaslAuthenticateResponse {
    let answer = SaslAuthenticateResponse::default();
    let refuse = |code: Code, why: String| {
        SaslAuthenticateResponse::default()
            .with_error_code(code.code())
            .with_error_message(Some(text(why)))
    };
    match std::mem::take(&mut session.sasl) {
        Progress::Nothing => refuse(
            Code::IllegalSaslState,
            if session.principal.is_some() {
                "SaslAuthenticate request received after successful authentication".to_owned()
            } else {
                "SaslAuthenticate request received without a handshake".to_owned()
            },
        ),
        Progress::Plain => match plain(hub, &request.auth_bytes) {
            Some(user) => {
                session.principal = Some(format!("User:{user}"));
                answer
            }
            None => refuse(
                Code::SaslAuthenticationFailed,
                "Authentication failed: Invalid username or password".to_owned(),
            ),
        },
        Progress::Scram(mechanism) => {
            let nonce = Uuid::new_v4().simple().to_string();
            let begun = scram::begin(&hub.state.lock(), mechanism, &request.auth_bytes, &nonce);
            match begun {
                Some((exchange, said)) => {
                    session.sasl = Progress::Answered(exchange);
                    answer.with_auth_bytes(Bytes::from(said))
                }
                None => refuse(Code::SaslAuthenticationFailed, invalid(mechanism.name())),
            }
        }
        Progress::Answered(exchange) => match scram::end(&exchange, &request.auth_bytes) {
            Some(said) => {
                session.principal = Some(format!("User:{}", exchange.user));
                answer.with_auth_bytes(Bytes::from(said))
            }
            None => refuse(
                Code::SaslAuthenticationFailed,
                invalid(exchange.mechanism.name()),
            ),
        },
    }
}

fn invalid(mechanism: &str) -> String {
    format!(
        "Authentication failed during authentication due to invalid credentials with SASL mechanism {mechanism}"
    )
}

/// The user of a PLAIN message whose password is right.
fn plain(hub: &Hub, message: &[u8]) -> Option<String> {
    let mut parts = message.split(|byte| *byte == 0);
    let _authorization = parts.next()?;
    let (user, password) = (parts.next()?, parts.next()?);
    let known = hub
        .options
        .plain_users
        .iter()
        .find(|(name, secret)| name.as_bytes() == user && secret.as_bytes() == password)?;
    Some(known.0.clone())
}
