//! TLS and SASL, together and apart: who gets in and what the others are told.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tidegate_applier::{Applier as _, ErrorKind};
use tidegate_kafka::{Client, KafkaApplier, KafkaApplierOptions, Security};
use tidegate_sandbox_kafka::{KafkaOptions, SandboxKafka};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;

use crate::apache::{Apache, Authority};
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

fn client(bootstrap: &str, settings: &[(&str, &str)]) -> Client {
    let settings: BTreeMap<String, String> = settings
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    Client::new(bootstrap, Security::from_settings(&settings).unwrap()).unwrap()
}

async fn enter(bootstrap: &str, settings: &[(&str, &str)]) -> Result<(), (ErrorKind, String)> {
    let client = client(bootstrap, settings);
    let applier = KafkaApplier::new(client, stage::target(), KafkaApplierOptions::default());
    let described = applier.describe().await;
    described
        .map(|_| ())
        .map_err(|error| (error.kind, error.message))
}

/// The settings of a user with a password, over TLS when an authority is given.
fn user<'s>(
    mechanism: &'s str,
    name: &'s str,
    password: &'s str,
    authority: Option<&'s str>,
) -> Vec<(&'s str, &'s str)> {
    let protocol = match authority {
        Some(_) => "SASL_SSL",
        None => "SASL_PLAINTEXT",
    };
    let mut settings = vec![
        ("security.protocol", protocol),
        ("sasl.mechanism", mechanism),
        ("sasl.username", name),
        ("sasl.password", password),
    ];
    settings.extend(authority.map(|pem| ("ssl.ca.pem", pem)));
    settings
}

/// A refusal is in the broker's words, the same from both brokers, and never tells the password.
fn refused(entered: Result<(), (ErrorKind, String)>, mechanism: &str, password: &str) {
    let Err((kind, message)) = entered else {
        return;
    };
    assert_eq!(kind, ErrorKind::Forbidden, "{message}");
    assert!(!message.contains(password), "{message}");
    let why = match mechanism {
        "PLAIN" => "Authentication failed: Invalid username or password".to_owned(),
        scram => format!(
            "Authentication failed during authentication due to invalid credentials with SASL mechanism {scram}"
        ),
    };
    assert_eq!(
        message,
        format!("SaslAuthenticate: SASL_AUTHENTICATION_FAILED: {why}")
    );
}

