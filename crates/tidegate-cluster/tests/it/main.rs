//! The cluster applier against an API server: the one of `TIDEGATE_TEST_KUBECONFIG` when it is set, the sandbox otherwise.

mod apply;
mod cache;
mod conformance;
mod delete;
mod discovery;
mod fixture;
mod scripted;
mod scripts;
mod target;
