//! Repositories built with the git program, mirrors of them, the git daemon, and a stand-in for ssh.

use std::{
    fs,
    io::Write,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tempfile::TempDir;
use tidegate_git::{Credentials, Mirror, Mirrors, ObjectId, Proxy, Remote, RemoteOptions};

/// True when git is here; says so when it is not, and the test does nothing.
pub(crate) fn git_is_here(test: &str) -> bool {
    let here = Command::new("git")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    if !here {
        eprintln!("SKIPPED {test}: the git program is not installed");
    }
    here
}

/// A repository under construction.
pub(crate) struct Repository {
    pub(crate) path: PathBuf,
    clock: AtomicUsize,
    _directory: Option<TempDir>,
}

impl Repository {
    /// A repository with a working tree and the branch `main`, without a commit.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("app");
        fs::create_dir(&path).expect("a directory");
        let repository = Self {
            path,
            clock: AtomicUsize::new(0),
            _directory: Some(directory),
        };
        repository.git(&["init", "-q", "-b", "main"]);
        repository
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        let date = format!(
            "{} +0000",
            1_700_000_000 + self.clock.fetch_add(60, Ordering::Relaxed)
        );
        command
            .arg("-C")
            .arg(&self.path)
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "Ann Author")
            .env("GIT_AUTHOR_EMAIL", "ann@example.com")
            .env("GIT_COMMITTER_NAME", "Carl Committer")
            .env("GIT_COMMITTER_EMAIL", "carl@example.com")
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_DATE", &date);
        command
    }

    pub(crate) fn try_git(&self, arguments: &[&str]) -> Output {
        self.command(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("git runs")
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = self.try_git(arguments);
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Runs git with something on its standard input.
    pub(crate) fn pipe(&self, arguments: &[&str], input: &[u8]) -> String {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("git runs");
        child
            .stdin
            .take()
            .expect("piped")
            .write_all(input)
            .expect("git reads");
        let output = child.wait_with_output().expect("git ends");
        assert!(output.status.success(), "git {arguments:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, text).expect("a file");
    }

    /// Writes files, commits everything, and returns the commit.
    pub(crate) fn commit(&self, files: &[(&str, &str)]) -> ObjectId {
        for (path, text) in files {
            self.write(path, text);
        }
        self.git(&["add", "-A"]);
        self.git(&[
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            &format!("Change {} files", files.len()),
        ]);
        self.head()
    }

    pub(crate) fn head(&self) -> ObjectId {
        self.id("HEAD")
    }

    pub(crate) fn id(&self, revision: &str) -> ObjectId {
        self.git(&["rev-parse", "--verify", revision])
            .parse()
            .expect("a name")
    }

    /// A commit of a tree that may be invalid, put on `main`.
    pub(crate) fn commit_tree(&self, tree: &str) -> ObjectId {
        let commit = self.git(&["commit-tree", "-m", "hostile", tree]);
        self.git(&["update-ref", "refs/heads/main", &commit]);
        commit.parse().expect("a name")
    }

    /// Stores a tree object as it is given: `mode name\0id`, unchecked.
    pub(crate) fn raw_tree(&self, entries: &[(&str, &[u8], &str)]) -> String {
        let mut data = Vec::new();
        for (mode, name, id) in entries {
            data.extend_from_slice(mode.as_bytes());
            data.push(b' ');
            data.extend_from_slice(name);
            data.push(0);
            data.extend(
                (0..40)
                    .step_by(2)
                    .map(|at| u8::from_str_radix(&id[at..at + 2], 16).expect("hex")),
            );
        }
        self.pipe(
            &["hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
            &data,
        )
    }

    pub(crate) fn blob(&self, data: &[u8]) -> String {
        self.pipe(&["hash-object", "-w", "--stdin"], data)
    }
}

/// Options whose deadlines no healthy test comes near.
pub(crate) fn options() -> RemoteOptions {
    let mut options = RemoteOptions::default();
    options.proxy = Proxy::Direct;
    options
}

/// A mirror in a directory of its own.
pub(crate) struct Fixture {
    pub(crate) mirrors: Mirrors,
    pub(crate) directory: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self {
            mirrors: Mirrors::new(directory.path().join("mirrors")).expect("a directory"),
            directory,
        }
    }

    pub(crate) fn open(&self, url: &str) -> Mirror {
        self.open_with(url, Credentials::None, options())
    }

    pub(crate) fn open_with(
        &self,
        url: &str,
        credentials: Credentials,
        options: RemoteOptions,
    ) -> Mirror {
        self.mirrors
            .open(Remote::parse(url).expect(url), credentials, options)
    }

    pub(crate) fn of(&self, repository: &Repository) -> Mirror {
        self.open(repository.path.to_str().expect("UTF-8"))
    }

    /// The one mirror on disk.
    pub(crate) fn on_disk(&self) -> PathBuf {
        let entries = fs::read_dir(self.directory.path().join("mirrors"))
            .expect("a directory")
            .flatten();
        let mut found: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "git"))
            .collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }
}

/// `git daemon` on loopback.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) url: String,
}

impl Daemon {
    pub(crate) fn start(repository: &Repository) -> Self {
        // The port is free now and, with luck, still free when the daemon takes it.
        let port = TcpListener::bind("127.0.0.1:0")
            .expect("a port")
            .local_addr()
            .expect("an address")
            .port();
        let base = repository.path.parent().expect("a parent");
        let mut command = Command::new("git");
        command
            .args([
                "daemon",
                "--reuseaddr",
                "--export-all",
                "--listen=127.0.0.1",
                &format!("--port={port}"),
            ])
            .arg(format!("--base-path={}", base.display()))
            .arg(base)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().expect("git daemon runs");
        let up = (0..500).any(|_| {
            let up = TcpStream::connect(("127.0.0.1", port)).is_ok();
            if !up {
                std::thread::sleep(Duration::from_millis(10));
            }
            up
        });
        assert!(up, "git daemon did not come up");
        Self {
            child,
            url: format!("git://127.0.0.1:{port}/app"),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // `git daemon` is a child of the `git` wrapper: the whole group has to go.
        let group = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(group) = group {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that stands in for `ssh`: it runs the remote command on this machine, as `sshd` would.
pub(crate) fn fake_ssh(directory: &Path, script: &str) -> PathBuf {
    let path = directory.join("ssh");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    }
    path
}
