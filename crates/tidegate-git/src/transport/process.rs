//! Remotes behind a child process: `ssh` for SSH, `git upload-pack` for paths.
//!
//! The children see a clean Git environment, can ask nobody anything, and die with the call.

use std::{
    io::{self, Read, Write},
    path::Path,
    process::{Child, ChildStderr, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use gix::protocol::transport::{
    Protocol,
    client::git::{ConnectMode, blocking_io::Connection as GitConnection},
};
use tempfile::NamedTempFile;

use super::{Access, Connection};
use crate::{
    Credentials, Error,
    call::{Call, Watched, lock},
};

/// How much of a child's complaints is kept.
const MAX_COMPLAINT_BYTES: u64 = 16 << 10;
/// How long a failed child may take to finish its last words.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Variables that would lead git to another repository or configuration.
const GIT_VARIABLES: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_CEILING_DIRECTORIES",
    "GIT_EXEC_PATH",
    "GIT_TRACE",
    "GIT_TRACE_PACKET",
    "GIT_SHALLOW_FILE",
    "GIT_REPLACE_REF_BASE",
    "GIT_GRAFT_FILE",
    "GIT_PREFIX",
];

/// How the remote program learns that protocol version 2 is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SshMode {
    /// By the environment variable `GIT_PROTOCOL`, which most servers let in.
    SendEnv,
    /// In the command itself, for servers that drop the variable but run a shell.
    Inline,
}

/// Where ssh goes.
pub(super) struct SshTarget<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) host: &'a str,
    pub(super) port: Option<u16>,
    pub(super) path: &'a str,
}

/// What a child wrote to its standard error.
pub(crate) struct Complaints {
    text: Arc<Mutex<Vec<u8>>>,
    done: mpsc::Receiver<()>,
}

impl Complaints {
    fn listen(stderr: ChildStderr) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let (sender, done) = mpsc::sync_channel(1);
        let kept = Arc::clone(&text);
        // The thread ends with the child, which its call owns; its pipe has to be drained or the child would block.
        std::thread::spawn(move || {
            let mut stderr = stderr;
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut buffer) {
                let mut kept = lock(&kept);
                let room = (MAX_COMPLAINT_BYTES as usize).saturating_sub(kept.len());
                kept.extend_from_slice(&buffer[..count.min(room)]);
            }
            let _ = sender.send(());
        });
        Self { text, done }
    }

    /// The text, once the child has ended or a moment has passed.
    pub(crate) fn wait(&self) -> String {
        let _ = self.done.recv_timeout(LAST_WORDS);
        String::from_utf8_lossy(&lock(&self.text)).trim().to_owned()
    }
}

/// A child that is killed, with its process group, and reaped when this is dropped.
struct Owned {
    child: Arc<Mutex<Option<Child>>>,
    /// Kept for as long as the child may read them.
    _files: Vec<NamedTempFile>,
}

fn kill(child: &Mutex<Option<Child>>) {
    if let Some(mut child) = lock(child).take() {
        #[cfg(unix)]
        if let Some(group) = i32::try_from(child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            // An error means that the group is gone already.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        kill(&self.child);
    }
}

struct Input {
    /// Dropped first, so that a well-behaved child ends by itself.
    stdin: Option<ChildStdin>,
    _owned: Owned,
}

impl Write for Input {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stdin
            .as_mut()
            .ok_or(io::ErrorKind::BrokenPipe)?
            .write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdin
            .as_mut()
            .ok_or(io::ErrorKind::BrokenPipe)?
            .flush()
    }
}

fn spawn(
    mut command: Command,
    program: &Path,
    needed_for: &str,
    path: &str,
    files: Vec<NamedTempFile>,
    call: &Arc<Call>,
) -> Result<Connection, Error> {
    for variable in GIT_VARIABLES {
        command.env_remove(variable);
    }
    command
        .env("LC_ALL", "C")
        .env("GIT_PROTOCOL", "version=2")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::Unsupported {
            remote: call.remote.clone(),
            reason: format!(
                "the program `{}` is needed for {needed_for} and was not found; install it",
                program.display()
            ),
        },
        _ => Error::Io {
            attempted: format!("starting `{}`", program.display()),
            source: error,
        },
    })?;
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(Error::io(format!("starting `{}`", program.display()))(
            io::ErrorKind::BrokenPipe.into(),
        ));
    };
    let complaints = Complaints::listen(stderr);
    let child = Arc::new(Mutex::new(Some(child)));
    let for_kill = Arc::clone(&child);
    call.on_cancel(move || kill(&for_kill));
    let reader = Watched::new(stdout, Arc::clone(call));
    let writer = Input {
        stdin: Some(stdin),
        _owned: Owned {
            child,
            _files: files,
        },
    };
    let transport = GitConnection::new(
        reader,
        writer,
        Protocol::V2,
        path,
        None::<(&str, _)>,
        ConnectMode::Process,
        false,
    );
    Ok(Connection {
        transport: Box::new(transport),
        complaints: Some(complaints),
    })
}

