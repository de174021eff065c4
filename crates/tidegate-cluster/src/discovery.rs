//! What the cluster serves: an own discovery cache, tolerant of groups that do not answer.

mod catalog;
mod fetch;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde_json::Value;
use tidegate_applier::{ApplierError, ErrorKind};
use tidegate_manifest::{GroupKind, GroupVersionKind};
use tokio::time::{Instant, sleep};

pub(crate) use catalog::{Catalog, Endpoint, Served};
use fetch::Etags;

use crate::failure::Failure;
use crate::transport::Transport;

/// The documents are validated again after this time.
const RESYNC: Duration = Duration::from_secs(600);
/// An unknown kind makes us look again at most this often: with aggregated discovery it costs two
/// requests that are mostly answered 304, otherwise one per group.
const RELOOK_AGGREGATED: Duration = Duration::from_secs(1);
const RELOOK_LEGACY: Duration = Duration::from_secs(10);
/// A discovery that failed is tried again after this time; until then what is known counts as stale.
const RETRY_STALE: Duration = Duration::from_secs(10);
/// What a whole discovery may take.
const DISCOVERY_DEADLINE: Duration = Duration::from_secs(60);
/// Kinds that are expected at one time; older ones are forgotten first.
const MAX_EXPECTED: usize = 4096;

/// The discovery cache of one cluster.
#[derive(Debug, Default)]
pub(crate) struct Discovery {
    catalog: ArcSwapOption<Catalog>,
    state: tokio::sync::Mutex<State>,
    expected: Mutex<HashMap<GroupKind, Expected>>,
}

#[derive(Debug, Default)]
struct State {
    etags: Etags,
    relooked: Option<Instant>,
}

/// A kind whose CRD we just applied.
#[derive(Clone, Debug)]
struct Expected {
    versions: Vec<String>,
    until: Instant,
}

impl Discovery {
    /// The catalogue, at most [`RESYNC`] old.
    ///
    /// # Errors
    /// When nothing is known yet and the cluster does not answer.
    pub(crate) async fn catalog(&self, transport: &Transport) -> Result<Arc<Catalog>, Failure> {
        if let Some(known) = self.catalog.load_full()
            && known.fetched.elapsed() < RESYNC
        {
            return Ok(known);
        }
        let mut state = self.state.lock().await;
        if let Some(known) = self.catalog.load_full()
            && known.fetched.elapsed() < RESYNC
        {
            return Ok(known);
        }
        self.refresh(transport, &mut state).await
    }

    /// Looks again now, whatever is known.
    pub(crate) async fn look_again(&self, transport: &Transport) -> Result<Arc<Catalog>, Failure> {
        let mut state = self.state.lock().await;
        self.refresh(transport, &mut state).await
    }

    async fn refresh(
        &self,
        transport: &Transport,
        state: &mut State,
    ) -> Result<Arc<Catalog>, Failure> {
        let known = self.catalog.load_full();
        let deadline = Instant::now() + DISCOVERY_DEADLINE;
        let fetched = fetch::catalog(transport, known.as_deref(), &mut state.etags, deadline).await;
        match (fetched, known) {
            (Ok(catalog), _) => {
                let catalog = Arc::new(catalog);
                self.catalog.store(Some(Arc::clone(&catalog)));
                Ok(catalog)
            }
            (Err(failure), Some(known)) => {
                tracing::warn!("discovery is not current: {}", failure.words());
                let stale = Arc::new(known.all_stale(RESYNC.saturating_sub(RETRY_STALE)));
                self.catalog.store(Some(Arc::clone(&stale)));
                Ok(stale)
            }
            (Err(failure), None) => Err(failure),
        }
    }

    /// What the cluster knows of a kind; an unknown one makes us look again (rate limited).
    pub(crate) async fn find(
        &self,
        transport: &Transport,
        kind: &GroupKind,
    ) -> Result<Option<Served>, Failure> {
        let mut catalog = self.catalog(transport).await?;
        if catalog.get(kind).is_none() {
            if let Some(expected) = self.expected(kind) {
                self.await_kind(transport, kind, &expected).await?;
                catalog = self.catalog(transport).await?;
            } else {
                catalog = self.relook(transport, catalog).await?;
            }
        }
        if let Some(served) = catalog.get(kind) {
            return Ok(Some(served.clone()));
        }
        match catalog.silent_group(&kind.group) {
            Some(words) => Err(Failure::Local(
                ApplierError::new(
                    ErrorKind::Unavailable,
                    format!("the API group {:?} does not answer: {words}", kind.group),
                )
                .help("an aggregated API server is down: look at its APIService (kubectl get apiservices)"),
            )),
            None => Ok(None),
        }
    }

    async fn relook(
        &self,
        transport: &Transport,
        seen: Arc<Catalog>,
    ) -> Result<Arc<Catalog>, Failure> {
        let mut state = self.state.lock().await;
        if let Some(known) = self.catalog.load_full()
            && !Arc::ptr_eq(&known, &seen)
        {
            return Ok(known);
        }
        let interval = if state.etags.aggregated {
            RELOOK_AGGREGATED
        } else {
            RELOOK_LEGACY
        };
        if state.relooked.is_some_and(|at| at.elapsed() < interval) {
            return Ok(seen);
        }
        state.relooked = Some(Instant::now());
        self.refresh(transport, &mut state).await
    }

    /// The endpoint of a kind at a version.
    pub(crate) async fn endpoint(
        &self,
        transport: &Transport,
        gvk: &GroupVersionKind,
    ) -> Result<Endpoint, Missing> {
        let kind = gvk.group_kind();
        let mut served = self
            .find(transport, &kind)
            .await?
            .ok_or_else(|| Missing::Kind(missing_kind(gvk)))?;
        if served.at(&gvk.version).is_none()
            && let Some(expected) = self.expected(&kind)
            && expected.versions.contains(&gvk.version)
        {
            self.await_version(transport, gvk, &expected).await?;
            if let Some(now) = self.find(transport, &kind).await? {
                served = now;
            }
        }
        served
            .at(&gvk.version)
            .ok_or_else(|| Missing::Kind(missing_version(gvk, &served)))
    }

