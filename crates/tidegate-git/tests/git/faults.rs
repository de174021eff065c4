//! Servers that fail: silence, cut connections, busy signals, other people's replies.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tidegate_git::{Credentials, Error, RemoteOptions};

use crate::{
    server::{Behaviour, HttpServer},
    support::{Fixture, Repository, fake_ssh, git_is_here, options},
};

/// The beginning of an answer that never ends.
const HALF_AN_ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\r\n001e# service=";

fn impatient() -> RemoteOptions {
    let mut options = options();
    options.poll_timeout = Duration::from_millis(300);
    options.fetch_timeout = Duration::from_millis(300);
    options.attempts = 1;
    options
}

/// Accepts connections, keeps them open and sends nothing, or `greeting` first.
fn silent_server(greeting: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in listener.incoming().flatten() {
            // The request first: an answer before it would be a fault of another kind.
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(greeting);
            held.push(stream);
        }
    });
    port
}

#[test]
fn silence_ends_at_the_deadline() {
    let silent = silent_server(b"");
    let half = silent_server(HALF_AN_ANSWER);
    let remotes = [("http", silent), ("git", silent), ("http", half)];
    for (scheme, port) in remotes {
        let fixture = Fixture::new();
        let url = format!("{scheme}://127.0.0.1:{port}/a");
        let error = fixture
            .open_with(&url, Credentials::None, impatient())
            .poll()
            .expect_err("silence");
        assert!(matches!(error, Error::Timeout { .. }), "{url}: {error}");
        assert!(error.is_retryable());
        let words = "listing refs took longer than 0.3s";
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn another_protocol_on_the_port_is_told() {
    let port = silent_server(HALF_AN_ANSWER);
    let url = format!("git://127.0.0.1:{port}/a");
    let error = Fixture::new()
        .open(&url)
        .poll()
        .expect_err("HTTP on a git port");
    assert!(matches!(error, Error::Protocol { .. }), "{error}");
}

#[test]
fn a_stalled_server_is_left_before_the_deadline() {
    let port = silent_server(b"");
    let mut options = options();
    options.attempts = 1;
    options.poll_timeout = Duration::from_secs(3600);
    options.stall_timeout = Duration::from_millis(200);
    for scheme in ["http", "git"] {
        let error = Fixture::new()
            .open_with(
                &format!("{scheme}://127.0.0.1:{port}/a"),
                Credentials::None,
                options.clone(),
            )
            .poll();
        assert!(
            matches!(error, Err(Error::Timeout { .. })),
            "{scheme}: {error:?}"
        );
    }
}

#[test]
fn a_hanging_ssh_is_killed_with_its_children() {
    let fixture = Fixture::new();
    let pid = fixture.directory.path().join("pid");
    let mut options = impatient();
    options.ssh_program = fake_ssh(
        fixture.directory.path(),
        &format!("sleep 1000 & echo $! >{}; wait", pid.display()),
    );
    options.poll_timeout = Duration::from_secs(5);
    let error = fixture
        .open_with("git@example.invalid:a", Credentials::None, options)
        .poll()
        .expect_err("silence");
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    let grandchild = std::fs::read_to_string(pid).expect("it has started");
    let state =
        || std::fs::read_to_string(format!("/proc/{}/stat", grandchild.trim())).unwrap_or_default();
    // Killed processes vanish or wait for their reaper; either takes the kernel a moment.
    let gone = (0..1000).any(|_| {
        let state = state();
        let gone = state.is_empty() || state.contains(") Z ");
        if !gone {
            std::thread::sleep(Duration::from_millis(5));
        }
        gone
    });
    assert!(gone, "{}", state());
}

#[test]
fn dead_ports_and_hosts_are_unreachable() {
    let port = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("an address")
        .port();
    for url in [
        format!("http://127.0.0.1:{port}/a"),
        format!("git://127.0.0.1:{port}/a"),
        "git://host.invalid/a".to_owned(),
    ] {
        let mut options = options();
        options.attempts = 1;
        let error = Fixture::new()
            .open_with(&url, Credentials::None, options)
            .poll()
            .expect_err("nobody is there");
        assert!(matches!(error, Error::Unreachable { .. }), "{url}: {error}");
        assert!(error.to_string().contains(&url), "{error}");
    }
}

#[test]
fn busy_and_broken_servers_are_asked_again() {
    if !git_is_here("busy_and_broken_servers_are_asked_again") {
        return;
    }
    let repository = Repository::new();
    let commit = repository.commit(&[("a", "1")]);
    for failure in [
        "",
        "503 Service Unavailable",
        "502 Bad Gateway",
        "429 Too Many Requests\r\nRetry-After: 0",
    ] {
        let server = HttpServer::start(
            &repository,
            Behaviour {
                failures: AtomicUsize::new(2),
                failure,
                ..Behaviour::default()
            },
        );
        let fixture = Fixture::new();
        let resolved = fixture
            .open(&server.url)
            .resolve("main", "")
            .unwrap_or_else(|error| panic!("{failure:?}: {error}"));
        assert_eq!(resolved.commit, commit);
        server.behaviour.failures.store(100, Ordering::Relaxed);
        let asked = server.requests();
        let error = fixture
            .open(&server.url)
            .poll()
            .expect_err("it goes on failing");
        assert!(error.is_retryable(), "{failure:?}: {error}");
        assert_eq!(server.requests() - asked, 3, "{failure:?}: bounded");
    }
}

#[test]
fn refusals_are_told_apart_and_not_asked_again() {
    if !git_is_here("refusals_are_told_apart_and_not_asked_again") {
        return;
    }
    let repository = Repository::new();
    let check = |failure: &'static str, fits: fn(&Error) -> bool| {
        let server = HttpServer::start(
            &repository,
            Behaviour {
                failures: AtomicUsize::new(100),
                failure,
                ..Behaviour::default()
            },
        );
        let error = Fixture::new().open(&server.url).poll().expect_err(failure);
        assert!(fits(&error), "{failure}: {error}");
        assert_eq!(server.requests(), 1, "{failure}");
    };
    check("401 Unauthorized", |error| {
        matches!(error, Error::AuthenticationRequired { .. })
    });
    check("403 Forbidden", |error| {
        matches!(error, Error::AuthenticationRequired { .. })
    });
    check("404 Not Found", |error| {
        matches!(error, Error::NotFound { .. })
    });
    check("200 OK\r\nContent-Type: text/html", |error| {
        matches!(error, Error::Protocol { .. })
    });
    check(
        "301 Moved Permanently\r\nLocation: ftp://127.0.0.1/a",
        |error| matches!(error, Error::Protocol { .. }),
    );
    check(
        "301 Moved Permanently\r\nLocation: file:///etc/passwd",
        |error| matches!(error, Error::Protocol { .. }),
    );
}

#[test]
fn a_redirect_loop_ends() {
    if !git_is_here("a_redirect_loop_ends") {
        return;
    }
    let server = HttpServer::start(&Repository::new(), Behaviour::default());
    *server.behaviour.moved_to.lock().expect("no panic") = Some("/moved".into());
    let error = Fixture::new()
        .open(&server.url.replace("/app.git", "/moved/app.git"))
        .poll()
        .expect_err("a loop");
    assert!(error.to_string().contains("redirects"), "{error}");
    assert!(server.requests() < 10);
}

#[test]
fn a_pack_that_is_cut_off_is_fetched_again() {
    if !git_is_here("a_pack_that_is_cut_off_is_fetched_again") {
        return;
    }
    let repository = Repository::new();
    let commit = repository.commit(&[("a", "1"), ("b", &"0123456789abcdef".repeat(50))]);
    for at in [30, 100, 250] {
        let server = HttpServer::start(
            &repository,
            Behaviour {
                cut_pack_at: AtomicUsize::new(at),
                ..Behaviour::default()
            },
        );
        let fixture = Fixture::new();
        let mirror = fixture.open(&server.url);
        mirror
            .ensure(commit)
            .unwrap_or_else(|error| panic!("cut at {at}: {error}"));
        assert_eq!(
            mirror
                .tree(commit)
                .expect("a tree")
                .read("a")
                .expect("a file"),
            b"1"
        );
    }
}

#[test]
fn a_pack_beyond_the_limit_is_refused() {
    if !git_is_here("a_pack_beyond_the_limit_is_refused") {
        return;
    }
    let repository = Repository::new();
    // Bytes that no compression makes small.
    let mut noise = 1_u64;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise as u8
    })
    .take(2 << 20)
    .collect();
    repository.write("big", &bytes);
    let commit = repository.commit(&[]);
    let server = HttpServer::start(&repository, Behaviour::default());
    for url in [
        server.url.as_str(),
        repository.path.to_str().expect("UTF-8"),
    ] {
        let mut options = options();
        options.max_fetched_object_bytes = 1 << 20;
        let error = Fixture::new()
            .open_with(url, Credentials::None, options.clone())
            .ensure(commit)
            .expect_err("an object is too large");
        assert!(matches!(error, Error::Limit { .. }), "{url}: {error}");
        options.max_fetched_object_bytes = 16 << 20;
        options.max_object_bytes = 1 << 20;
        let fixture = Fixture::new();
        let mirror = fixture.open_with(url, Credentials::None, options);
        mirror.ensure(commit).expect("a fetch");
        let tree = mirror.tree(commit).expect("a tree");
        assert_eq!(tree.size("big").expect("a size"), 2 << 20);
        let error = tree.read("big").expect_err("a file is too large");
        assert!(
            matches!(&error, Error::Limit { what, .. } if what.contains("`big`")),
            "{error}"
        );
    }
}

