//! A client of one Kafka cluster: which broker to ask, when to ask again.
//!
//! Must not know: what requests mean. What changes something is sent once; whoever sent it looks
//! before sending it again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as Guard, PoisonError};
use std::time::Duration;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::{Request, StrBytes};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::error::{Code, KafkaError};
use crate::security::Security;

/// Attempts at a request that changes nothing.
const ATTEMPTS: u32 = 5;
/// The first pause between two attempts; it doubles.
const PAUSE: Duration = Duration::from_millis(100);
/// No new attempt begins after this.
const PATIENCE: Duration = Duration::from_secs(20);
/// Servers to begin with that are kept.
const BOOTSTRAP: usize = 32;

/// One cluster, by the servers to begin with.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bootstrap: Vec<String>,
    security: Security,
    connections: Guard<BTreeMap<String, Arc<Mutex<Option<Connection>>>>>,
    /// The address that answered last.
    last: Guard<Option<String>>,
}

/// Who must answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Any broker.
    Any,
    /// The controller, or a broker that stands for it.
    Controller,
}

impl Client {
    /// A client of the cluster at these `host:port`, comma separated; connects when first asked.
    ///
    /// # Errors
    /// The servers are not written as `host:port`.
    pub fn new(bootstrap: &str, security: Security) -> Result<Self, KafkaError> {
        let servers: Vec<String> = bootstrap
            .split(',')
            .map(str::trim)
            .filter(|server| !server.is_empty())
            .map(str::to_owned)
            .collect();
        let is_server = |server: &String| {
            let parts = server.rsplit_once(':');
            parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        if servers.is_empty() || !servers.iter().all(is_server) {
            return Err(KafkaError::settings(format!(
                "bootstrapServers is {bootstrap:?}: write host:port, comma separated"
            )));
        }
        Ok(Self {
            inner: Arc::new(Inner {
                bootstrap: servers.into_iter().take(BOOTSTRAP).collect(),
                security,
                connections: Guard::default(),
                last: Guard::default(),
            }),
        })
    }

    /// The servers to begin with, for people.
    pub fn label(&self) -> String {
        self.inner.bootstrap.join(",")
    }

    /// Asks for something that changes nothing; tries again while the trouble may pass.
    pub(crate) async fn ask<R: Request>(
        &self,
        who: Who,
        request: &R,
        check: impl Fn(&R::Response) -> Result<(), KafkaError>,
    ) -> Result<R::Response, KafkaError> {
        let begin = Instant::now();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let answer = self.send(who, request).await;
            let answer = answer.and_then(|answer| check(&answer).map(|()| answer));
            match answer {
                Err(error)
                    if error.is_passing() && attempt < ATTEMPTS && begin.elapsed() < PATIENCE =>
                {
                    tokio::time::sleep(pause(attempt, error.wait())).await;
                }
                answer => return answer,
            }
        }
    }

    /// Sends a request once.
    pub(crate) async fn send<R: Request>(
        &self,
        who: Who,
        request: &R,
    ) -> Result<R::Response, KafkaError> {
        match who {
            Who::Any => self.send_any(request).await,
            Who::Controller => {
                let cluster = self.send_any(&cluster_request()).await?;
                let controller = cluster
                    .brokers
                    .iter()
                    .find(|broker| broker.node_id == cluster.controller_id);
                match controller {
                    Some(broker) => {
                        let address = format!("{}:{}", broker.host, broker.port);
                        self.send_to(&address, request).await
                    }
                    None => self.send_any(request).await,
                }
            }
        }
    }

    /// Sends to the first server that can be reached; what was sent is not sent again elsewhere.
    async fn send_any<R: Request>(&self, request: &R) -> Result<R::Response, KafkaError> {
        let last = self.last().clone();
        let others = self
            .inner
            .bootstrap
            .iter()
            .filter(|b| Some(*b) != last.as_ref());
        let mut failure = None;
        for address in last.iter().chain(others) {
            let slot = self.slot(address);
            let mut slot = slot.lock().await;
            if slot.is_none() {
                match Connection::open(address, &self.inner.security).await {
                    Ok(connection) => *slot = Some(connection),
                    Err(error) => {
                        failure.get_or_insert(error);
                        continue;
                    }
                }
            }
            *self.last() = Some(address.clone());
            return exchange(&mut slot, request).await;
        }
        *self.last() = None;
        Err(failure.unwrap_or_else(|| KafkaError::settings("there is no server to begin with")))
    }

    async fn send_to<R: Request>(
        &self,
        address: &str,
        request: &R,
    ) -> Result<R::Response, KafkaError> {
        let slot = self.slot(address);
        let mut slot = slot.lock().await;
        if slot.is_none() {
            *slot = Some(Connection::open(address, &self.inner.security).await?);
        }
        exchange(&mut slot, request).await
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.inner
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, address: &str) -> Arc<Mutex<Option<Connection>>> {
        let mut connections = self
            .inner
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(connections.entry(address.to_owned()).or_default())
    }

    /// Metadata of some topics, or of all.
    pub(crate) async fn metadata(
        &self,
        topics: Option<&[String]>,
    ) -> Result<MetadataResponse, KafkaError> {
        let topics = topics.map(|names| {
            let named = names.iter().map(|name| {
                let name = TopicName(StrBytes::from_string(name.clone()));
                MetadataRequestTopic::default().with_name(Some(name))
            });
            named.collect()
        });
        let request = cluster_request().with_topics(topics);
        self.ask(Who::Any, &request, |answer| {
            Code::new(answer.error_code).check("Metadata", None)
        })
        .await
    }
}

/// Metadata of the cluster alone; never creates a topic.
fn cluster_request() -> MetadataRequest {
    MetadataRequest::default()
        .with_topics(Some(Vec::new()))
        .with_allow_auto_topic_creation(false)
}

async fn exchange<R: Request>(
    slot: &mut Option<Connection>,
    request: &R,
) -> Result<R::Response, KafkaError> {
    // Taken out, so that a future that is dropped in between leaves no half-read connection.
    let Some(mut connection) = slot.take() else {
        return Err(KafkaError::settings("there is no connection"));
    };
    let answer = connection.send(request).await;
    match &answer {
        Err(error) if error.is_broken() => {
            tracing::debug!(address = connection.address(), %error, "a connection is given up");
        }
        _ => *slot = Some(connection),
    }
    answer
}

/// Between half of and the whole doubled pause, and no less than the broker asks for.
pub(crate) fn pause(attempt: u32, wait: Option<Duration>) -> Duration {
    let whole = PAUSE.saturating_mul(1 << attempt.min(6));
    let (chance, _) = uuid::Uuid::new_v4().as_u64_pair();
    let part = u32::try_from(chance % 512).unwrap_or(0);
    let jittered = whole / 2 + whole.saturating_mul(part) / 1_024;
    jittered.max(wait.unwrap_or_default()).min(PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_host_and_port() {
        for good in ["a:1", "a:1, b:2", "[::1]:9092"] {
            assert!(Client::new(good, Security::default()).is_ok(), "{good}");
        }
        for bad in ["", "a", "a:b", ":1", "a:1,b"] {
            assert!(Client::new(bad, Security::default()).is_err(), "{bad}");
        }
    }

    #[test]
    fn pauses_grow_within_bounds() {
        for attempt in 0..40 {
            assert!(pause(attempt, None) <= PATIENCE);
            assert!(pause(attempt, Some(Duration::from_secs(3))) >= Duration::from_secs(3));
        }
    }
}
