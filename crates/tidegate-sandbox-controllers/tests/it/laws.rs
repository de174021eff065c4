//! What must hold whatever happens.

use crate::lab::Lab;