#[tokio::test]
async fn users_get_in_with_their_password_only() {
    let broker = broker().await;
    let bootstrap = broker.sasl_bootstrap().unwrap();
    for (mechanism, user_name, password, is_let_in) in [
        ("PLAIN", "plain", "pw", true),
        ("PLAIN", "plain", "no-such-password", false),
        ("SCRAM-SHA-512", "alice", "s3cret", true),
        ("SCRAM-SHA-512", "alice", "no-such-password", false),
        ("SCRAM-SHA-512", "nobody", "s3cret", false),
    ] {
        let settings = user(mechanism, user_name, password, None);
        let entered = enter(&bootstrap, &settings).await;
        assert_eq!(
            entered.is_ok(),
            is_let_in,
            "{mechanism} {user_name}: {entered:?}"
        );
        refused(entered, mechanism, password);
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
    let both = user("SCRAM-SHA-512", "alice", "s3cret", Some(&other));
    assert_eq!(enter(&sasl, &both).await, Ok(()));
    // TLS that nobody speaks, and plain text to TLS, end in words and in time.
    assert!(enter(&broker.bootstrap(), &right).await.is_err());
    let (_, message) = enter(&open, &[]).await.unwrap_err();
    assert!(message.contains("it speaks TLS"), "{message}");
    let (_, message) = enter(&broker.sasl_bootstrap().unwrap(), &[])
        .await
        .unwrap_err();
    assert!(message.contains("SASL_PLAINTEXT"), "{message}");
}

/// Waits for what Kafka's brokers learn a moment after the controller; gives the last answer.
async fn learnt<T, F: Future<Output = T>>(ask: impl Fn() -> F, holds: impl Fn(&T) -> bool) -> T {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let answer = ask().await;
        if holds(&answer) || std::time::Instant::now() > until {
            return answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

async fn passwords_hold(kafka: &Apache) {
    let pem = kafka.authority.as_str();
    for (bootstrap, authority) in [(&kafka.sasl, None), (&kafka.sasl_tls, Some(pem))] {
        for (mechanism, name, password, is_let_in) in [
            ("PLAIN", "plain", "pw", true),
            ("PLAIN", "plain", "no-such-password", false),
            ("PLAIN", "nobody", "no-such-password", false),
            ("SCRAM-SHA-256", "alice", "s3cret", true),
            ("SCRAM-SHA-256", "alice", "no-such-password", false),
            ("SCRAM-SHA-512", "alice", "an0ther", true),
            ("SCRAM-SHA-512", "alice", "s3cret", false),
            ("SCRAM-SHA-512", "nobody", "s3cret", false),
        ] {
            let settings = user(mechanism, name, password, authority);
            let entered = enter(bootstrap, &settings).await;
            let who = format!("{mechanism} {name} {authority:?}: {entered:?}");
            assert_eq!(entered.is_ok(), is_let_in, "{who}");
            refused(entered, mechanism, password);
        }
    }
    // A listener that wants a password gets none, and one that wants none gets one.
    let (_, message) = enter(&kafka.sasl, &[]).await.unwrap_err();
    assert!(message.contains("SASL_PLAINTEXT"), "{message}");
    let settings = user("PLAIN", "plain", "pw", None);
    let (_, message) = enter(&kafka.open, &settings).await.unwrap_err();
    assert!(message.contains("asks for no user"), "{message}");
}

async fn certificates_hold(kafka: &Apache, authority: &Authority) {
    let stranger = Authority::new("stranger");
    let right = [("security.protocol", "SSL"), ("ssl.ca.pem", &authority.pem)];
    assert_eq!(enter(&kafka.tls, &right).await, Ok(()));
    let wrong = [("security.protocol", "SSL"), ("ssl.ca.pem", &stranger.pem)];
    let (kind, message) = enter(&kafka.tls, &wrong).await.unwrap_err();
    assert_eq!(kind, ErrorKind::Unavailable);
    assert!(message.contains("TLS"), "{message}");
    let password = user("SCRAM-SHA-512", "alice", "an0ther", Some(&stranger.pem));
    assert!(enter(&kafka.sasl_tls, &password).await.is_err());
    // TLS that nobody speaks, and plain text to TLS, end in words and in time.
    assert!(enter(&kafka.open, &right).await.is_err());
    let (_, message) = enter(&kafka.tls, &[]).await.unwrap_err();
    assert!(message.contains("it speaks TLS"), "{message}");
    let trusted = kafka.file("ca.pem", &authority.pem);
    for (signer, is_let_in) in [(authority, true), (&stranger, false)] {
        let (certificate, key) = signer.sign("operator");
        let certificate = kafka.file("operator.pem", &certificate);
        let key = kafka.file("operator.key", &key);
        let own = [
            ("security.protocol", "SSL"),
            ("ssl.ca.location", trusted.as_str()),
            ("ssl.certificate.location", &certificate),
            ("ssl.key.location", &key),
        ];
        let entered = enter(&kafka.mutual, &own).await;
        assert_eq!(entered.is_ok(), is_let_in, "{entered:?}");
        assert!(enter(&kafka.mutual, &own[..2]).await.is_err());
    }
}

/// What a user's document says is what Kafka holds the user to: password, rights, and their end.
async fn documents_hold(kafka: &Apache) {
    let pem = kafka.authority.as_str();
    let operator = user("SCRAM-SHA-256", "alice", "s3cret", Some(pem));
    let stage = stage::of(client(&kafka.sasl_tls, &operator));
    stage.secret.set(Some("first"));
    for topic in ["orders", "invoices"] {
        let spec = json!({"partitions": 1, "config": {"retention.ms": 7_200_000}});
        stage.apply(&stage.topic(topic, &spec)).await.unwrap();
    }
    let spec = json!({
        "authentication": {"type": "scram-sha-512", "password": {"valueFrom": {"secretKeyRef": {"name": "passwords", "key": "one"}}}},
        "authorization": {"type": "simple", "acls": [
            {"resource": {"type": "topic", "name": "orders"}, "operations": ["AlterConfigs", "DescribeConfigs", "Describe"]},
        ]},
    });
    let document = stage.user("bob", &spec);
    stage.apply(&document).await.unwrap();
    let alters = async |password: &str, topic: &str| {
        let bob = client(
            &kafka.sasl_tls,
            &user("SCRAM-SHA-512", "bob", password, Some(pem)),
        );
        let asked = bob.set_topic_config(topic, "retention.ms", Some("3600000"));
        asked.await.map_err(|error| error.to_string())
    };
    let own = learnt(|| alters("first", "orders"), Result::is_ok).await;
    assert_eq!(own, Ok(()));
    let foreign = alters("first", "invoices").await.unwrap_err();
    assert!(foreign.contains("TOPIC_AUTHORIZATION_FAILED"), "{foreign}");
    assert!(alters("no-such-password", "orders").await.is_err());
    stage.secret.set(Some("second"));
    stage.apply(&document).await.unwrap();
    let changed = learnt(|| alters("second", "orders"), Result::is_ok).await;
    assert_eq!(changed, Ok(()));
    assert!(alters("first", "orders").await.is_err());
    stage.delete(&document.0).await.unwrap();
    let gone = learnt(|| alters("second", "orders"), Result::is_err).await;
    assert!(gone.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apache_kafka_lets_in_whom_it_should() {
    let authority = Authority::new("authority");
    let users = [
        ("SCRAM-SHA-256", "alice", "s3cret"),
        ("SCRAM-SHA-512", "alice", "an0ther"),
    ];
    let Some(kafka) = Apache::start(&authority, &users) else {
        return;
    };
    let open = learnt(|| enter(&kafka.open, &[]), Result::is_ok).await;
    assert_eq!(open, Ok(()));
    passwords_hold(&kafka).await;
    certificates_hold(&kafka, &authority).await;
    documents_hold(&kafka).await;
}
