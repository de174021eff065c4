//! A smart HTTP server on loopback, with or without TLS and with faults on demand: `git http-backend` behind a few lines of HTTP.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use crate::support::Repository;

/// What the HTTP server does besides serving.
#[derive(Default)]
pub(crate) struct Behaviour {
    /// `Authorization` that is demanded.
    pub(crate) authorization: Option<&'static str>,
    /// How many requests are answered with `failure` first.
    pub(crate) failures: AtomicUsize,
    /// Status line and headers of a failure; empty drops the connection.
    pub(crate) failure: &'static str,
    /// Protocol version 2 is not passed on.
    pub(crate) old_protocol: bool,
    /// Where everything below `/moved/` is redirected to.
    pub(crate) moved_to: Mutex<Option<String>>,
    /// Bodies of packs end after this many bytes, once.
    pub(crate) cut_pack_at: AtomicUsize,
    /// What was asked for: method, path and whether it came with credentials.
    pub(crate) seen: Mutex<Vec<(String, bool)>>,
}

/// The server; one thread per connection, one request per connection.
pub(crate) struct HttpServer {
    pub(crate) url: String,
    pub(crate) behaviour: Arc<Behaviour>,
    stop: Arc<AtomicBool>,
    port: u16,
}

impl HttpServer {
    /// Serves the repository as `/app.git`.
    pub(crate) fn start(repository: &Repository, behaviour: Behaviour) -> Self {
        Self::listen(repository, behaviour, "http", |stream| stream)
    }

    /// As [`HttpServer::start`], over TLS.
    pub(crate) fn start_tls(
        repository: &Repository,
        behaviour: Behaviour,
        tls: Arc<rustls::ServerConfig>,
    ) -> Self {
        Self::listen(repository, behaviour, "https", move |stream| {
            let connection =
                rustls::ServerConnection::new(Arc::clone(&tls)).expect("a TLS connection");
            rustls::StreamOwned::new(connection, stream)
        })
    }

    fn listen<S: Read + Write>(
        repository: &Repository,
        behaviour: Behaviour,
        scheme: &str,
        wrap: impl Fn(TcpStream) -> S + Clone + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let behaviour = Arc::new(behaviour);
        let stop = Arc::new(AtomicBool::new(false));
        let (root, shared, stopped) = (
            repository.path.clone(),
            Arc::clone(&behaviour),
            Arc::clone(&stop),
        );
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let (root, shared, wrap) = (root.clone(), Arc::clone(&shared), wrap.clone());
                std::thread::spawn(move || serve(wrap(stream), &root, &shared));
            }
        });
        Self {
            url: format!("{scheme}://127.0.0.1:{port}/app.git"),
            behaviour,
            stop,
            port,
        }
    }

    pub(crate) fn requests(&self) -> usize {
        self.behaviour.seen.lock().expect("no panic").len()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    fn read(reader: &mut impl BufRead) -> Option<Self> {
        let mut line = String::new();
        reader
            .read_line(&mut line)
            .ok()
            .filter(|count| *count > 0)?;
        let mut words = line.split_whitespace();
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self {
            method,
            target,
            headers,
            body: Vec::new(),
        };
        request.body = vec![
            0;
            request
                .header("content-length")
                .and_then(|length| length.parse().ok())
                .unwrap_or(0)
        ];
        reader.read_exact(&mut request.body).ok()?;
        Some(request)
    }
}

fn serve(stream: impl Read + Write, root: &Path, behaviour: &Behaviour) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let request = Request::read(&mut stream)?;
    let answer = answer(request, root, behaviour)?;
    let stream = stream.get_mut();
    stream.write_all(&answer).ok()?;
    stream.flush().ok()
}

/// Nothing drops the connection.
fn answer(request: Request, root: &Path, behaviour: &Behaviour) -> Option<Vec<u8>> {
    let empty = |head: &str| {
        Some(
            format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .into_bytes(),
        )
    };
    let authorization = request.header("authorization");
    let seen = (
        format!("{} {}", request.method, request.target),
        authorization.is_some(),
    );
    behaviour.seen.lock().expect("no panic").push(seen);
    let failures = &behaviour.failures;
    if failures
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(1)
        })
        .is_ok()
    {
        return if behaviour.failure.is_empty() {
            None
        } else {
            empty(behaviour.failure)
        };
    }
    if let Some(rest) = request.target.strip_prefix("/moved/") {
        let to = behaviour
            .moved_to
            .lock()
            .expect("no panic")
            .clone()
            .unwrap_or_default();
        return empty(&format!("302 Found\r\nLocation: {to}/{rest}"));
    }
    if behaviour
        .authorization
        .is_some_and(|wanted| authorization != Some(wanted))
    {
        return empty("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"");
    }
    let output = backend(request, root, behaviour)?;
    let split = output.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&output[..split]).into_owned();
    let mut content = &output[split + 4..];
    let status = head
        .lines()
        .find_map(|line| line.strip_prefix("Status: "))
        .unwrap_or("200 OK");
    let kept: String = head
        .lines()
        .filter(|line| !line.starts_with("Status:"))
        .map(|line| format!("{line}\r\n"))
        .collect();
    let length = content.len();
    let cut = behaviour.cut_pack_at.load(Ordering::Relaxed);
    if cut > 0 && content.windows(4).any(|window| window == b"PACK") {
        behaviour.cut_pack_at.store(0, Ordering::Relaxed);
        content = &content[..cut.min(content.len())];
    }
    let mut answer =
        format!("HTTP/1.1 {status}\r\n{kept}Content-Length: {length}\r\nConnection: close\r\n\r\n")
            .into_bytes();
    answer.extend_from_slice(content);
    Some(answer)
}

/// What the CGI program says.
fn backend(request: Request, root: &Path, behaviour: &Behaviour) -> Option<Vec<u8>> {
    let (path, query) = request
        .target
        .split_once('?')
        .unwrap_or((&request.target, ""));
    let mut command = Command::new("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("PATH_INFO", path.replacen("/app.git", "/.git", 1))
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", &request.method)
        .env(
            "CONTENT_TYPE",
            request.header("content-type").unwrap_or_default(),
        )
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if let (Some(protocol), false) = (request.header("git-protocol"), behaviour.old_protocol) {
        command.env("GIT_PROTOCOL", protocol);
    }
    let mut child = command.spawn().ok()?;
    let mut stdin = child.stdin.take()?;
    std::thread::spawn(move || stdin.write_all(&request.body));
    Some(child.wait_with_output().ok()?.stdout)
}
