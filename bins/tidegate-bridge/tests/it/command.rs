//! The command as a process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A running bridge; killed when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) listen: String,
}

/// A folder with a binding file and the logs of those who read it.
pub(crate) struct Home {
    folder: TempDir,
    starts: std::cell::Cell<usize>,
}

impl Home {
    pub(crate) fn new(bindings: &str) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("bindings.yaml"), bindings).unwrap();
        Self {
            folder,
            starts: std::cell::Cell::new(0),
        }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("bindings.yaml")
    }

    pub(crate) fn start(&self) -> Running {
        self.start_with(&[])
    }

    pub(crate) fn start_with(&self, env: &[(&str, &str)]) -> Running {
        let number = self.starts.get();
        self.starts.set(number + 1);
        let listen = free_address();
        let log = std::fs::File::create(self.log(number)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tidegate-bridge"))
            .arg("--config")
            .arg(self.file())
            .args(["--listen", &listen])
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Running { child, listen }
    }

    fn log(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("{number}.log"))
    }

    /// What all of them said.
    pub(crate) fn logs(&self) -> String {
        let all = (0..self.starts.get()).map(|number| read(&self.log(number)));
        all.collect::<Vec<_>>().join("--- next\n")
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn free_address() -> String {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().to_string()
}

impl Running {
    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and the exit code.
    pub(crate) async fn terminate(mut self, limit: Duration) -> Option<i32> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(sent.success());
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(
                begin.elapsed() < limit,
                "it still runs {limit:?} after SIGTERM"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What an address of its server says: status and body.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.listen);
        let begin = Instant::now();
        loop {
            match reqwest::get(&url).await {
                Ok(response) => {
                    let status = response.status().as_u16();
                    return (status, response.text().await.unwrap());
                }
                Err(error) => assert!(begin.elapsed() < Duration::from_secs(20), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