#[test]
fn complaints_of_ssh_are_understood() {
    let check = |words: &str, fits: fn(&Error) -> bool| {
        let fixture = Fixture::new();
        let mut options = options();
        options.attempts = 1;
        options.ssh_program = fake_ssh(
            fixture.directory.path(),
            &format!("echo \"{words}\" >&2; exit 255"),
        );
        let error = fixture
            .open_with("git@example.invalid:a", Credentials::None, options)
            .poll()
            .expect_err(words);
        assert!(fits(&error), "{words}: {error:?}");
    };
    check(
        "git@example.invalid: Permission denied (publickey).",
        |error| matches!(error, Error::AuthenticationRequired { .. }),
    );
    check("Host key verification failed.", |error| {
        matches!(error, Error::UntrustedHost { .. })
    });
    check(
        "ssh: Could not resolve hostname example.invalid: Name or service not known",
        |error| matches!(error, Error::Unreachable { .. }),
    );
    check(
        "ssh: connect to host example.invalid port 22: Connection refused",
        |error| matches!(error, Error::Unreachable { .. }),
    );
    check("ERROR: Repository not found.", |error| {
        matches!(error, Error::NotFound { .. })
    });
    check(
        "fatal: '/a' does not appear to be a git repository",
        |error| matches!(error, Error::NotFound { .. }),
    );
}

#[test]
fn a_missing_program_is_named() {
    let fixture = Fixture::new();
    let mut options = options();
    options.ssh_program = "/nonexistent/ssh".into();
    let error = fixture
        .open_with("git@example.invalid:a", Credentials::None, options)
        .poll()
        .expect_err("no ssh");
    assert!(
        error.to_string().contains("/nonexistent/ssh")
            && matches!(error, Error::Unsupported { .. }),
        "{error}"
    );
}

#[test]
fn a_missing_directory_or_a_plain_one_is_no_repository() {
    if !git_is_here("a_missing_directory_or_a_plain_one_is_no_repository") {
        return;
    }
    let fixture = Fixture::new();
    for name in ["missing", ""] {
        let path = fixture.directory.path().join(name);
        let error = fixture
            .open(path.to_str().expect("UTF-8"))
            .poll()
            .expect_err("no repository");
        assert!(matches!(error, Error::NotFound { .. }), "{name}: {error}");
    }
}

#[test]
fn a_daemon_that_refuses_is_understood() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 64];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"0033ERR access denied or repository not exported: /a");
        }
    });
    let error = Fixture::new()
        .open(&format!("git://127.0.0.1:{port}/a"))
        .poll()
        .expect_err("refused");
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}
