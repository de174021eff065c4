//! Journal, inventory and history of syncs, embedded in one file.
