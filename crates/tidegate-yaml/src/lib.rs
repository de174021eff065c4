//! YAML and JSON exactly as Kubernetes' Go tools read and write them.
