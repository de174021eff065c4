//! TLS and SASL, together and apart: who gets in and what the others are told.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_applier::{Applier as _, ErrorKind};
use tidegate_kafka::{Client, KafkaApplier, KafkaApplierOptions, Security};
use tidegate_sandbox_kafka::{KafkaOptions, SandboxKafka};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;

use crate::stage;

async fn broker() -> SandboxKafka {
    let options = KafkaOptions {
        sasl_port: Some(0),
        plain_users: vec![("plain".to_owned(), "pw".to_owned())],
        ..KafkaOptions::default()
    };
    let broker = SandboxKafka::start(options).await.unwrap();
    broker.users().set_password("alice", "s3cret").unwrap();
    broker
}

/// TLS before a listener of the broker: its address and the authority's certificate.
async fn tls_before(behind: String) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let pem = made.cert.pem();
    let chain = vec![made.cert.der().clone()];
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                if let Ok(mut front) = acceptor.accept(socket).await {
                    let mut back = TcpStream::connect(behind).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut front, &mut back).await;
                }
            });
        }
    });
    (address, pem)
}

async fn enter(bootstrap: &str, settings: &[(&str, &str)]) -> Result<(), (ErrorKind, String)> {
    let settings: BTreeMap<String, String> = settings
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let security = Security::from_settings(&settings).unwrap();
    let client = Client::new(bootstrap, security).unwrap();
    let applier = KafkaApplier::new(client, stage::target(), KafkaApplierOptions::default());
    let described = applier.describe().await;
    described
        .map(|_| ())
        .map_err(|error| (error.kind, error.message))
}

#[tokio::test]
async fn users_get_in_with_their_password_only() {
    let broker = broker().await;
    let bootstrap = broker.sasl_bootstrap().unwrap();
    for (mechanism, user, password, is_let_in) in [
        ("PLAIN", "plain", "pw", true),
        ("PLAIN", "plain", "no", false),
        ("SCRAM-SHA-512", "alice", "s3cret", true),
        ("SCRAM-SHA-512", "alice", "no", false),
        ("SCRAM-SHA-512", "nobody", "s3cret", false),
    ] {
        let settings = [
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", mechanism),
            ("sasl.username", user),
            ("sasl.password", password),
        ];
        let entered = enter(&bootstrap, &settings).await;
        assert_eq!(
            entered.is_ok(),
            is_let_in,
            "{mechanism} {user}: {entered:?}"
        );
        if let Err((_, message)) = entered {
            assert!(!message.contains(password), "{message}");
        }
    }
}

#[tokio::test]
async fn tls_holds_with_the_right_authority_only() {
    let broker = broker().await;
    let (open, pem) = tls_before(broker.bootstrap()).await;
    let (sasl, other) = tls_before(broker.sasl_bootstrap().unwrap()).await;
    let right = [("security.protocol", "SSL"), ("ssl.ca.pem", pem.as_str())];
    assert_eq!(enter(&open, &right).await, Ok(()));
    let wrong = [("security.protocol", "SSL"), ("ssl.ca.pem", other.as_str())];
    let (kind, message) = enter(&open, &wrong).await.unwrap_err();
    assert_eq!(kind, ErrorKind::Unavailable);
    assert!(message.contains("TLS"), "{message}");
    let both = [
        ("security.protocol", "SASL_SSL"),
        ("ssl.ca.pem", other.as_str()),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", "alice"),
        ("sasl.password", "s3cret"),
    ];
    assert_eq!(enter(&sasl, &both).await, Ok(()));
    // TLS that nobody speaks, and plain text to TLS, end in words and in time.
    assert!(enter(&broker.bootstrap(), &right).await.is_err());
    assert!(enter(&open, &[]).await.is_err());
}
