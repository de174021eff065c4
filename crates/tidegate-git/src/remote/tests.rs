//! Addresses: what parses, to what, and what is refused.

use proptest::prelude::*;

use super::{MAX_URL_BYTES, Remote, is_loopback, mask};

#[test]
fn addresses_normalise() {
    let check = |text: &str, expected: &str| {
        let remote = Remote::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(remote.normalized(), expected, "{text}");
    };
    check(
        "https://example.com/team/app.git",
        "https://example.com/team/app",
    );
    check(
        "HTTPS://Example.COM:443/team/App/",
        "https://example.com/team/App",
    );
    check("http://example.com:8080/a", "http://example.com:8080/a");
    check("https://bob:secret@example.com/a", "https://example.com/a");
    check("https://[::1]:8443/a", "https://[::1]:8443/a");
    check(
        "ssh://git@example.com:22/team/app.git",
        "ssh://git@example.com/team/app",
    );
    check(
        "ssh://example.com:2222/~bob/app",
        "ssh://example.com:2222/~bob/app",
    );
    check(
        "git@example.com:team/app.git",
        "ssh://git@example.com/team/app",
    );
    check("git@[::1]:team/app", "ssh://git@[::1]/team/app");
    check("example.com:/srv/app", "ssh://example.com/srv/app");
    check("git+ssh://git@example.com/a", "ssh://git@example.com/a");
    check("git://example.com:9418/a.git", "git://example.com/a");
    check("file:///srv/git/a%20b", "file:///srv/git/a b");
    check("file://localhost/srv/git", "file:///srv/git");
    check("/srv/git/app.git/", "file:///srv/git/app.git");
    check("/srv/with:colon", "file:///srv/with:colon");
}

#[test]
fn a_relative_path_is_local() {
    for text in ["./a", "../a", "a", "a/b:c"] {
        let remote = Remote::parse(text).expect("a path");
        assert!(
            remote
                .local_path()
                .is_some_and(std::path::Path::is_absolute),
            "{text}"
        );
    }
}

#[test]
fn bad_addresses_are_refused() {
    let check = |text: &str, reason: &str| {
        let error = Remote::parse(text).expect_err(text).to_string();
        assert!(error.contains(reason), "{text}: {error}");
    };
    check("", "empty");
    check("ext::sh -c id", "transport helpers");
    check("ext::ssh://host/x", "transport helpers");
    check("ftp://example.com/a", "only https");
    check("javascript://example.com/a", "only https");
    check("ssh://-oProxyCommand=id/a", "malformed");
    check("ssh://-l@example.com/a", "dash");
    check("-oProxyCommand=id:a", "dash");
    check("git@-evil:a", "dash");
    check("git@example.com:-a", "no repository");
    check("git@example.com:", "no repository");
    check("ssh://example.com", "no repository");
    check("git://example.com/", "no repository");
    check("git://bob@example.com/a", "no users");
    check("https:///a", "host name");
    check("https://exa mple.com/a", "host name");
    check("https://example.com:99999/a", "port");
    check("https://[::1/a", "bracket");
    check("https://example.com/a#main", "fragment");
    check("file://srv/git", "absolute path");
    check("https://example.com/a\nb", "control character");
    check("ssh://example.com/a%0ab", "control character");
    check("ssh://example.com/a%ff", "UTF-8");
    check(
        &format!("https://example.com/{}", "a".repeat(MAX_URL_BYTES)),
        "longer than",
    );
}

#[test]
fn secrets_are_masked() {
    let check = |text: &str, expected: &str| {
        assert_eq!(mask(text), expected);
        assert_eq!(Remote::parse(text).expect(text).to_string(), expected);
    };
    check(
        "https://bob:hunter2@example.com/a",
        "https://bob:***@example.com/a",
    );
    check(
        "https://ghp_token@example.com/a",
        "https://***@example.com/a",
    );
    check(
        "https://bob:p@ss@example.com/a",
        "https://bob:***@example.com/a",
    );
    check("ssh://git@example.com/a", "ssh://git@example.com/a");
    check("git@example.com:a", "git@example.com:a");
    let error = Remote::parse("https://bob:hunt/er2@example.com/a")
        .expect_err("a slash")
        .to_string();
    assert!(!error.contains("hunt"), "{error}");
    let error = Remote::parse("ftp://bob:hunter2@example.com/a")
        .expect_err("ftp")
        .to_string();
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn keys_agree_for_one_repository_and_differ_for_others() {
    let key = |text: &str| Remote::parse(text).expect(text).key();
    assert_eq!(
        key("https://a:b@Example.com/x.git"),
        key("https://example.com/x")
    );
    assert_eq!(key("git@example.com:x"), key("ssh://git@example.com/x.git"));
    assert_ne!(key("https://example.com/x"), key("http://example.com/x"));
    assert_ne!(key("https://example.com/x"), key("https://example.com/X"));
}

#[test]
fn loopback_hosts() {
    for (host, expected) in [
        ("localhost", true),
        ("127.0.0.1", true),
        ("127.9.9.9", true),
        ("[::1]", true),
        ("::1", true),
        ("10.0.0.1", false),
        ("localhost.evil.com", false),
    ] {
        assert_eq!(is_loopback(host), expected, "{host}");
    }
}

proptest! {
    #[test]
    fn parsing_never_panics_and_masks(text in "\\PC{0,60}", secret in "[a-z]{12}") {
        let _ = Remote::parse(&text);
        let url = format!("https://user:{secret}@host/{}", text.replace(|c: char| !c.is_ascii_alphanumeric(), ""));
        let remote = Remote::parse(&url).expect("valid");
        prop_assert!(!remote.to_string().contains(&secret));
        prop_assert!(!remote.normalized().contains(&secret));
    }

    #[test]
    fn normalising_twice_changes_nothing(host in "[a-z]{1,8}\\.[a-z]{2,3}", path in "[a-zA-Z0-9_-]{1,8}(/[a-zA-Z0-9_-]{1,8}){0,3}", git in any::<bool>()) {
        let url = format!("https://{host}/{path}{}", if git { ".git" } else { "" });
        let once = Remote::parse(&url).expect("valid").normalized().to_owned();
        let twice = Remote::parse(&once).expect("valid").normalized().to_owned();
        prop_assert_eq!(once, twice);
    }
}
