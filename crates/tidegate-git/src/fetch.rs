//! The Git protocol on an open connection: listing refs and receiving a pack.
//!
//! Protocol version 2 is asked for; servers that only know the older ones are served without negotiation, because gix may hang there.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind},
    ops::DerefMut,
    path::Path,
    sync::Arc,
};

use gix::{
    negotiate::Algorithm,
    odb::{pack, store::RefreshMode},
    progress::Discard,
    protocol::{
        self, Handshake, LsRefsCommand,
        fetch::{Arguments, Negotiate, RefMap, Shallow, Tags, negotiate, refmap},
        handshake::Ref,
        ls_refs::RefPrefixes,
        transport::{Protocol, Service},
    },
};

use crate::{
    Error, ObjectId, RefList, RemoteRef,
    call::Call,
    transport::{self, Access, Connection, SshMode},
};

/// Refs that are kept of one remote.
pub const MAX_REFS: usize = 1_000_000;

/// What is listed by default; everything else is asked for by name.
pub(crate) const NAMESPACES: &[&str] = &["HEAD", "refs/heads/", "refs/tags/"];

type GixResult<T> = gix::error::Result<T>;

fn agent() -> protocol::command::Feature {
    (
        "agent",
        Some(concat!("git/tidegate-", env!("CARGO_PKG_VERSION")).to_owned()),
    )
}

/// An open conversation with a remote.
pub(crate) struct Session {
    connection: Connection,
    handshake: Handshake,
    call: Arc<Call>,
}

impl Session {
    /// Connects and shakes hands. `ssh_inline` is remembered by the caller once a server needed it.
    pub(crate) fn open(access: &Access, ssh: SshMode, call: &Arc<Call>) -> Result<Self, Error> {
        let mut connection = transport::connect(access, ssh, call)?;
        let result = protocol::handshake(
            &mut connection.transport,
            Service::UploadPack,
            |_| Ok(None),
            Vec::new(),
            &mut Discard,
        );
        let handshake = result.map_err(|error| explain(&error, call, &connection))?;
        let format = handshake
            .capabilities
            .capability("object-format")
            .and_then(|format| format.value().map(ToString::to_string));
        if format.as_deref().is_some_and(|format| format != "sha1") {
            return Err(Error::Unsupported {
                remote: call.remote.clone(),
                reason: format!(
                    "the repository names its objects by {}; only SHA-1 repositories are supported",
                    format.unwrap_or_default()
                ),
            });
        }
        Ok(Self {
            connection,
            handshake,
            call: Arc::clone(call),
        })
    }

    pub(crate) fn is_version_2(&self) -> bool {
        self.handshake.server_protocol_version == Protocol::V2
    }

    /// Lists the refs whose names begin with one of `prefixes`; older servers list all there are.
    pub(crate) fn list(&mut self, prefixes: &[&str]) -> Result<RefList, Error> {
        let advertised = match self.handshake.refs.take() {
            Some(refs) => refs,
            None => {
                let mut wanted = RefPrefixes::new();
                wanted.extend(prefixes.iter().map(|prefix| (*prefix).into()));
                LsRefsCommand::new(Some(wanted), &self.handshake.capabilities, agent())
                    .invoke_blocking(&mut self.connection.transport, &mut Discard, false)
                    .map_err(|error| explain(&error, &self.call, &self.connection))?
            }
        };
        if advertised.len() > MAX_REFS {
            return Err(Error::Limit {
                remote: self.call.remote.clone(),
                what: "the list of refs".into(),
                limit: format!("{MAX_REFS} refs"),
            });
        }
        Ok(RefList {
            refs: advertised.into_iter().filter_map(converted).collect(),
        })
    }

    /// Receives what `wants` need into the repository's pack directory. False when nothing was missing.
    pub(crate) fn receive(
        &mut self,
        repository: &gix::Repository,
        wants: &[ObjectId],
        max_object_bytes: u64,
    ) -> Result<bool, Error> {
        let algorithm = if self.is_version_2() {
            Algorithm::Consecutive
        } else {
            Algorithm::Noop
        };
        let graph_repository = without_refresh(repository);
        let mut graph = graph_repository.revision_graph(None);
        let mut negotiation = Negotiation {
            repository: &graph_repository,
            graph: &mut graph,
            negotiator: algorithm.into_negotiator(),
            wants: ref_map(wants),
        };
        let options = protocol::fetch::Options {
            shallow_file: repository
                .shallow_file()
                .map_err(|error| explain_local(&error, &self.call))?,
            shallow: &Shallow::NoChange,
            tags: Tags::None,
            reject_shallow_remote: false,
        };
        let context = protocol::fetch::Context {
            handshake: &mut self.handshake,
            transport: &mut self.connection.transport,
            user_agent: agent(),
            trace_packetlines: false,
        };
        let packs = repository.objects.store_ref().path().join("pack");
        let call = Arc::clone(&self.call);
        let result = protocol::fetch(
            &mut negotiation,
            |reader, progress, interrupt| {
                write_pack(
                    repository,
                    &packs,
                    max_object_bytes,
                    reader,
                    progress,
                    interrupt,
                )
            },
            Discard,
            &call.cancelled,
            context,
            options,
        );
        match result {
            Ok(outcome) => Ok(outcome.is_some()),
            Err(error) => Err(explain(&error, &self.call, &self.connection)),
        }
    }

