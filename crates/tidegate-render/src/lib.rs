//! The Renderer trait, source detection, recorded read-set and plain directories.