    /// The endpoint of a kind at its preferred version.
    pub(crate) async fn preferred(
        &self,
        transport: &Transport,
        kind: &GroupKind,
    ) -> Result<Option<Endpoint>, Failure> {
        Ok(self.find(transport, kind).await?.map(|s| s.preferred()))
    }

    /// Announces the kind of a CRD that is being applied, so that its objects wait for it.
    pub(crate) fn expect(&self, crd: &Value, wait: Duration) {
        let Some((kind, versions)) = crd_kind(crd) else {
            return;
        };
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if expected.len() >= MAX_EXPECTED {
            expected.retain(|_, entry| entry.until > now);
        }
        if expected.len() < MAX_EXPECTED {
            let until = now + wait;
            expected.insert(kind, Expected { versions, until });
        }
    }

    fn expected(&self, kind: &GroupKind) -> Option<Expected> {
        let expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        expected
            .get(kind)
            .filter(|entry| entry.until > Instant::now())
            .cloned()
    }

    /// Until when a 404 of this kind may only mean that its handler is not there yet.
    pub(crate) fn expected_until(&self, kind: &GroupKind) -> Option<Instant> {
        self.expected(kind).map(|entry| entry.until)
    }

    async fn await_kind(
        &self,
        transport: &Transport,
        kind: &GroupKind,
        expected: &Expected,
    ) -> Result<(), Failure> {
        let Some(version) = expected.versions.first() else {
            return Ok(());
        };
        let gvk = GroupVersionKind {
            group: kind.group.clone(),
            version: version.clone(),
            kind: kind.kind.clone(),
        };
        self.await_version(transport, &gvk, expected).await
    }

    /// Waits until a version of a new kind is served, at most as long as it is expected.
    async fn await_version(
        &self,
        transport: &Transport,
        gvk: &GroupVersionKind,
        expected: &Expected,
    ) -> Result<(), Failure> {
        let mut wait = transport.policy().poll;
        loop {
            self.refresh_group(transport, &gvk.group, &expected.versions)
                .await?;
            let known = self.catalog.load_full();
            if known.is_some_and(|c| {
                c.get(&gvk.group_kind())
                    .is_some_and(|s| s.at(&gvk.version).is_some())
            }) || Instant::now() + wait >= expected.until
            {
                return Ok(());
            }
            sleep(wait).await;
            wait = (wait * 2).min(Duration::from_millis(500));
        }
    }

    /// Looks at these versions of one group only.
    pub(crate) async fn refresh_group(
        &self,
        transport: &Transport,
        group: &str,
        versions: &[String],
    ) -> Result<(), Failure> {
        self.catalog(transport).await?;
        let deadline = Instant::now() + DISCOVERY_DEADLINE;
        let _one_at_a_time = self.state.lock().await;
        let Some(known) = self.catalog.load_full() else {
            return Ok(());
        };
        let mut next = Catalog::clone(&known);
        for version in versions {
            match fetch::group_version(transport, group, version, deadline).await {
                Ok(Some(resources)) => next.merge(group, version, &resources),
                Ok(None) => {}
                Err(failure) => return Err(failure),
            }
        }
        self.catalog.store(Some(Arc::new(next)));
        Ok(())
    }
}

/// Why there is no endpoint.
#[derive(Debug)]
pub(crate) enum Missing {
    /// The cluster does not serve the kind at this version.
    Kind(ApplierError),
    /// It could not be asked.
    Failed(Failure),
}

impl From<Failure> for Missing {
    fn from(failure: Failure) -> Self {
        Missing::Failed(failure)
    }
}

impl From<Missing> for Failure {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Kind(error) => Failure::Local(error),
            Missing::Failed(failure) => failure,
        }
    }
}

fn missing_kind(gvk: &GroupVersionKind) -> ApplierError {
    let help = if gvk.group.is_empty() || !gvk.group.contains('.') {
        format!(
            "check apiVersion and kind: the cluster serves no {}",
            gvk.kind
        )
    } else {
        format!(
            "install the CustomResourceDefinition of {}, or put it into an earlier wave",
            gvk.group_kind()
        )
    };
    ApplierError::new(
        ErrorKind::NotFound,
        format!(
            "no matches for kind {:?} in version {:?}",
            gvk.kind,
            gvk.api_version()
        ),
    )
    .help(help)
}

fn missing_version(gvk: &GroupVersionKind, served: &Served) -> ApplierError {
    ApplierError::new(
        ErrorKind::NotFound,
        format!(
            "no matches for kind {:?} in version {:?}",
            gvk.kind,
            gvk.api_version()
        ),
    )
    .help(format!(
        "the cluster serves {} in: {}",
        gvk.group_kind(),
        served.versions().join(", ")
    ))
}

/// The kind that a CRD defines, and its served versions.
pub(crate) fn crd_kind(crd: &Value) -> Option<(GroupKind, Vec<String>)> {
    let spec = crd.get("spec")?;
    let kind = GroupKind::new(
        spec.get("group")?.as_str()?,
        spec.get("names")?.get("kind")?.as_str()?,
    );
    let versions = spec
        .get("versions")?
        .as_array()?
        .iter()
        .filter(|version| version.get("served").and_then(Value::as_bool) != Some(false))
        .filter_map(|version| version.get("name")?.as_str().map(str::to_owned))
        .collect();
    Some((kind, versions))
}
