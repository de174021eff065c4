//! From a path and a query to what is asked for. Pure; no reply is made here.

use percent_encoding::percent_decode_str;

/// A parsed query: the first value of a name counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let decode = |part: &str| {
            let spaced = part.replace('+', " ");
            percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        };
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (
                decode(name).trim_start_matches('?').to_owned(),
                decode(value),
            )
        });
        Self(pairs.collect())
    }

    /// The value of a parameter, empty when absent.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// Go's reading of a boolean parameter: anything but `0` and `false` (an empty value included) is true.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.has(name) && !["0", "false"].contains(&self.get(name).to_lowercase().as_str())
    }
}

/// A request on a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResourcePath {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespace: Option<String>,
    pub(crate) resource: String,
    pub(crate) name: Option<String>,
    pub(crate) subresource: String,
}

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Version,
    Health,
    CoreVersions,
    Groups,
    Group(String),
    GroupVersion(String, String),
    OpenApiV2,
    OpenApiV3Index,
    OpenApiV3(String),
    Resource(ResourcePath),
    Faults,
    Compact,
    Unknown,
}

impl Route {
    pub(crate) fn parse(path: &str) -> Self {
        let decoded: Vec<String> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect();
        let parts: Vec<&str> = decoded.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["version"] => Self::Version,
            ["healthz" | "readyz" | "livez", ..] => Self::Health,
            ["api"] => Self::CoreVersions,
            ["apis"] => Self::Groups,
            ["openapi", "v2"] | ["swagger-2.0.0.pb-v1"] => Self::OpenApiV2,
            ["openapi", "v3"] => Self::OpenApiV3Index,
            ["openapi", "v3", rest @ ..] => Self::OpenApiV3(rest.join("/")),
            ["sandbox", "faults"] => Self::Faults,
            ["sandbox", "compact"] => Self::Compact,
            ["api", version] => Self::GroupVersion(String::new(), (*version).to_owned()),
            ["api", version, rest @ ..] => resource("", version, rest),
            ["apis", group] => Self::Group((*group).to_owned()),
            ["apis", group, version] => {
                Self::GroupVersion((*group).to_owned(), (*version).to_owned())
            }
            ["apis", group, version, rest @ ..] => resource(group, version, rest),
            _ => Self::Unknown,
        }
    }
}

fn resource(group: &str, version: &str, rest: &[&str]) -> Route {
    let core = group.is_empty();
    let (namespace, rest) = match rest {
        // The subresources of a namespace itself.
        ["namespaces", _, "status" | "finalize"] if core => (None, rest),
        ["namespaces", namespace, tail @ ..] if !tail.is_empty() => {
            (Some((*namespace).to_owned()), tail)
        }
        _ => (None, rest),
    };
    let (resource, name, subresource) = match rest {
        [resource] => (*resource, None, String::new()),
        [resource, name] => (*resource, Some((*name).to_owned()), String::new()),
        [resource, name, tail @ ..] => (*resource, Some((*name).to_owned()), tail.join("/")),
        [] => return Route::Unknown,
    };
    Route::Resource(ResourcePath {
        group: group.to_owned(),
        version: version.to_owned(),
        namespace,
        resource: resource.to_owned(),
        name,
        subresource,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_resources() {
        let check =
            |path: &str, namespace: Option<&str>, resource: &str, name: Option<&str>, sub: &str| {
                let Route::Resource(got) = Route::parse(path) else {
                    panic!("{path}")
                };
                let have = (
                    got.namespace.as_deref(),
                    got.resource.as_str(),
                    got.name.as_deref(),
                    got.subresource.as_str(),
                );
                assert_eq!(have, (namespace, resource, name, sub), "{path}");
            };
        check("/api/v1/pods", None, "pods", None, "");
        check("/api/v1/namespaces", None, "namespaces", None, "");
        check("/api/v1/namespaces/a", None, "namespaces", Some("a"), "");
        check(
            "/api/v1/namespaces/a/status",
            None,
            "namespaces",
            Some("a"),
            "status",
        );
        check("/api/v1/namespaces/a/pods/", Some("a"), "pods", None, "");
        check(
            "/apis/apps/v1/namespaces/a/deployments/d/scale",
            Some("a"),
            "deployments",
            Some("d"),
            "scale",
        );
        check("/apis/g/v1/widgets/a%20b", None, "widgets", Some("a b"), "");
        assert_eq!(Route::parse("/nope"), Route::Unknown);
        assert_eq!(
            Route::parse("/openapi/v3/apis/apps/v1"),
            Route::OpenApiV3("apis/apps/v1".to_owned())
        );
    }

    #[test]
    fn queries_may_begin_with_noise() {
        let query = Query::parse("?&watch=true&labelSelector=a%3D1%2Cb+in+(2)&allowWatchBookmarks");
        assert!(query.flag("watch") && query.flag("allowWatchBookmarks") && !query.flag("force"));
        assert_eq!(query.get("labelSelector"), "a=1,b in (2)");
    }
}
