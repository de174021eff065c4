//! Manifest modelling: objects, keys, origins, sync annotations, Argo CD document types, settings.
