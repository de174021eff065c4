//! Operators.

use crate::lab::Lab;
