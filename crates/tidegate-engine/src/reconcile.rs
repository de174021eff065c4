//! One owner task per application: refresh, automatic sync, self-heal, drift (Argo CD section 9).
//!
//! The task owns the application's state; others send messages. Only one thing happens at a time.

mod round;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::{Comparison, Desired, Destination, Engine, EngineError, OperationState, SyncRequest};

/// Most messages that wait for an application's task.
const MESSAGES_MAX: usize = 64;

/// Which revisions an application's source is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// What the Application's target revisions stand for now.
    Newest,
    /// Exactly these, one per source.
    Revisions(Vec<String>),
}

/// Brings an application's desired state: the facade implements it over Git and renderers.
#[async_trait]
pub trait Source: Send + Sync + std::fmt::Debug {
    /// What the target revisions stand for now; cheap enough to be asked at every poll.
    ///
    /// # Errors
    /// In words, for people.
    async fn newest(&self) -> Result<Vec<String>, String>;

    /// The desired state. What is wrong in documents is in its diagnostics.
    ///
    /// # Errors
    /// In words, for people: a revision that does not exist, a remote that does not answer.
    async fn desired(&self, wanted: Wanted) -> Result<Desired, String>;
}

/// How an application is kept reconciled.
#[derive(Clone, Debug)]
pub struct ReconcileOptions {
    /// Time between two looks at the source.
    pub poll_interval: Duration,
    /// Time after which live state is compared anew even if nothing was heard of it; ten times as long
    /// where all targets are watched.
    pub compare_interval: Duration,
    /// Sync once at the start although the application has no automation.
    pub sync_once: Option<SyncRequest>,
}

impl Default for ReconcileOptions {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_secs(30),
            compare_interval: Duration::from_secs(120),
            sync_once: None,
        }
    }
}

/// What is known of an application, published after each change.
#[derive(Clone, Debug, Default)]
pub struct ApplicationView {
    /// The last verdict.
    pub comparison: Option<Arc<Comparison>>,
    /// The last or running operation.
    pub operation: Option<Arc<OperationState>>,
    /// Why the source or the store could not be used, when that is so now.
    pub error: Option<String>,
    /// Grows with each completed look.
    pub rounds: u64,
}

/// What is said to an application's task.
#[derive(Debug)]
enum Message {
    Refresh,
    Sync(Box<SyncRequest>, Reply),
    Terminate,
}

type Reply = oneshot::Sender<Result<OperationState, EngineError>>;

/// The handle of an application's task; dropping it aborts the task.
#[derive(Debug)]
pub struct ApplicationTask {
    messages: mpsc::Sender<Message>,
    shutdown: watch::Sender<bool>,
    view: watch::Receiver<ApplicationView>,
    task: JoinHandle<()>,
}

impl ApplicationTask {
    /// Starts the task of one application. It first goes on with an operation that a killed process
    /// left behind.
    pub fn start(
        engine: Engine,
        destination: Destination,
        source: Arc<dyn Source>,
        options: ReconcileOptions,
    ) -> Self {
        let (messages, inbox) = mpsc::channel(MESSAGES_MAX);
        let (shutdown, stop) = watch::channel(false);
        let (publish, view) = watch::channel(ApplicationView::default());
        let owner = round::Owner::new(engine, destination, source, options, publish);
        let task = tokio::spawn(owner.run(inbox, stop));
        Self {
            messages,
            shutdown,
            view,
            task,
        }
    }

    /// Looks at source and live state at once.
    pub async fn refresh(&self) {
        let _gone = self.messages.send(Message::Refresh).await;
    }

    /// Runs an operation; ends when it has ended.
    ///
    /// # Errors
    /// As [`Engine::sync`]; [`EngineError::InProgress`] while another runs.
    pub async fn sync(&self, request: SyncRequest) -> Result<OperationState, EngineError> {
        let (reply, answer) = oneshot::channel();
        let message = Message::Sync(Box::new(request), reply);
        let _gone = self.messages.send(message).await;
        answer.await.unwrap_or_else(|_| {
            Err(EngineError::Refused(
                "the application's task has ended".to_owned(),
            ))
        })
    }

    /// Ends the running operation.
    pub async fn terminate(&self) {
        let _gone = self.messages.send(Message::Terminate).await;
    }

    /// What is known now, and as it changes.
    pub fn view(&self) -> watch::Receiver<ApplicationView> {
        self.view.clone()
    }

    /// Ends the task: begun effects are finished and journalled; a running operation can be resumed.
    pub async fn shutdown(mut self) {
        let _gone = self.shutdown.send(true);
        let _ended = (&mut self.task).await;
    }
}

impl Drop for ApplicationTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}
