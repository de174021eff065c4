//! Health per kind and its aggregation.
