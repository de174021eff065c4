//! Conflicts between managers, in the API server's words.

use std::fmt;

use super::entry::ManagerKey;
use crate::fieldset::FieldPath;

/// One field that another manager owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub manager: ManagerKey,
    pub path: FieldPath,
}

impl Conflict {
    /// The message of the cause: `conflict with "x" using v1`.
    pub fn cause(&self) -> String {
        format!("conflict with {}", self.manager.describe())
    }
}

/// All conflicts of one apply, by manager. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflicts {
    pub(super) items: Vec<Conflict>,
}

impl Conflicts {
    pub(super) fn new(mut items: Vec<Conflict>) -> Self {
        items.sort_by_cached_key(|c| c.manager.identifier());
        Self { items }
    }

    /// The conflicts, grouped by manager.
    pub fn iter(&self) -> impl Iterator<Item = &Conflict> {
        self.items.iter()
    }
}

impl std::error::Error for Conflicts {}

impl fmt::Display for Conflicts {
    /// The Status message: one line for one conflict, a list by manager for several.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [one] = self.items.as_slice() {
            return write!(
                f,
                "Apply failed with 1 conflict: {}: {}",
                one.cause(),
                one.path
            );
        }
        write!(f, "Apply failed with {} conflicts: ", self.items.len())?;
        let mut last: Option<&ManagerKey> = None;
        for (at, conflict) in self.items.iter().enumerate() {
            if last != Some(&conflict.manager) {
                if at > 0 {
                    writeln!(f)?;
                }
                write!(f, "conflicts with {}:", conflict.manager.describe())?;
                last = Some(&conflict.manager);
            }
            write!(f, "\n- {}", conflict.path)?;
        }
        Ok(())
    }
}
