//! A program that runs to its end within bounds: no shell, no input, an environment of its own, a deadline, output of
//! a bounded size. It ends with the call, and whatever it started ends with it.

use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// Most bytes of what a program prints.
pub(super) const OUTPUT_MAX: u64 = 64 << 20;
/// How much of its complaints is kept.
const COMPLAINT_MAX: u64 = 16 << 10;
/// How long what it printed may take to arrive once it has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(2);
/// What of this process's environment it sees: where programs are, and how the network is reached.
const KEPT: &[&str] = &[
    "PATH",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// A program and its deadline.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) command: String,
    pub(super) timeout: Duration,
}

impl Program {
    /// Runs it in a folder of its own; gives what it printed.
    ///
    /// # Errors
    /// It is not there, fails, prints too much, or is still running at the deadline.
    pub(super) fn run(&self, words: &[String], room: &Path) -> Result<Vec<u8>, String> {
        let name = &self.command;
        let mut command = Command::new(name);
        command.args(words).current_dir(room).env_clear();
        for variable in KEPT {
            if let Some(value) = std::env::var_os(variable) {
                command.env(variable, value);
            }
        }
        let home = room.join("home");
        command
            .env("HOME", &home)
            .env("TMPDIR", room)
            .env("HELM_CONFIG_HOME", home.join("config"))
            .env("HELM_CACHE_HOME", home.join(".cache"))
            .env("HELM_DATA_HOME", home.join(".data"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let child = command
            .spawn()
            .map_err(|error| format!("{name} cannot be run ({error}); is it installed?"))?;
        let mut group = Group(child);
        let printed = read_all(group.0.stdout.take(), OUTPUT_MAX + 1);
        let said = read_all(group.0.stderr.take(), COMPLAINT_MAX);
        let end = Instant::now() + self.timeout;
        // Its output is read to the end first, or to one byte too much, at which it is ended.
        let printed = printed
            .recv_timeout(self.timeout)
            .map_err(|_| self.too_slow())?;
        if printed.len() as u64 > OUTPUT_MAX {
            return Err(format!("{name} prints more than {OUTPUT_MAX} bytes"));
        }
        let status = loop {
            match group.0.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() >= end => return Err(self.too_slow()),
                Ok(None) => std::thread::sleep(LOOK),
                Err(error) => return Err(format!("{name}: {error}")),
            }
        };
        if status.success() {
            return Ok(printed);
        }
        let said = said.recv_timeout(LAST_WORDS).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).replace(&format!("{}/", room.display()), "");
        let said = said.trim();
        Err(format!("{name} ended with {status}: {said}"))
    }

    fn too_slow(&self) -> String {
        let seconds = self.timeout.as_secs();
        format!(
            "{} was ended: it took longer than {seconds} s (kustomize.helm.timeoutSeconds in the Settings)",
            self.command
        )
    }
}

/// Reads on a thread of its own, which ends when the pipe does: with the program's group at the latest.
fn read_all(pipe: Option<impl Read + Send + 'static>, limit: u64) -> Receiver<Vec<u8>> {
    let (done, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            let mut pipe = pipe.take(limit);
            // What came until the pipe broke is all there is.
            let _ = pipe.read_to_end(&mut bytes);
        }
        // Nobody listens any more when the call has ended.
        let _ = done.send(bytes);
    });
    receiver
}

/// A child with whatever it started.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            if let Ok(id) = i32::try_from(self.0.id())
                && let Some(id) = Pid::from_raw(id)
            {
                // It may have ended by now.
                let _ = kill_process_group(id, Signal::KILL);
            }
            // A killed child is collected; one that cannot be killed stays the system's.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}
