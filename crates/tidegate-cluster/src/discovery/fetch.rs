//! Asks for discovery documents: aggregated (v2, then v2beta1), else group by group.

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde::Deserialize;
use tokio::time::Instant;

use super::catalog::{Catalog, Resource};
use crate::failure::Failure;
use crate::transport::{Call, JSON, Reply, Transport};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
/// Group versions asked at one time.
const PARALLEL: usize = 8;
/// A group that does not answer is given up after this time; the others must not wait for it.
const GROUP_DEADLINE: Duration = Duration::from_secs(5);

/// What the last answers were, so that the same need not be sent again.
#[derive(Debug, Default)]
pub(super) struct Etags {
    core: Option<String>,
    groups: Option<String>,
    core_document: Option<GroupList>,
    groups_document: Option<GroupList>,
    /// The server serves aggregated discovery.
    pub(super) aggregated: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct GroupList {
    items: Vec<Group>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Group {
    metadata: Named,
    versions: Vec<GroupVersion>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct GroupVersion {
    version: String,
    freshness: String,
    resources: Vec<Aggregated>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Aggregated {
    resource: String,
    response_kind: Option<ResponseKind>,
    scope: String,
    verbs: Vec<String>,
    subresources: Vec<Subresource>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ResponseKind {
    kind: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Subresource {
    subresource: String,
}

/// The whole catalogue; what does not answer is taken over from `known` as stale.
pub(super) async fn catalog(
    transport: &Transport,
    known: Option<&Catalog>,
    etags: &mut Etags,
    deadline: Instant,
) -> Result<Catalog, Failure> {
    let ask = |path: &'static str, etag: Option<&String>| {
        let mut call = Call::get(path).accept(AGGREGATED);
        call.if_none_match = etag.cloned();
        async move { transport.call(&call, deadline).await }
    };
    let (core, groups) = futures_util::future::join(
        ask("/api", etags.core.as_ref()),
        ask("/apis", etags.groups.as_ref()),
    )
    .await;
    let (core, groups) = (core?, groups?);
    let aggregated = take(&core, &mut etags.core, &mut etags.core_document)
        & take(&groups, &mut etags.groups, &mut etags.groups_document);
    etags.aggregated = aggregated;
    let documents = (etags.core_document.clone(), etags.groups_document.clone());
    if let (true, (Some(core), Some(groups))) = (aggregated, documents) {
        return Ok(from_aggregated(&core, &groups, known));
    }
    *etags = Etags::default();
    legacy(transport, known, &core, &groups, deadline).await
}

/// Takes in one document; false when it is not the aggregated form. A legacy list would read as
/// "no groups", so the content type decides.
fn take(reply: &Reply, etag: &mut Option<String>, document: &mut Option<GroupList>) -> bool {
    if reply.status == http::StatusCode::NOT_MODIFIED {
        return document.is_some();
    }
    let header = |name| {
        reply
            .headers
            .get(name)
            .and_then(|value: &http::HeaderValue| value.to_str().ok())
    };
    let content_type = header(http::header::CONTENT_TYPE).unwrap_or_default();
    let parsed = if content_type.contains("as=APIGroupDiscoveryList") {
        reply.json::<GroupList>().ok()
    } else {
        None
    };
    *etag = parsed
        .as_ref()
        .and_then(|_| header(http::header::ETAG))
        .map(str::to_owned);
    *document = parsed;
    document.is_some()
}

fn from_aggregated(core: &GroupList, groups: &GroupList, known: Option<&Catalog>) -> Catalog {
    let mut catalog = Catalog::default();
    for group in core.items.iter().chain(&groups.items) {
        let name = group.metadata.name.as_deref().unwrap_or_default();
        for version in &group.versions {
            let stale = version.freshness == "Stale";
            let resources: Vec<Resource> = version
                .resources
                .iter()
                .filter_map(|resource| aggregated(resource, stale))
                .collect();
            catalog.add(name, &version.version, &resources);
            if stale {
                catalog.keep_stale(known, name, &version.version);
                catalog.silent.insert(
                    (name.to_owned(), version.version.clone()),
                    "the API server calls its discovery stale".to_owned(),
                );
            }
        }
    }
    catalog
}

fn aggregated(resource: &Aggregated, stale: bool) -> Option<Resource> {
    // Without a kind only subresources are served.
    let kind = resource.response_kind.as_ref()?.kind.clone();
    if kind.is_empty() || resource.resource.is_empty() {
        return None;
    }
    Some(Resource {
        plural: resource.resource.clone(),
        kind,
        namespaced: resource.scope == "Namespaced",
        verbs: resource.verbs.clone(),
        has_status: resource
            .subresources
            .iter()
            .any(|sub| sub.subresource == "status"),
        stale,
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CoreVersions {
    versions: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LegacyGroups {
    groups: Vec<LegacyGroup>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LegacyGroup {
    name: String,
    versions: Vec<LegacyVersion>,
    preferred_version: LegacyVersion,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LegacyVersion {
    version: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LegacyResources {
    resources: Vec<LegacyResource>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LegacyResource {
    name: String,
    kind: String,
    namespaced: bool,
    verbs: Vec<String>,
}

async fn legacy(
    transport: &Transport,
    known: Option<&Catalog>,
    core: &Reply,
    groups: &Reply,
    deadline: Instant,
) -> Result<Catalog, Failure> {
    // Either answer may have come in the aggregated form, or as 304: ask for the plain one then.
    let core = plain(transport, core, "/api", deadline).await?;
    let groups = plain(transport, groups, "/apis", deadline).await?;
    let mut wanted: Vec<(String, String)> = Vec::new();
    let core = serde_json::from_slice::<CoreVersions>(&core).unwrap_or_default();
    wanted.extend(core.versions.into_iter().map(|v| (String::new(), v)));
    let list = serde_json::from_slice::<LegacyGroups>(&groups).unwrap_or_default();
    for group in list.groups {
        let preferred = group.preferred_version.version;
        let rest = group.versions.into_iter().map(|v| v.version);
        let ordered = std::iter::once(preferred.clone())
            .filter(|v| !v.is_empty())
            .chain(rest.filter(|v| *v != preferred));
        wanted.extend(ordered.map(|version| (group.name.clone(), version)));
    }
    let answers: Vec<_> = stream::iter(wanted)
        .map(|(group, version)| async move {
            let end = deadline.min(Instant::now() + GROUP_DEADLINE);
            let answer = group_version(transport, &group, &version, end).await;
            (group, version, answer)
        })
        .buffered(PARALLEL)
        .collect()
        .await;
    let mut catalog = Catalog::default();
    for (group, version, answer) in answers {
        match answer {
            Ok(Some(resources)) => catalog.add(&group, &version, &resources),
            Ok(None) => {}
            Err(failure) => {
                tracing::warn!("discovery of {group}/{version} failed: {}", failure.words());
                catalog.keep_stale(known, &group, &version);
                catalog.silent.insert((group, version), failure.words());
            }
        }
    }
    Ok(catalog)
}

async fn plain(
    transport: &Transport,
    reply: &Reply,
    path: &'static str,
    deadline: Instant,
) -> Result<bytes::Bytes, Failure> {
    let content_type = reply.headers.get(http::header::CONTENT_TYPE);
    let aggregated = content_type.is_some_and(|value| {
        String::from_utf8_lossy(value.as_bytes()).contains("APIGroupDiscoveryList")
    });
    if reply.status != http::StatusCode::NOT_MODIFIED && !aggregated {
        return Ok(reply.body.clone());
    }
    Ok(transport
        .call(&Call::get(path).accept(JSON), deadline)
        .await?
        .body)
}

/// The resources of one version of a group; None when it is not served.
pub(super) async fn group_version(
    transport: &Transport,
    group: &str,
    version: &str,
    deadline: Instant,
) -> Result<Option<Vec<Resource>>, Failure> {
    let path = if group.is_empty() {
        format!("/api/{version}")
    } else {
        format!("/apis/{group}/{version}")
    };
    let reply = match transport.call(&Call::get(path), deadline).await {
        Ok(reply) => reply,
        Err(Failure::Refused(refusal)) if refusal.code == 404 => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let list: LegacyResources = reply.json()?;
    Ok(Some(from_legacy(&list.resources)))
}

fn from_legacy(resources: &[LegacyResource]) -> Vec<Resource> {
    resources
        .iter()
        .filter(|resource| !resource.name.contains('/'))
        .map(|resource| {
            let status = format!("{}/status", resource.name);
            Resource {
                plural: resource.name.clone(),
                kind: resource.kind.clone(),
                namespaced: resource.namespaced,
                verbs: resource.verbs.clone(),
                has_status: resources.iter().any(|other| other.name == status),
                stale: false,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use tidegate_manifest::GroupKind;

    use super::*;

    #[test]
    fn the_aggregated_form() {
        let groups: GroupList = serde_json::from_value(serde_json::json!({"items": [
            {"metadata": {"name": "apps"}, "versions": [
                {"version": "v1", "freshness": "Current", "resources": [
                    {"resource": "deployments", "responseKind": {"group": "apps", "version": "v1", "kind": "Deployment"}, "scope": "Namespaced",
                     "verbs": ["get", "list", "watch", "delete"], "subresources": [{"subresource": "status"}]}]}]},
            {"metadata": {"name": "metrics.k8s.io"}, "versions": [{"version": "v1beta1", "freshness": "Stale", "resources": [
                    {"resource": "pods", "responseKind": null, "scope": "Namespaced", "verbs": []}]}]},
        ]}))
        .expect("reads");
        let catalog = from_aggregated(&GroupList::default(), &groups, None);
        let deployment = catalog
            .get(&GroupKind::new("apps", "Deployment"))
            .expect("served")
            .preferred();
        assert!(deployment.has_status && deployment.can_list && !deployment.stale);
        assert!(catalog.silent_group("metrics.k8s.io").is_some());
        assert!(catalog.silent_group("apps").is_none());
        assert_eq!(catalog.all().len(), 1);
    }

    #[test]
    fn the_legacy_form() {
        let list: LegacyResources = serde_json::from_value(serde_json::json!({"resources": [
            {"name": "jobs", "kind": "Job", "namespaced": true, "verbs": ["list"]},
            {"name": "jobs/status", "kind": "Job", "namespaced": true, "verbs": ["get"]},
        ]}))
        .expect("reads");
        let resources = from_legacy(&list.resources);
        assert_eq!(resources.len(), 1);
        assert!(resources[0].has_status && resources[0].namespaced);
    }
}