    /// Says goodbye, so that the server does not log a broken connection.
    pub(crate) fn close(mut self) {
        // The work is done; a server that is gone already changes nothing.
        let _ = protocol::indicate_end_of_interaction(&mut self.connection.transport, false);
    }
}

fn without_refresh(repository: &gix::Repository) -> gix::Repository {
    let mut copy = repository.clone();
    // Many lookups are for objects that are not here; each would look for new packs on disk.
    copy.objects.refresh = RefreshMode::Never;
    copy.objects.unset_object_cache();
    copy
}

fn write_pack(
    repository: &gix::Repository,
    directory: &Path,
    max_object_bytes: u64,
    reader: &mut dyn io::BufRead,
    progress: &mut dyn gix::DynNestedProgress,
    interrupt: &std::sync::atomic::AtomicBool,
) -> GixResult<bool> {
    let options = pack::bundle::write::Options {
        thread_limit: None,
        iteration_mode: pack::data::input::Mode::Verify,
        index_version: pack::index::Version::default(),
        alloc_limit_bytes: Some(usize::try_from(max_object_bytes).unwrap_or(usize::MAX)),
        ..Default::default()
    };
    let written = pack::Bundle::write_to_directory(
        reader,
        Some(directory),
        progress,
        interrupt,
        Some(Box::new(repository.objects.clone())),
        repository.object_hash(),
        options,
    )?;
    if let Some(keep) = written.keep_path {
        // It guards against a garbage collection that never runs here.
        let _ = std::fs::remove_file(keep);
    }
    Ok(true)
}

fn converted(advertised: Ref) -> Option<(String, RemoteRef)> {
    let (name, target, peeled, symbolic) = match advertised {
        Ref::Peeled {
            full_ref_name,
            tag,
            object,
        } => (full_ref_name, tag, object, None),
        Ref::Direct {
            full_ref_name,
            object,
        } => (full_ref_name, object, object, None),
        Ref::Symbolic {
            full_ref_name,
            target,
            tag,
            object,
        } => (
            full_ref_name,
            tag.unwrap_or(object),
            object,
            Some(target.to_string()),
        ),
        Ref::Unborn { .. } => return None,
    };
    // A name that is not UTF-8 cannot be written into a manifest, so nobody can ask for it.
    let name = String::from_utf8(name.into()).ok()?;
    Some((
        name,
        RemoteRef {
            target: ObjectId(target),
            peeled: ObjectId(peeled),
            symbolic,
        },
    ))
}

fn ref_map(wants: &[ObjectId]) -> RefMap {
    let mapping = |id: &ObjectId| refmap::Mapping {
        remote: refmap::Source::ObjectId(id.0),
        local: None,
        spec_index: refmap::SpecIndex::ExplicitInRemote(0),
    };
    RefMap {
        mappings: wants.iter().map(mapping).collect(),
        ..Default::default()
    }
}

struct Negotiation<'a, 'b, 'c> {
    repository: &'a gix::Repository,
    graph: &'a mut gix::negotiate::Graph<'b, 'c>,
    negotiator: Box<dyn gix::negotiate::Negotiator>,
    wants: RefMap,
}

impl Negotiate for Negotiation<'_, '_, '_> {
    fn mark_complete_and_common_ref(&mut self) -> GixResult<negotiate::Action> {
        negotiate::mark_complete_and_common_ref(
            &self.repository.objects,
            &self.repository.refs,
            || Ok(std::iter::empty::<(gix::refs::file::Store, gix::OdbHandle)>()),
            self.negotiator.deref_mut(),
            self.graph,
            &self.wants,
            &Shallow::NoChange,
            |_| false,
        )
    }

    fn add_wants(&mut self, arguments: &mut Arguments, known: &[bool]) -> bool {
        negotiate::add_wants(
            &self.repository.objects,
            arguments,
            &self.wants,
            known,
            &Shallow::NoChange,
            |_| false,
        )
    }

    fn one_round(
        &mut self,
        state: &mut negotiate::one_round::State,
        arguments: &mut Arguments,
        previous: Option<&protocol::fetch::Response>,
    ) -> GixResult<(negotiate::Round, bool)> {
        negotiate::one_round(
            self.negotiator.deref_mut(),
            self.graph,
            state,
            arguments,
            previous,
        )
    }
}

