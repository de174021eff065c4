//! Watching the targets of what is waited for. A watch only wakes; live state is then read.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use tidegate_applier::WatchStream;
use tidegate_manifest::{ResourceKey, Target};

use crate::Destination;

/// The open watches, one per target at most.
#[derive(Default)]
pub(crate) struct Watches {
    /// None: the target cannot be watched, or its watch broke.
    streams: BTreeMap<Target, Option<WatchStream>>,
}

impl Watches {
    /// Watches the targets of these keys, as far as they can be watched.
    pub(crate) async fn open(&mut self, destination: &Destination, keys: &[ResourceKey]) {
        for key in keys {
            if self.streams.contains_key(&key.target) {
                continue;
            }
            let stream = match destination.applier(&key.target) {
                Some(applier) => applier.watch().await.unwrap_or_default(),
                None => None,
            };
            self.streams.insert(key.target.clone(), stream);
        }
    }

    /// Whether every target that was asked for is watched.
    pub(crate) fn is_watching(&self) -> bool {
        !self.streams.is_empty() && self.streams.values().all(Option::is_some)
    }

    /// Returns at the next event of one of the keys; never when nothing is watched.
    pub(crate) async fn next(&mut self, keys: &[ResourceKey]) {
        loop {
            let waiting = self.streams.iter_mut().filter_map(|(target, stream)| {
                let stream = stream.as_mut()?;
                Some(Box::pin(
                    async move { (target.clone(), stream.next().await) },
                ))
            });
            let waiting: Vec<_> = waiting.collect();
            if waiting.is_empty() {
                std::future::pending::<()>().await;
            }
            let ((target, event), _, _) = futures_util::future::select_all(waiting).await;
            match event {
                Some(Ok(event)) if keys.contains(&event.key) => return,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => {
                    self.streams.insert(target, None);
                    return;
                }
            }
        }
    }
}
