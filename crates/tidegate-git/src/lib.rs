//! The Git source: remotes, mirrors, revisions as Argo CD resolves them, and files of a commit without a checkout.
//!
//! Nothing here knows rendering, applications, or what the files mean. Neither the user's Git configuration nor hooks or filters of a
//! repository have any effect on mirrors. The API is blocking; see [`Mirrors`] for use from async code.

mod call;
mod error;
mod fetch;
mod history;
mod id;
mod local;
mod mirror;
mod options;
mod refs;
mod remote;
mod source;
mod store;
mod transport;
mod tree;
mod versions;

pub use call::MAX_CONCURRENT_CALLS;
pub use error::Error;
pub use fetch::MAX_REFS;
pub use history::{CommitInfo, MAX_LOG};
pub use id::{NotAnObjectId, ObjectId};
pub use local::{Description, LocalRepository, describe};
pub use mirror::{MAX_REMOTES, Mirror, Mirrors};
pub use options::{
    ClientCertificate, Credentials, DEFAULT_ATTEMPTS, DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_FETCH_TIMEOUT, DEFAULT_MAX_FETCHED_OBJECT_BYTES, DEFAULT_MAX_OBJECT_BYTES,
    DEFAULT_MAX_PACK_BYTES, DEFAULT_POLL_TIMEOUT, DEFAULT_STALL_TIMEOUT, FetchScope,
    PlainHttpCredentials, Proxy, RemoteOptions,
};
pub use refs::{MIN_ABBREVIATION, RefList, RemoteRef, Resolved};
pub use remote::{MAX_URL_BYTES, Remote};
pub use tree::{
    Entry, EntryKind, MAX_DEPTH, MAX_ENTRIES, MAX_PATH_BYTES, MAX_TOTAL_PATH_BYTES, Tree,
};

/// What fuzz targets need and nobody else: no part of the public interface.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::tree::names as tree_names;
}
