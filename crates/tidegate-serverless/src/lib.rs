//! SAM templates, `serverless.yml` and CloudFormation: a file tree in, CloudFormation resources out.
//!
//! Everything becomes one form: a CloudFormation template, evaluated as far as it says itself what it
//! holds. Must not know: Git, network, AWS clients.

pub mod cloudformation;
mod handler;
pub mod package;
mod packaging;
pub mod physical;
mod reader;
pub mod sam;
mod scalars;
pub mod service;
mod template;

pub use cloudformation::{Evaluated, evaluate};
pub use package::{ArchiveSpec, archive};
pub use packaging::{Packed, pack_local};
pub use reader::{TemplateReader, UNLOADABLE_HANDLER};
pub use template::Template;
