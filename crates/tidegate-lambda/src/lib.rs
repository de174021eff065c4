//! Handlers of Lambda's resource types and of the roles that functions run under.
