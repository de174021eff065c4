//! Kustomize: a file tree in, the objects and the bytes of `kustomize build` out.
//!
//! Must not know: Git, network, processes; what needs them comes in through traits.
