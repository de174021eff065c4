//! The embedded Kubernetes API server of the sandbox.
