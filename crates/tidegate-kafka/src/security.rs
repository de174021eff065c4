//! How brokers are spoken to, from the client settings of a Kafka target under Kafka's own names.
//!
//! Must not know: requests. Passwords never reach a message or a debug view.

use std::collections::BTreeMap;
use std::fmt;

use tokio::net::TcpStream;

use crate::connection::Stream;
use crate::error::KafkaError;
use crate::registry::PREFIX;

/// The settings that are understood.
const KNOWN: &[&str] = &[
    "security.protocol",
    "sasl.mechanism",
    "sasl.username",
    "sasl.password",
    "sasl.password.env",
    "sasl.password.file",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.key.location",
];

/// How a password is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

impl Mechanism {
    /// Its SASL name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }

    fn of(name: &str) -> Option<Self> {
        let all = [Self::Plain, Self::ScramSha256, Self::ScramSha512];
        all.into_iter()
            .find(|one| one.name().eq_ignore_ascii_case(name))
    }
}

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) mechanism: Mechanism,
    pub(crate) user: String,
    pub(crate) password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Credentials")
            .field("mechanism", &self.mechanism)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// How brokers are spoken to: in the clear or through TLS, with or without a user.
#[derive(Clone, Debug, Default)]
pub struct Security {
    credentials: Option<Credentials>,
    #[cfg(feature = "tls")]
    tls: Option<crate::tls::Tls>,
}

impl Security {
    /// Reads client settings (`security.protocol`, `sasl.mechanism`, `ssl.ca.location`…).
    ///
    /// A password may stand in a variable (`sasl.password.env`) or in a file (`sasl.password.file`).
    ///
    /// # Errors
    /// A setting is unknown, is missing, or names a file that cannot be read.
    pub fn from_settings(settings: &BTreeMap<String, String>) -> Result<Self, KafkaError> {
        let is_known = |key: &String| KNOWN.contains(&key.as_str()) || key.starts_with(PREFIX);
        if let Some(unknown) = settings.keys().find(|key| !is_known(key)) {
            return Err(KafkaError::settings(unknown_setting(unknown)));
        }
        let protocol = settings
            .get("security.protocol")
            .map_or("PLAINTEXT", String::as_str);
        let (is_tls, is_sasl) = match protocol.to_ascii_uppercase().as_str() {
            "PLAINTEXT" => (false, false),
            "SSL" => (true, false),
            "SASL_PLAINTEXT" => (false, true),
            "SASL_SSL" => (true, true),
            _ => {
                return Err(KafkaError::settings(format!(
                    "security.protocol is {protocol:?}: use PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
                )));
            }
        };
        let beside = |prefix: &str, is_used: bool| {
            let lost = settings.keys().find(|key| key.starts_with(prefix));
            match lost.filter(|_| !is_used) {
                Some(key) => Err(KafkaError::settings(format!(
                    "{key} has no effect with security.protocol {protocol}"
                ))),
                None => Ok(()),
            }
        };
        beside("sasl.", is_sasl)?;
        beside("ssl.", is_tls)?;
        Ok(Self {
            credentials: is_sasl.then(|| credentials(settings)).transpose()?,
            #[cfg(feature = "tls")]
            tls: is_tls
                .then(|| crate::tls::Tls::from_settings(settings))
                .transpose()?,
        })
        .and_then(|security| {
            if is_tls && !cfg!(feature = "tls") {
                let message = "this build has no TLS for Kafka: build it with the feature tls";
                return Err(KafkaError::settings(message));
            }
            Ok(security)
        })
    }

    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    #[cfg(feature = "tls")]
    pub(crate) async fn wrap(
        &self,
        socket: TcpStream,
        address: &str,
    ) -> Result<Box<dyn Stream>, KafkaError> {
        match &self.tls {
            Some(tls) => tls.connect(socket, address).await,
            None => Ok(Box::new(socket)),
        }
    }

    #[cfg(not(feature = "tls"))]
    #[expect(
        clippy::unused_async,
        reason = "with TLS there is something to wait for"
    )]
    pub(crate) async fn wrap(
        &self,
        socket: TcpStream,
        _: &str,
    ) -> Result<Box<dyn Stream>, KafkaError> {
        Ok(Box::new(socket))
    }
}

