//! The Kubernetes applier: server-side apply, discovery, watch cache, many clusters.
