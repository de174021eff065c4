//! TLS to brokers: the machine's certificates or one's own, with or without a client certificate.
//!
//! Must not know: Kafka.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::connection::Stream;
use crate::error::KafkaError;

/// How TLS is spoken.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Reads `ssl.ca.location`, `ssl.ca.pem`, `ssl.certificate.location` and `ssl.key.location`.
    pub(crate) fn from_settings(settings: &BTreeMap<String, String>) -> Result<Self, KafkaError> {
        let roots = roots(settings)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| KafkaError::settings(format!("TLS: {error}")))?
            .with_root_certificates(roots);
        let files = (
            settings.get("ssl.certificate.location"),
            settings.get("ssl.key.location"),
        );
        let config = match files {
            (None, None) => builder.with_no_client_auth(),
            (Some(certificate), Some(key)) => {
                let chain = certificates("ssl.certificate.location", &read(certificate)?)?;
                let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| {
                    KafkaError::settings(format!("ssl.key.location: no private key: {error:?}"))
                })?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    KafkaError::settings(format!("ssl.certificate.location: {error}"))
                })?
            }
            (Some(_), None) => {
                let message = "ssl.certificate.location needs ssl.key.location beside it";
                return Err(KafkaError::settings(message));
            }
            (None, Some(_)) => {
                let message = "ssl.key.location needs ssl.certificate.location beside it";
                return Err(KafkaError::settings(message));
            }
        };
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// Speaks TLS over a socket.
    pub(crate) async fn connect(
        &self,
        socket: TcpStream,
        address: &str,
    ) -> Result<Box<dyn Stream>, KafkaError> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_matches(['[', ']']).to_owned();
        let name =
            ServerName::try_from(host).map_err(|error| KafkaError::unreachable(address, &error))?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let stream = connector.connect(name, socket).await;
        let stream =
            stream.map_err(|error| KafkaError::unreachable(address, &format!("TLS: {error}")))?;
        Ok(Box::new(stream))
    }
}

fn read(path: &str) -> Result<Vec<u8>, KafkaError> {
    std::fs::read(path).map_err(|error| KafkaError::settings(format!("{path}: {error}")))
}

fn certificates(setting: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, KafkaError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| KafkaError::settings(format!("{setting}: {error:?}")))?;
    if found.is_empty() {
        let message = format!("{setting} has no certificate in PEM form");
        return Err(KafkaError::settings(message));
    }
    Ok(found)
}

fn roots(settings: &BTreeMap<String, String>) -> Result<RootCertStore, KafkaError> {
    let mut store = RootCertStore::empty();
    let own = match (settings.get("ssl.ca.location"), settings.get("ssl.ca.pem")) {
        (Some(path), _) => Some(("ssl.ca.location", read(path)?)),
        (None, Some(pem)) => Some(("ssl.ca.pem", pem.clone().into_bytes())),
        (None, None) => None,
    };
    match own {
        Some((setting, pem)) => {
            for certificate in certificates(setting, &pem)? {
                let added = store.add(certificate);
                added.map_err(|error| KafkaError::settings(format!("{setting}: {error}")))?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            store.add_parsable_certificates(found.certs);
            if store.is_empty() {
                let message = "this machine has no certificate authorities: name a PEM file with ssl.ca.location";
                return Err(KafkaError::settings(message));
            }
        }
    }
    Ok(store)
}
