//! The embedded targets: one Kubernetes API server with its controllers, on loopback.
