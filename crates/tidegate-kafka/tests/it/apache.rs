//! An Apache Kafka with guarded listeners, started for one test and ended with it.
//!
//! Its classes are in the folder of `TIDEGATE_TEST_KAFKA_JARS`, or, where `TIDEGATE_TEST_KAFKA` asks for
//! tests on Apache Kafka at all, where `cargo xtask peers` keeps them. Without java or classes: none.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::stage::say;

/// How long it may take to answer, on a slow machine too.
const STARTING: Duration = Duration::from_secs(120);
/// Names the cluster: 16 bytes as Kafka writes them.
const CLUSTER: &str = "dGlkZWdhdGUtdGVzdGluZw";
const PLAIN_MODULE: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";
const SCRAM_MODULE: &str = "org.apache.kafka.common.security.scram.ScramLoginModule";

/// The broker, running.
pub(crate) struct Apache {
    process: Child,
    dir: TempDir,
    /// Its authority, in PEM.
    pub(crate) authority: String,
    /// Listeners: in the clear, a password, TLS, TLS and a password, TLS and a client's certificate.
    pub(crate) open: String,
    pub(crate) sasl: String,
    pub(crate) tls: String,
    pub(crate) sasl_tls: String,
    pub(crate) mutual: String,
}

impl Drop for Apache {
    fn drop(&mut self) {
        // What cannot be ended has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An authority that signs certificates of servers and clients.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// A certificate and its key, in PEM.
    pub(crate) fn sign(&self, name: &str) -> (String, String) {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let made = params.signed_by(&key, &self.issuer).unwrap();
        (made.pem(), key.serialize_pem())
    }
}

fn classes() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("TIDEGATE_TEST_KAFKA_JARS") {
        return Some(given.into());
    }
    std::env::var_os("TIDEGATE_TEST_KAFKA")?;
    let cache = std::env::var_os("TIDEGATE_PEERS").map(PathBuf::from);
    let base = || {
        let own = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
        Some(own.or_else(home)?.join("tidegate-peers"))
    };
    let mut kept: Vec<PathBuf> = fs::read_dir(cache.or_else(base)?)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with("kafka-"))
        })
        .collect();
    kept.sort();
    kept.pop()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn java(classes: &Path, words: &[&str]) -> Command {
    let mut java = Command::new("java");
    java.arg("-cp")
        .arg(classes.join("*"))
        .args(words)
        .stdin(Stdio::null());
    java
}

impl Apache {
    /// Starts it with an authority and users of SCRAM (mechanism, name, password); says loudly when it cannot.
    pub(crate) fn start(authority: &Authority, users: &[(&str, &str, &str)]) -> Option<Self> {
        let Some(classes) = classes() else {
            say("SKIPPED on a guarded Apache Kafka: TIDEGATE_TEST_KAFKA_JARS is not set");
            return None;
        };
        if java(&classes, &["-version"]).output().is_err() {
            say("SKIPPED on a guarded Apache Kafka: there is no java");
            return None;
        }
        let dir = TempDir::new().unwrap();
        let ports: Vec<u16> = (0..6).map(|_| free_port()).collect();
        let settings = dir.path().join("server.properties");
        fs::write(&settings, written(dir.path(), &ports, authority)).unwrap();
        let settings = settings.to_str().unwrap();
        let tool = [
            "kafka.tools.StorageTool",
            "format",
            "-t",
            CLUSTER,
            "-c",
            settings,
        ];
        let mut format = java(&classes, &tool);
        for (mechanism, name, password) in users {
            format.arg("--add-scram");
            format.arg(format!("{mechanism}=[name={name},password={password}]"));
        }
        let formatted = format.output().unwrap();
        let words = String::from_utf8_lossy(&formatted.stderr);
        assert!(formatted.status.success(), "{words}");
        let log = File::create(dir.path().join("log")).unwrap();
        let process = java(&classes, &["-Xmx384m", "kafka.Kafka", settings])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let at = |index: usize| format!("127.0.0.1:{}", ports[index]);
        let mut started = Self {
            process,
            dir,
            authority: authority.pem.clone(),
            open: at(0),
            sasl: at(1),
            tls: at(2),
            sasl_tls: at(3),
            mutual: at(4),
        };
        started.listens();
        Some(started)
    }

    /// Waits until it listens.
    fn listens(&mut self) {
        let until = Instant::now() + STARTING;
        while std::net::TcpStream::connect(&self.mutual).is_err() {
            let ended = self.process.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < until,
                "Apache Kafka does not start: {}",
                fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A file beside its own.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// The settings of a broker that stands alone, one listener of each sort.
fn written(dir: &Path, ports: &[u16], authority: &Authority) -> String {
    let (certificate, key) = authority.sign("broker");
    let keys = dir.join("broker.pem");
    fs::write(&keys, format!("{key}{certificate}")).unwrap();
    let trusted = dir.join("authority.pem");
    fs::write(&trusted, &authority.pem).unwrap();
    let names = [
        "PLAINTEXT",
        "SASL_PLAINTEXT",
        "SSL",
        "SASL_SSL",
        "MUTUAL",
        "CONTROLLER",
    ];
    let listeners: Vec<String> = names
        .iter()
        .zip(ports)
        .map(|(name, port)| format!("{name}://127.0.0.1:{port}"))
        .collect();
    let mut lines = vec![
        "process.roles=broker,controller".to_owned(),
        "node.id=1".to_owned(),
        format!("controller.quorum.voters=1@127.0.0.1:{}", ports[5]),
        format!("listeners={}", listeners.join(",")),
        format!("advertised.listeners={}", listeners[..5].join(",")),
        "controller.listener.names=CONTROLLER".to_owned(),
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,MUTUAL:SSL,CONTROLLER:PLAINTEXT".to_owned(),
        format!("log.dirs={}", dir.join("data").display()),
        "offsets.topic.replication.factor=1".to_owned(),
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned(),
        "super.users=User:ANONYMOUS;User:plain;User:alice;User:CN=operator".to_owned(),
        "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512".to_owned(),
        "ssl.keystore.type=PEM".to_owned(),
        format!("ssl.keystore.location={}", keys.display()),
        "ssl.truststore.type=PEM".to_owned(),
        format!("ssl.truststore.location={}", trusted.display()),
        "listener.name.mutual.ssl.client.auth=required".to_owned(),
    ];
    for listener in ["sasl_plaintext", "sasl_ssl"] {
        let prefix = format!("listener.name.{listener}");
        lines.push(format!(
            "{prefix}.plain.sasl.jaas.config={PLAIN_MODULE} required user_plain=\"pw\";"
        ));
        for mechanism in ["scram-sha-256", "scram-sha-512"] {
            lines.push(format!(
                "{prefix}.{mechanism}.sasl.jaas.config={SCRAM_MODULE} required;"
            ));
        }
    }
    lines.join("\n") + "\n"
}