/// All that an error of gix says, in one line.
pub(crate) fn flat(error: &gix::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.iter_errors() {
        let text = cause.to_string().replace('\n', " ").trim().to_owned();
        if !text.is_empty() && !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

fn explain_local(error: &gix::Error, call: &Call) -> Error {
    Error::Corrupt {
        remote: call.remote.clone(),
        detail: flat(error),
    }
}

fn explain(error: &gix::Error, call: &Call, connection: &Connection) -> Error {
    if let Some(failure) = call.take_failure() {
        return failure;
    }
    if call.is_cancelled() || call.remaining().is_zero() {
        return call.timeout_error();
    }
    let complaints = connection
        .complaints
        .as_ref()
        .map(transport_words)
        .unwrap_or_default();
    let detail = flat(error);
    let broken = error
        .iter_errors()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .map(io::Error::kind)
        .any(|kind| {
            matches!(
                kind,
                ErrorKind::UnexpectedEof
                    | ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::BrokenPipe
                    | ErrorKind::TimedOut
                    | ErrorKind::WouldBlock
            )
        });
    classify(call, &detail, &complaints, broken)
}

fn transport_words(complaints: &transport::Complaints) -> String {
    // The last line is what went wrong; the ones before are banners and warnings.
    let text = complaints.wait();
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(str::trim)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Signs in what ssh, git and servers say, and the reaction that each asks for.
const SIGNS: &[(&str, Reaction)] = &[
    ("host key verification failed", Reaction::Untrusted),
    (
        "remote host identification has changed",
        Reaction::Untrusted,
    ),
    ("permission denied", Reaction::Authentication),
    ("authentication failed", Reaction::Authentication),
    ("load key", Reaction::Authentication),
    ("too many authentication failures", Reaction::Authentication),
    ("could not resolve hostname", Reaction::Unreachable),
    ("connection refused", Reaction::Unreachable),
    ("connection timed out", Reaction::Unreachable),
    ("connection reset", Reaction::Unreachable),
    ("connection closed by", Reaction::Unreachable),
    ("operation timed out", Reaction::Unreachable),
    ("no route to host", Reaction::Unreachable),
    ("network is unreachable", Reaction::Unreachable),
    ("kex_exchange_identification", Reaction::Unreachable),
    (
        "access denied or repository not exported",
        Reaction::NotFound,
    ),
    ("does not appear to be a git repository", Reaction::NotFound),
    ("repository not found", Reaction::NotFound),
    ("project not found", Reaction::NotFound),
    ("no such repository", Reaction::NotFound),
    ("not our ref", Reaction::UnknownObject),
    ("unadvertised object", Reaction::UnknownObject),
    ("allocation limit", Reaction::Limit),
    ("too large to fit in memory", Reaction::Limit),
];

#[derive(Clone, Copy)]
enum Reaction {
    Untrusted,
    Authentication,
    Unreachable,
    NotFound,
    UnknownObject,
    Limit,
}

fn classify(call: &Call, detail: &str, complaints: &str, broken: bool) -> Error {
    let remote = call.remote.clone();
    let said = if complaints.is_empty() {
        detail.to_owned()
    } else {
        complaints.to_owned()
    };
    let lower = format!("{complaints} {detail}").to_lowercase();
    let reaction = SIGNS
        .iter()
        .find(|(sign, _)| lower.contains(sign))
        .map(|(_, reaction)| *reaction);
    match reaction {
        Some(Reaction::Untrusted) => Error::UntrustedHost {
            remote,
            detail: said,
        },
        Some(Reaction::Authentication) => Error::AuthenticationRequired {
            remote,
            detail: said,
        },
        Some(Reaction::Unreachable) => Error::Unreachable {
            remote,
            detail: said,
        },
        Some(Reaction::NotFound) => Error::NotFound {
            remote,
            detail: said,
        },
        Some(Reaction::UnknownObject) => Error::UnknownRevision {
            remote,
            revision: String::new(),
            did_you_mean: Vec::new(),
        },
        Some(Reaction::Limit) => Error::Limit {
            remote,
            what: "an object in the history".into(),
            limit: "max_fetched_object_bytes".into(),
        },
        // A child that said why it ended is believed more than the broken pipe it left.
        None if broken && complaints.is_empty() => Error::Unreachable {
            remote,
            detail: said,
        },
        None => Error::Protocol {
            remote,
            attempted: call.attempted,
            detail: said,
        },
    }
}

/// The distinct tips of the refs that a mirror follows.
pub(crate) fn tips(refs: &RefList) -> BTreeSet<ObjectId> {
    let followed = |name: &str| {
        name == "HEAD" || name.starts_with("refs/heads/") || name.starts_with("refs/tags/")
    };
    refs.iter()
        .filter(|(name, _)| followed(name))
        .map(|(_, target)| target.target)
        .collect()
}