/// `git upload-pack` on a directory of this machine.
pub(super) fn local(access: &Access, path: &Path, call: &Arc<Call>) -> Result<Connection, Error> {
    let bare = path.with_file_name(format!(
        "{}.git",
        path.file_name().unwrap_or_default().display()
    ));
    if !path.exists() && !bare.exists() {
        return Err(Error::NotFound {
            remote: call.remote.clone(),
            detail: "no such directory".to_owned(),
        });
    }
    let shown = path.display().to_string();
    let program = &access.options.git_program;
    let mut command = Command::new(program);
    command
        // Somebody has named this directory as a remote, so its owner does not matter: upload-pack runs nothing from its configuration.
        .args([
            "-c",
            &format!("safe.directory={shown}"),
            "-c",
            &format!("safe.directory={shown}/.git"),
        ])
        .args([
            "-c",
            "uploadpack.allowAnySHA1InWant=true",
            "-c",
            "protocol.version=2",
        ])
        .arg("upload-pack")
        .arg(path)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", null_device());
    spawn(
        command,
        program,
        "file remotes and paths",
        &shown,
        Vec::new(),
        call,
    )
}

/// `ssh host git-upload-pack 'path'`.
pub(super) fn ssh(
    access: &Access,
    target: &SshTarget<'_>,
    mode: SshMode,
    call: &Arc<Call>,
) -> Result<Connection, Error> {
    let options = &access.options;
    let program = &options.ssh_program;
    let mut command = Command::new(program);
    let mut files = Vec::new();
    let mut option = |name: &str, value: &str| {
        command.arg("-o").arg(format!("{name}={value}"));
    };
    option("BatchMode", "yes");
    option("SendEnv", "GIT_PROTOCOL");
    option(
        "ConnectTimeout",
        &options.connect_timeout.as_secs().max(1).to_string(),
    );
    option("ServerAliveInterval", "15");
    option("ServerAliveCountMax", "3");
    if options.insecure_skip_verify {
        option("StrictHostKeyChecking", "no");
        option("UserKnownHostsFile", null_device());
    } else if let Some(known_hosts) = &options.known_hosts {
        let file = secret_file(known_hosts)?;
        option("StrictHostKeyChecking", "yes");
        option("UserKnownHostsFile", &quoted(file.path()));
        option("GlobalKnownHostsFile", null_device());
        files.push(file);
    }
    match &access.credentials {
        Credentials::SshKey { private_key } => {
            let file = secret_file(private_key)?;
            option("IdentitiesOnly", "yes");
            option("IdentityAgent", "none");
            option("IdentityFile", &quoted(file.path()));
            option("PreferredAuthentications", "publickey");
            files.push(file);
            // Nothing of the user's own configuration may add keys or hosts.
            command.args(["-F", null_device()]);
        }
        Credentials::None => {}
        Credentials::Basic { .. } | Credentials::Bearer { .. } => {
            return Err(Error::Unsupported {
                remote: call.remote.clone(),
                reason: "ssh needs an SSH key, but a password or token is configured; use sshPrivateKey or an https address"
                    .to_owned(),
            });
        }
    }
    if let Some(port) = target.port {
        command.args(["-p", &port.to_string()]);
    }
    let place = match target.user {
        Some(user) => format!("{user}@{}", target.host),
        None => target.host.to_owned(),
    };
    let upload_pack = format!("git-upload-pack '{}'", target.path.replace('\'', "'\\''"));
    let remote_command = match mode {
        SshMode::SendEnv => upload_pack,
        SshMode::Inline => format!("GIT_PROTOCOL=version=2 {upload_pack}"),
    };
    command.arg("--").arg(place).arg(remote_command);
    spawn(command, program, "ssh remotes", target.path, files, call)
}

fn null_device() -> &'static str {
    if cfg!(windows) { "NUL" } else { "/dev/null" }
}

/// ssh splits the value of an option at spaces unless it is quoted.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}

/// A file that only its owner reads, gone when dropped.
fn secret_file(text: &str) -> Result<NamedTempFile, Error> {
    let write = || {
        let mut file = tempfile::Builder::new().prefix("tidegate-").tempfile()?;
        file.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            // OpenSSH does not read a key whose last line is not ended.
            file.write_all(b"\n")?;
        }
        file.flush()?;
        Ok(file)
    };
    write().map_err(Error::io("writing a temporary file for ssh"))
}
