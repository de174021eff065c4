//! How a caller steers a running call: cancel, terminate, tell of a newer revision.

use jiff::Timestamp;
use tokio::sync::watch;

/// The caller's end.
#[derive(Clone, Debug)]
pub struct Controller {
    sender: watch::Sender<Signals>,
}

/// The engine's end; clones see the same signals.
#[derive(Clone, Debug)]
pub struct Control {
    receiver: watch::Receiver<Signals>,
    /// Keeps the channel open when the caller has no controller.
    _own: Option<watch::Sender<Signals>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signals {
    pub(crate) is_cancelled: bool,
    pub(crate) is_terminated: bool,
    pub(crate) newer: Option<Vec<String>>,
    /// When deletions that ask for it were approved.
    pub(crate) approved: Option<Timestamp>,
    /// Grows with each nudge: look at the live state again.
    pub(crate) nudges: u64,
}

impl Controller {
    /// A controller and what it steers.
    pub fn new() -> (Self, Control) {
        let (sender, receiver) = watch::channel(Signals::default());
        let control = Control {
            receiver,
            _own: None,
        };
        (Self { sender }, control)
    }

    /// Ends the call at the next safe point. Effects that were begun are finished and journalled;
    /// the operation can be resumed.
    pub fn cancel(&self) {
        self.sender
            .send_modify(|signals| signals.is_cancelled = true);
    }

    /// Ends the operation itself: running hooks are deleted, the result is `Failed`.
    pub fn terminate(&self) {
        self.sender
            .send_modify(|signals| signals.is_terminated = true);
    }

    /// Tells of newer revisions: an operation that was not pinned to its own ends between two
    /// waves, or while it waits, as superseded.
    pub fn newer(&self, revisions: Vec<String>) {
        self.sender
            .send_modify(|signals| signals.newer = Some(revisions));
    }

    /// Approves deletions that ask for it (`argocd.argoproj.io/deletion-approved`).
    pub fn approve_deletions(&self, at: Timestamp) {
        self.sender
            .send_modify(|signals| signals.approved = Some(at));
    }

    /// Makes a wait look at the live state at once.
    pub fn nudge(&self) {
        self.sender.send_modify(|signals| signals.nudges += 1);
    }
}

impl Control {
    /// A control that nobody uses.
    pub fn none() -> Self {
        let (sender, receiver) = watch::channel(Signals::default());
        Self {
            receiver,
            _own: Some(sender),
        }
    }

    /// Whether the call was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.receiver.borrow().is_cancelled
    }

    pub(crate) fn signals(&self) -> Signals {
        self.receiver.borrow().clone()
    }

    /// Returns when any signal came since `seen`; never when the caller is gone.
    pub(crate) async fn changed(&mut self, seen: &Signals) {
        let is_closed = self
            .receiver
            .wait_for(|signals| signals != seen)
            .await
            .is_err();
        if is_closed {
            std::future::pending::<()>().await;
        }
    }
}
