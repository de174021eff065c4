//! One scenario over every transport: poll, resolve, fetch, read, push, fetch again.

use tidegate_git::{Credentials, Error, FetchScope, Mirror, Remote};

use crate::{
    server::{Behaviour, HttpServer},
    support::{Daemon, Fixture, Repository, fake_ssh, git_is_here, options},
};

fn scenario(repository: &Repository, mirror: &Mirror) {
    let first = repository.commit(&[("a.yaml", "a: 1\n"), ("dir/b.yaml", "b: 1\n")]);
    repository.git(&["tag", "-a", "-m", "one", "v1.0.0"]);
    let refs = mirror.poll().expect("a listing");
    assert_eq!(refs.default_branch(), Some("main"));
    let resolved = mirror.resolve("main", "").expect("main");
    assert_eq!(
        (resolved.commit, resolved.ref_name.as_deref()),
        (first, Some("refs/heads/main"))
    );
    assert_eq!(mirror.resolve("", "").expect("HEAD").commit, first);
    assert_eq!(
        mirror.resolve("^1.0.0", "").expect("a constraint").commit,
        first,
        "an annotated tag is peeled"
    );
    assert_eq!(mirror.ensure(first).expect("a fetch"), first);
    let tree = mirror.tree(first).expect("a tree");
    assert_eq!(tree.read("dir/b.yaml").expect("a file"), b"b: 1\n");
    let second = repository.commit(&[("a.yaml", "a: 2\n")]);
    assert_eq!(mirror.resolve("main", "").expect("main").commit, second);
    mirror.ensure(second).expect("the second fetch");
    assert_eq!(
        mirror.changed_paths(first, second).expect("a comparison"),
        ["a.yaml"]
    );
    let info = mirror.commit_info(second).expect("facts");
    assert_eq!(
        (info.author.as_str(), info.subject.as_str()),
        ("Ann Author <ann@example.com>", "Change 1 files")
    );
    assert_eq!(info.parents, [first]);
    let log: Vec<_> = mirror
        .log(second, 10)
        .expect("a log")
        .into_iter()
        .map(|info| info.id)
        .collect();
    assert_eq!(log[..2], [second, first]);
}

#[test]
fn plain_path() {
    if git_is_here("plain_path") {
        let (repository, fixture) = (Repository::new(), Fixture::new());
        scenario(&repository, &fixture.of(&repository));
    }
}

#[test]
fn file_url_with_a_space() {
    if git_is_here("file_url_with_a_space") {
        let (mut repository, fixture) = (Repository::new(), Fixture::new());
        let spaced = repository.path.with_file_name("my app");
        std::fs::rename(&repository.path, &spaced).expect("a rename");
        repository.path = spaced;
        let url = format!("file://{}", repository.path.display()).replace(' ', "%20");
        scenario(&repository, &fixture.open(&url));
    }
}

#[test]
fn smart_http() {
    if git_is_here("smart_http") {
        let (repository, fixture) = (Repository::new(), Fixture::new());
        let server = HttpServer::start(&repository, Behaviour::default());
        scenario(&repository, &fixture.open(&server.url));
    }
}

#[test]
fn smart_http_of_an_old_server() {
    if git_is_here("smart_http_of_an_old_server") {
        let (repository, fixture) = (Repository::new(), Fixture::new());
        let server = HttpServer::start(
            &repository,
            Behaviour {
                old_protocol: true,
                ..Behaviour::default()
            },
        );
        scenario(&repository, &fixture.open(&server.url));
    }
}

#[test]
fn git_daemon() {
    if git_is_here("git_daemon") {
        let (repository, fixture) = (Repository::new(), Fixture::new());
        let daemon = Daemon::start(&repository);
        scenario(&repository, &fixture.open(&daemon.url));
    }
}

