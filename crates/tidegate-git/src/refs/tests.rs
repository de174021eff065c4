//! Target revisions against lists of refs.

use proptest::prelude::*;

use super::{RefList, RemoteRef, Resolution, distance};
use crate::ObjectId;

fn id(digit: char) -> ObjectId {
    digit.to_string().repeat(40).parse().expect("hex")
}

/// `name=digit` for a plain ref, `name=digit^digit` for an annotated tag, `name=digit@target` for a symbolic ref.
fn list(text: &str) -> RefList {
    let refs = text.split_whitespace().map(|item| {
        let (name, value) = item.split_once('=').expect("name=value");
        let digit = |at: usize| id(value.chars().nth(at).expect("a digit"));
        let target = match value.chars().nth(1) {
            Some('^') => RemoteRef {
                target: digit(0),
                peeled: digit(2),
                symbolic: None,
            },
            Some('@') => RemoteRef {
                target: digit(0),
                peeled: digit(0),
                symbolic: Some(value[2..].to_owned()),
            },
            _ => RemoteRef {
                target: digit(0),
                peeled: digit(0),
                symbolic: None,
            },
        };
        (name.to_owned(), target)
    });
    RefList {
        refs: refs.collect(),
    }
}

const REPOSITORY: &str = "HEAD=1@refs/heads/main refs/heads/main=1 refs/heads/feature/a=2 refs/heads/v1.0.0=3 refs/heads/both=4 \
     refs/tags/both=5 refs/tags/v1.0.0=6^7 refs/tags/v1.2.0=8 refs/tags/v1.10.0=9 refs/tags/v2.0.0-rc.1=a refs/tags/nightly=b \
     refs/tags/app-1.0.0=c refs/tags/app-1.1.0=d refs/tags/1.3=e refs/pull/7/head=f refs/heads/abcdef1=0";

#[test]
fn target_revisions_resolve_as_in_argo_cd() {
    let refs = list(REPOSITORY);
    let check = |revision: &str, prefix: &str, expected: &str| {
        let got = match refs.resolve(revision, prefix) {
            Resolution::Found(found) => {
                let digit = found.commit.to_string().chars().next().expect("a digit");
                format!("{digit} {}", found.ref_name.unwrap_or_default())
            }
            Resolution::Abbreviated(hex) => format!("abbreviated {hex}"),
            Resolution::Unknown => "unknown".to_owned(),
        };
        assert_eq!(got.trim(), expected, "{revision:?} with prefix {prefix:?}");
    };
    // Names.
    check("", "", "1 HEAD");
    check("HEAD", "", "1 HEAD");
    check("main", "", "1 refs/heads/main");
    check("refs/heads/main", "", "1 refs/heads/main");
    check("feature/a", "", "2 refs/heads/feature/a");
    check("nightly", "", "b refs/tags/nightly");
    check("refs/pull/7/head", "", "f refs/pull/7/head");
    check("pull/7/head", "", "f refs/pull/7/head");
    check("heads/main", "", "unknown");
    check("Main", "", "unknown");
    check("main~1", "", "unknown");
    check("main^{commit}", "", "unknown");
    // A tag goes before a branch, and a tag is peeled to its commit.
    check("both", "", "5 refs/tags/both");
    check("refs/heads/both", "", "4 refs/heads/both");
    check("v1.0.0", "", "7 refs/tags/v1.0.0");
    check("refs/heads/v1.0.0", "", "3 refs/heads/v1.0.0");
    // A version is a pin: only its own spelling counts.
    check("1.0.0", "", "unknown");
    check("1.3", "", "e refs/tags/1.3");
    check("1.2", "", "unknown");
    // Constraints.
    check("1.*", "", "9 refs/tags/v1.10.0");
    check("^1.0.0", "", "9 refs/tags/v1.10.0");
    check("~1.2.0", "", "8 refs/tags/v1.2.0");
    check(">=1.0.0 <1.3.0", "", "8 refs/tags/v1.2.0");
    check("*", "", "9 refs/tags/v1.10.0");
    check(">=1.0.0-0", "", "a refs/tags/v2.0.0-rc.1");
    check("*-0", "", "a refs/tags/v2.0.0-rc.1");
    check("1.2.x || 1.10.x", "", "9 refs/tags/v1.10.0");
    check(">=3", "", "unknown");
    // With a prefix.
    check("1.*", "app-", "d refs/tags/app-1.1.0");
    check("*", "app-", "d refs/tags/app-1.1.0");
    check("1.0.0", "app-", "c refs/tags/app-1.0.0");
    check("1.*", "other-", "unknown");
    check("main", "app-", "1 refs/heads/main");
    // Commit names.
    check(&"1".repeat(40), "", "1");
    check(&"F".repeat(40), "", "f");
    check("1111111", "", "abbreviated 1111111");
    check("ABCDEF0", "", "abbreviated abcdef0");
    check("abcdef1", "", "0 refs/heads/abcdef1");
    check("111111", "", "unknown");
    check(&"1".repeat(41), "", "unknown");
}

#[test]
fn an_empty_repository_has_no_head() {
    assert_eq!(RefList::default().resolve("", ""), Resolution::Unknown);
    assert!(RefList::default().is_empty());
    assert_eq!(list(REPOSITORY).default_branch(), Some("main"));
}

#[test]
fn unknown_names_come_with_suggestions() {
    let refs = list(REPOSITORY);
    let check = |revision: &str, expected: &str| {
        let error = refs.unknown("https://example.com/a", revision).to_string();
        let got = error
            .split_once("SHA")
            .map(|(_, hint)| hint)
            .expect("the fixed words");
        assert_eq!(got, expected, "{revision}");
    };
    check("mian", "; did you mean 'main'?");
    check("Main", "; did you mean 'main'?");
    check("origin/main", "; did you mean 'main'?");
    check("nigthly", "; did you mean 'nightly'?");
    check("1.0.0", "; did you mean 'v1.0.0' or 'v1.10.0' or 'v1.2.0'?");
    check("utterly-different", "");
}

proptest! {
    #[test]
    fn every_advertised_name_resolves_to_itself(name in "[a-z]{8,12}(/[a-z]{2,6})?", digit in "[0-9a-f]") {
        prop_assume!(!name.starts_with("heads/") && !name.starts_with("tags/"));
        prop_assume!(!name.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let refs = list(&format!("HEAD=1 refs/heads/{name}={digit}"));
        let full = refs.resolve(&format!("refs/heads/{name}"), "");
        prop_assert_eq!(refs.resolve(&name, ""), full.clone());
        prop_assert!(matches!(full, Resolution::Found(found) if found.commit == id(digit.chars().next().expect("one"))));
    }

    #[test]
    fn distance_is_symmetric_and_zero_only_for_equals(a in "[ab]{0,6}", b in "[ab]{0,6}") {
        prop_assert_eq!(distance(&a, &b, 9), distance(&b, &a, 9));
        prop_assert_eq!(distance(&a, &b, 9) == 0, a == b);
    }

    #[test]
    fn resolving_never_panics(revision in "\\PC{0,30}", prefix in "\\PC{0,5}") {
        let _ = list(REPOSITORY).resolve(&revision, &prefix);
        let _ = list(REPOSITORY).unknown("r", &revision);
    }
}
