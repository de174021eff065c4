//! The dependency graph of a sync: phases, waves, inferred and declared edges, cycles, critical path, pictures.