#[test]
fn ssh_by_a_stand_in() {
    if git_is_here("ssh_by_a_stand_in") {
        // The last argument is the remote command, as for the real program.
        let ways = [
            (
                "a server that takes GIT_PROTOCOL",
                "for last; do :; done; exec sh -c \"$last\"",
            ),
            (
                "a server that drops it",
                "unset GIT_PROTOCOL; for last; do :; done; exec sh -c \"$last\"",
            ),
            (
                "a server without a shell",
                "unset GIT_PROTOCOL; for last; do :; done; case $last in git-upload-pack*) exec sh -c \"$last\";; esac; exit 1",
            ),
        ];
        for (way, script) in ways {
            let (repository, fixture) = (Repository::new(), Fixture::new());
            let mut options = options();
            options.ssh_program = fake_ssh(fixture.directory.path(), script);
            options.known_hosts = Some("example.com ssh-ed25519 AAAA".to_owned());
            let url = format!("git@example.com:{}", repository.path.display());
            let credentials = Credentials::SshKey {
                private_key: "a key".into(),
            };
            std::panic::catch_unwind(|| {
                scenario(&repository, &fixture.open_with(&url, credentials, options));
            })
            .unwrap_or_else(|_| panic!("failed: {way}"));
        }
    }
}

#[test]
fn ssh_is_called_without_prompts_and_with_the_key_in_a_private_file() {
    if git_is_here("ssh_is_called_without_prompts_and_with_the_key_in_a_private_file") {
        let fixture = Fixture::new();
        let log = fixture.directory.path().join("log");
        let script = format!(
            "{{ for a; do echo \"$a\"; case $a in IdentityFile=*) f=${{a#IdentityFile=}}; f=${{f#\\\"}}; f=${{f%\\\"}}; stat -c %a \"$f\"; cat \"$f\";; esac; done; }} >{log} 2>&1",
            log = log.display()
        );
        let mut options = options();
        options.attempts = 1;
        options.ssh_program = fake_ssh(fixture.directory.path(), &script);
        let credentials = Credentials::SshKey {
            private_key: "the key".into(),
        };
        let mirror =
            fixture.open_with("ssh://git@example.com:2222/it's/here", credentials, options);
        let error = mirror.poll().expect_err("the stand-in says nothing");
        assert!(
            error
                .to_string()
                .contains("ssh://git@example.com:2222/it's/here"),
            "{error}"
        );
        let log = std::fs::read_to_string(log).expect("a log");
        for wanted in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "600\nthe key\n",
            "-p\n2222",
            "--\ngit@example.com\ngit-upload-pack '/it'\\''s/here'",
        ] {
            assert!(log.contains(wanted), "{wanted} in {log}");
        }
    }
}

#[test]
fn basic_credentials_over_loopback_http() {
    if git_is_here("basic_credentials_over_loopback_http") {
        let (repository, fixture) = (Repository::new(), Fixture::new());
        // `bob:hunter2`
        let server = HttpServer::start(
            &repository,
            Behaviour {
                authorization: Some("Basic Ym9iOmh1bnRlcjI="),
                ..Behaviour::default()
            },
        );
        repository.commit(&[("a", "a")]);
        let basic = |password: &str| Credentials::Basic {
            username: "bob".into(),
            password: password.into(),
        };
        let open = |credentials| fixture.open_with(&server.url, credentials, options());
        let refused = |credentials| open(credentials).poll().expect_err("no access");
        assert!(matches!(
            refused(Credentials::None),
            Error::AuthenticationRequired { .. }
        ));
        let error = refused(basic("wrong-secret"));
        assert!(
            matches!(error, Error::AuthenticationRequired { .. }),
            "{error}"
        );
        assert!(!error.to_string().contains("wrong-secret"), "{error}");
        scenario(&repository, &open(basic("hunter2")));
        let in_url = server.url.replace("http://", "http://bob:hunter2@");
        assert!(
            fixture.open(&in_url).poll().is_ok(),
            "credentials in the address"
        );
    }
}

