//! The handler of every CloudFormation type that has none of its own, through Cloud Control.