fn unknown_setting(key: &str) -> String {
    let hint = match key {
        "ssl.truststore.location" | "ssl.truststore.certificates" => {
            ": name a PEM file with ssl.ca.location"
        }
        "ssl.keystore.location" | "ssl.keystore.certificate.chain" | "ssl.keystore.key" => {
            ": name PEM files with ssl.certificate.location and ssl.key.location"
        }
        "sasl.jaas.config" => ": write sasl.username and sasl.password",
        "bootstrap.servers" => ": it stands beside security, as bootstrapServers",
        _ => "",
    };
    format!("{key} is no setting that Tidegate's Kafka client knows{hint}")
}

fn credentials(settings: &BTreeMap<String, String>) -> Result<Credentials, KafkaError> {
    let named = settings.get("sasl.mechanism");
    let named = named.ok_or_else(|| {
        KafkaError::settings("sasl.mechanism is missing: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
    })?;
    let mechanism = Mechanism::of(named).ok_or_else(|| {
        KafkaError::settings(format!(
            "sasl.mechanism is {named:?}: use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
        ))
    })?;
    let user = settings
        .get("sasl.username")
        .ok_or_else(|| KafkaError::settings("sasl.username is missing"))?;
    Ok(Credentials {
        mechanism,
        user: user.clone(),
        password: password(settings)?,
    })
}

fn password(settings: &BTreeMap<String, String>) -> Result<String, KafkaError> {
    let ways = ["sasl.password", "sasl.password.env", "sasl.password.file"];
    let mut given = ways
        .iter()
        .filter_map(|way| settings.get_key_value(*way).map(|(k, v)| (k.as_str(), v)));
    let (way, value) = given.next().ok_or_else(|| {
        KafkaError::settings(
            "sasl.password is missing: write it, or sasl.password.env or sasl.password.file",
        )
    })?;
    if let Some((other, _)) = given.next() {
        return Err(KafkaError::settings(format!(
            "{way} and {other} are both written: keep one"
        )));
    }
    match way {
        "sasl.password.env" => std::env::var(value)
            .map_err(|_| KafkaError::settings(format!("the variable {value} of {way} is not set"))),
        "sasl.password.file" => match std::fs::read_to_string(value) {
            Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => Err(KafkaError::settings(format!("{way}: {value}: {error}"))),
        },
        _ => Ok(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<Security, String> {
        let settings = settings
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Security::from_settings(&settings.collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_plain() {
        assert!(read(&[]).unwrap().credentials().is_none());
    }

    #[test]
    fn a_user_is_read_and_never_shown() {
        let security = read(&[
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "alice"),
            ("sasl.password", "hidden-word"),
        ])
        .unwrap();
        assert_eq!(security.credentials().unwrap().password, "hidden-word");
        assert!(!format!("{security:?}").contains("hidden-word"));
    }

    #[test]
    fn a_password_may_stand_in_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        std::fs::write(&file, "s3cret\n").unwrap();
        let settings = [
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", "plain"),
            ("sasl.username", "alice"),
            ("sasl.password.file", file.to_str().unwrap()),
        ];
        let security = read(&settings).unwrap();
        assert_eq!(security.credentials().unwrap().password, "s3cret");
    }

    #[test]
    fn mistakes_say_what_to_write() {
        for (settings, part) in [
            (&[("sasl.username", "a")][..], "has no effect"),
            (&[("security.protocol", "TLS")], "use PLAINTEXT, SSL"),
            (&[("ssl.truststore.location", "x")], "ssl.ca.location"),
            (
                &[("security.protocol", "SASL_PLAINTEXT")],
                "sasl.mechanism is missing",
            ),
            (
                &[
                    ("security.protocol", "SASL_PLAINTEXT"),
                    ("sasl.mechanism", "GSSAPI"),
                ],
                "use PLAIN, SCRAM-SHA-256",
            ),
        ] {
            let error = read(settings).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
