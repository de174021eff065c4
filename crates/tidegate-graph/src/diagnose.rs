//! What is wrong with a graph, in words for the person who wrote the manifests.
