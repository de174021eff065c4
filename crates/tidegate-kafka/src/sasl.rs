//! Authentication on a connection: SASL PLAIN and SCRAM.
//!
//! Must not know: where credentials come from.

use bytes::Bytes;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::connection::Connection;
use crate::error::{Code, KafkaError};
use crate::scram::Exchange;
use crate::security::{Credentials, Mechanism};

/// Proves who we are.
pub(crate) async fn authenticate(
    connection: &mut Connection,
    credentials: &Credentials,
) -> Result<(), KafkaError> {
    let name = credentials.mechanism.name();
    let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(name));
    let answer = connection.send(&request).await?;
    if Code::new(answer.error_code) != Code::NONE {
        if Code::new(answer.error_code) == Code::ILLEGAL_SASL_STATE {
            let words = "this listener asks for no user: take another one, or set security.protocol to PLAINTEXT or SSL";
            return Code::new(answer.error_code).check("SaslHandshake", Some(words));
        }
        let offered: Vec<&str> = answer.mechanisms.iter().map(StrBytes::as_str).collect();
        let words = format!(
            "the broker does not take {name}, but {}",
            offered.join(", ")
        );
        return Code::new(answer.error_code).check("SaslHandshake", Some(&words));
    }
    match credentials.mechanism {
        Mechanism::Plain => {
            let message = format!("\0{}\0{}", credentials.user, credentials.password);
            step(connection, message.into_bytes()).await?;
        }
        Mechanism::ScramSha256 | Mechanism::ScramSha512 => {
            let nonce = Uuid::new_v4().simple().to_string();
            let Some(mut exchange) = Exchange::new(credentials, nonce) else {
                return Err(KafkaError::settings(format!("{name} is no SCRAM")));
            };
            let first = step(connection, exchange.first().into_bytes()).await?;
            let last = exchange.last(&first).map_err(KafkaError::credentials)?;
            let end = step(connection, last.into_bytes()).await?;
            exchange.check(&end).map_err(KafkaError::credentials)?;
        }
    }
    Ok(())
}

async fn step(connection: &mut Connection, message: Vec<u8>) -> Result<String, KafkaError> {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from(message));
    let answer = connection.send(&request).await?;
    let words = answer.error_message.as_ref().map(StrBytes::as_str);
    Code::new(answer.error_code).check("SaslAuthenticate", words)?;
    Ok(String::from_utf8_lossy(&answer.auth_bytes).into_owned())
}
