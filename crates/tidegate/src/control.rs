//! The door of the process that owns a state directory: others ask it to sync, to terminate, or how things are.
//!
//! A Unix socket in the state directory, readable by its user only; one JSON line asks, one answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_engine::{ApplicationTask, Engine, HistoryEntry, OperationState, SyncRequest};
use tidegate_manifest::Application;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use crate::Error;

/// Longest line that is read, in bytes.
const LINE_MAX: u64 = 16 * 1024 * 1024;
/// Most askers at a time.
const ASKERS_MAX: usize = 32;
/// How long an asker may take to say what it wants.
const ASK_WITHIN: Duration = Duration::from_secs(10);

/// What is asked about an Application.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ask {
    /// Its document with `.status`.
    Status,
    /// Its history.
    History,
    /// To sync, and to answer when that has ended.
    Sync(Box<SyncRequest>),
    /// To end the running operation.
    Terminate,
}

/// The answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// To [`Ask::Status`].
    Status(Value),
    /// To [`Ask::History`].
    History(Vec<HistoryEntry>),
    /// To [`Ask::Sync`].
    Synced(Box<OperationState>),
    /// To [`Ask::Terminate`].
    Terminated,
    /// Not done, and why.
    Refused(String),
}

#[derive(Debug, Serialize, Deserialize)]
struct Question {
    application: String,
    ask: Ask,
}

/// Asks the process that owns a state directory; None when there is none that answers.
///
/// # Errors
/// The answer cannot be read.
///
/// # Cancel safety
/// What was asked for is done all the same.
pub async fn ask(socket: &Path, application: &str, ask: Ask) -> Result<Option<Answer>, Error> {
    let Ok(mut stream) = UnixStream::connect(socket).await else {
        return Ok(None);
    };
    let broken = |source| Error::Io {
        action: "asking",
        path: socket.to_owned(),
        source,
    };
    let question = Question {
        application: application.to_owned(),
        ask,
    };
    let mut line = serde_json::to_vec(&question).map_err(|error| broken(error.into()))?;
    line.push(b'\n');
    stream.write_all(&line).await.map_err(broken)?;
    let mut answer = String::new();
    BufReader::new(stream)
        .take(LINE_MAX)
        .read_line(&mut answer)
        .await
        .map_err(broken)?;
    serde_json::from_str(&answer)
        .map(Some)
        .map_err(|error| broken(error.into()))
}

/// The Applications that are kept reconciled, and the tasks of those that were started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    tasks: Arc<Mutex<BTreeMap<String, Known>>>,
}

#[derive(Clone, Debug)]
struct Known {
    application: Arc<Application>,
    task: Option<Arc<ApplicationTask>>,
}

impl Tasks {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An Application without a task yet, in place of what was known under its name.
    pub(crate) fn declare(&self, application: &Arc<Application>) {
        let known = Known {
            application: Arc::clone(application),
            task: None,
        };
        self.lock().insert(application.name.clone(), known);
    }

    /// The task of a declared Application.
    pub(crate) fn started(&self, name: &str, task: &Arc<ApplicationTask>) {
        if let Some(known) = self.lock().get_mut(name) {
            known.task = Some(Arc::clone(task));
        }
    }

    pub(crate) fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn get(&self, name: &str) -> Option<Known> {
        self.lock().get(name).cloned()
    }
}

/// Answers who asks, while it lives.
#[derive(Debug)]
pub(crate) struct Door {
    socket: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Door {
    /// Opens the door; without a socket, or where one cannot be made, nobody can ask.
    pub(crate) fn open(socket: Option<&Path>, engine: &Engine, tasks: Tasks) -> Option<Self> {
        let socket = socket?.to_owned();
        // The state's own lock says that nobody else owns it: a socket that is left is of a process that is gone.
        let _absent = std::fs::remove_file(&socket);
        let listener = match UnixListener::bind(&socket) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::warn!(socket = %socket.display(), %error, "nobody can ask this process");
                return None;
            }
        };
        restrict(&socket);
        let answering = Answering {
            engine: engine.clone(),
            tasks,
        };
        let task = tokio::spawn(accept(listener, Arc::new(answering)));
        Some(Self { socket, task })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
        let _absent = std::fs::remove_file(&self.socket);
    }
}

/// Lets only the owner's user in.
fn restrict(socket: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    if let Err(error) = std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600)) {
        tracing::warn!(socket = %socket.display(), %error, "the permissions of the socket could not be set");
    }
}

struct Answering {
    engine: Engine,
    tasks: Tasks,
}

async fn accept(listener: UnixListener, answering: Arc<Answering>) {
    let mut askers = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if askers.len() < ASKERS_MAX => {
                let Ok((stream, _)) = accepted else { continue };
                let answering = Arc::clone(&answering);
                askers.spawn(async move { answering.serve(stream).await });
            }
            Some(_) = askers.join_next() => {}
        }
    }
}

impl Answering {
    async fn serve(&self, stream: UnixStream) {
        let (reader, mut writer) = stream.into_split();
        let mut line = String::new();
        let mut reader = BufReader::new(reader.take(LINE_MAX));
        let answer = match tokio::time::timeout(ASK_WITHIN, reader.read_line(&mut line)).await {
            Ok(Ok(_)) => match serde_json::from_str::<Question>(&line) {
                Ok(question) => self.answer(question).await,
                Err(error) => Answer::Refused(format!("the question cannot be read: {error}")),
            },
            Ok(Err(_)) | Err(_) => return,
        };
        let Ok(mut text) = serde_json::to_vec(&answer) else {
            return;
        };
        text.push(b'\n');
        // An asker that went away does not want to know.
        let _gone = writer.write_all(&text).await;
    }

    async fn answer(&self, question: Question) -> Answer {
        let name = &question.application;
        let Some(Known { application, task }) = self.tasks.get(name) else {
            return Answer::Refused(format!("there is no Application {name:?} here"));
        };
        let refused = |error: tidegate_engine::EngineError| Answer::Refused(error.to_string());
        match question.ask {
            Ask::Status => self
                .engine
                .status_document(&application)
                .await
                .map_or_else(refused, Answer::Status),
            Ask::History => self
                .engine
                .history(&application)
                .await
                .map_or_else(refused, Answer::History),
            Ask::Sync(request) => match task {
                Some(task) => task
                    .sync(*request)
                    .await
                    .map_or_else(refused, |done| Answer::Synced(Box::new(done))),
                None => Answer::Refused(format!(
                    "{name} is not being synced yet: it waits for another Application"
                )),
            },
            Ask::Terminate => match task {
                Some(task) => {
                    task.terminate().await;
                    Answer::Terminated
                }
                None => Answer::Refused(format!("{name} has no running operation")),
            },
        }
    }
}
