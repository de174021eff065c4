//! The task: starts, follows, comes to rest, ends.

use crate::lab::Lab;
