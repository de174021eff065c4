//! Who is trusted over https.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tidegate_git::{Credentials, Error};

use crate::{
    server::{Behaviour, HttpServer},
    support::{Fixture, Repository, git_is_here, options},
};

/// An authority of its own, in PEM, and a server's configuration for `name` that it vouches for.
fn authority(name: &str) -> (Vec<u8>, Arc<rustls::ServerConfig>) {
    let mut parameters = CertificateParams::new(Vec::new()).expect("parameters");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().expect("a key"))
        .expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec![name.to_owned()])
        .expect("parameters")
        .signed_by(&key, &issuer)
        .expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .expect("a configuration");
    (issuer.pem().into_bytes(), Arc::new(config))
}

#[test]
fn the_ca_bundle_decides() {
    if !git_is_here("the_ca_bundle_decides") {
        return;
    }
    let repository = Repository::new();
    let commit = repository.commit(&[("a", "1")]);
    let (ours, tls) = authority("127.0.0.1");
    let (theirs, _) = authority("127.0.0.1");
    // `bob:hunter2`
    let behaviour = Behaviour {
        authorization: Some("Basic Ym9iOmh1bnRlcjI="),
        ..Behaviour::default()
    };
    let server = HttpServer::start_tls(&repository, behaviour, tls);
    let poll = |bundle: Option<Vec<u8>>, skip: bool| {
        let (fixture, mut options) = (Fixture::new(), options());
        options.ca_bundle = bundle;
        options.insecure_skip_verify = skip;
        options.attempts = 1;
        let credentials = Credentials::Basic {
            username: "bob".into(),
            password: "hunter2".into(),
        };
        let mirror = fixture.open_with(&server.url, credentials, options);
        let resolved = mirror.resolve("main", "")?;
        mirror.ensure(resolved.commit)
    };
    assert_eq!(
        poll(Some(ours.clone()), false).expect("our authority"),
        commit
    );
    assert_eq!(
        poll(Some([theirs.clone(), ours].concat()), false).expect("a bundle of two"),
        commit
    );
    assert_eq!(poll(None, true).expect("unchecked"), commit);
    for bundle in [None, Some(theirs)] {
        let error = poll(bundle, false).expect_err("a stranger");
        assert!(matches!(error, Error::UntrustedHost { .. }), "{error:?}");
        assert!(!error.is_retryable());
    }
    let error = poll(Some(b"no certificate".to_vec()), false).expect_err("an empty bundle");
    assert!(error.to_string().contains("CA bundle"), "{error}");
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    if !git_is_here("a_certificate_for_another_name_is_refused") {
        return;
    }
    let (ours, tls) = authority("git.example.com");
    let server = HttpServer::start_tls(&Repository::new(), Behaviour::default(), tls);
    let (fixture, mut options) = (Fixture::new(), options());
    options.ca_bundle = Some(ours);
    options.attempts = 1;
    let error = fixture
        .open_with(&server.url, Credentials::None, options)
        .poll()
        .expect_err("another name");
    assert!(matches!(error, Error::UntrustedHost { .. }), "{error:?}");
}

#[test]
fn a_redirect_to_clear_text_is_refused() {
    if !git_is_here("a_redirect_to_clear_text_is_refused") {
        return;
    }
    let repository = Repository::new();
    let (ours, tls) = authority("127.0.0.1");
    let plain = HttpServer::start(&repository, Behaviour::default());
    let server = HttpServer::start_tls(&repository, Behaviour::default(), tls);
    *server.behaviour.moved_to.lock().expect("no panic") =
        Some(plain.url.trim_end_matches("/app.git").to_owned());
    let (fixture, mut options) = (Fixture::new(), options());
    options.ca_bundle = Some(ours);
    let url = server.url.replace("/app.git", "/moved/app.git");
    let error = fixture
        .open_with(&url, Credentials::None, options)
        .poll()
        .expect_err("a downgrade");
    assert!(matches!(error, Error::Protocol { .. }), "{error}");
    assert_eq!(plain.requests(), 0);
}
