//! YAML and JSON exactly as Kubernetes' Go tools read and write them.
//!
//! Lives here: the scanner and parser by libyaml's rules, the two scalar resolvers, the compact
//! [`Node`] with byte spans, the go-yaml emitter, canonical JSON, serde in and out. Must not know:
//! Kubernetes, files, async.

mod canonical;
mod compose;
mod emit;
mod error;
mod first;
mod node;
mod number;
mod options;
mod parser;
mod resolve;
mod scanner;
mod serde;
mod source;
mod stream;
mod timestamp;
mod written;

pub use self::serde::{from_slice, from_str, serialize};
pub use canonical::canonical;
pub use emit::{stream_to_string, to_string};
pub use error::{YamlError, YamlErrorKind, YamlErrors};
pub use first::parse_first;
pub use node::{Key, Node, Span, Value};
pub use options::{DuplicateKeys, Limits, LocalTags, ParseOptions, Resolver};
pub use resolve::{Scalar as ResolvedScalar, float_number, resolve_kyaml};
pub use scanner::Style;
pub use stream::{Document, ParsedStream, parse_one, parse_stream};
pub use written::{Build, WrittenScalar, read_first};