#[test]
fn a_bearer_token() {
    if git_is_here("a_bearer_token") {
        let (repository, fixture) = (Repository::new(), Fixture::new());
        let server = HttpServer::start(
            &repository,
            Behaviour {
                authorization: Some("Bearer t0ken"),
                ..Behaviour::default()
            },
        );
        scenario(
            &repository,
            &fixture.open_with(
                &server.url,
                Credentials::Bearer {
                    token: "t0ken".into(),
                },
                options(),
            ),
        );
    }
}

#[test]
fn credentials_are_not_sent_in_clear_text_beyond_this_machine() {
    let fixture = Fixture::new();
    let credentials = Credentials::Basic {
        username: "bob".into(),
        password: "hunter2".into(),
    };
    let error = fixture
        .open_with("http://example.invalid/a", credentials, options())
        .poll()
        .expect_err("refused");
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("clear text"), "{error}");
}

#[test]
fn credentials_must_fit_the_transport() {
    let fixture = Fixture::new();
    let key = Credentials::SshKey {
        private_key: "k".into(),
    };
    let token = Credentials::Bearer { token: "t".into() };
    for (url, credentials) in [
        ("http://127.0.0.1:1/a", key),
        ("git@example.invalid:a", token),
    ] {
        let error = fixture
            .open_with(url, credentials, options())
            .poll()
            .expect_err("refused");
        assert!(matches!(error, Error::Unsupported { .. }), "{url}: {error}");
    }
}

#[test]
fn redirects_are_followed_and_credentials_stay_home() {
    if git_is_here("redirects_are_followed_and_credentials_stay_home") {
        let (repository, fixture) = (Repository::new(), Fixture::new());
        let first = HttpServer::start(&repository, Behaviour::default());
        let other = HttpServer::start(&repository, Behaviour::default());
        let target = other.url.trim_end_matches("/app.git").to_owned();
        *first.behaviour.moved_to.lock().expect("no panic") = Some(target);
        let url = first.url.replace("/app.git", "/moved/app.git");
        let credentials = Credentials::Basic {
            username: "bob".into(),
            password: "hunter2".into(),
        };
        scenario(
            &repository,
            &fixture.open_with(&url, credentials, options()),
        );
        let seen = other.behaviour.seen.lock().expect("no panic");
        assert!(!seen.is_empty());
        assert!(seen.iter().all(|(_, authorized)| !authorized), "{seen:?}");
    }
}

#[test]
fn only_the_wanted_commit_on_request() {
    if git_is_here("only_the_wanted_commit_on_request") {
        let (repository, fixture) = (Repository::new(), Fixture::new());
        let wanted = repository.commit(&[("a", "a")]);
        repository.git(&["checkout", "-q", "-b", "other"]);
        let other = repository.commit(&[("b", "b")]);
        let mut options = options();
        options.fetch_scope = FetchScope::WantedOnly;
        let mirror = fixture.open_with(
            repository.path.to_str().expect("UTF-8"),
            Credentials::None,
            options,
        );
        mirror.ensure(wanted).expect("a fetch");
        assert!(mirror.tree(wanted).is_ok());
        assert!(matches!(
            mirror.tree(other),
            Err(Error::UnknownRevision { .. })
        ));
        mirror.ensure(other).expect("the second fetch");
        assert!(mirror.tree(wanted).is_ok() && mirror.tree(other).is_ok());
    }
}

#[test]
fn spellings_of_one_remote_share_a_mirror() {
    if git_is_here("spellings_of_one_remote_share_a_mirror") {
        let (repository, fixture) = (Repository::new(), Fixture::new());
        let commit = repository.commit(&[("a", "a")]);
        let server = HttpServer::start(&repository, Behaviour::default());
        fixture.open(&server.url).ensure(commit).expect("a fetch");
        let before = server.requests();
        let other = fixture.mirrors.open(
            Remote::parse(&format!("{}/", server.url.trim_end_matches(".git"))).expect("a URL"),
            Credentials::None,
            options(),
        );
        other.ensure(commit).expect("it is there");
        assert!(other.tree(commit).is_ok());
        assert_eq!(server.requests(), before, "nothing was asked for");
        fixture.on_disk();
    }
}
