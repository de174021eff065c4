//! Laws, refusals in words, and inputs that must not hurt.

use proptest::prelude::*;
use tidegate_gocompat::semver::{Requested, classify, max_matching};
use tidegate_gocompat::{Constraint, Duration, Glob, GlobError, PathGlob, Quantity, Version, glob};

#[test]
fn a_version_is_a_pin_and_never_a_constraint() {
    let kind = |text: &str| match classify(text) {
        Requested::Version(_) => "version",
        Requested::Constraint(_) => "constraint",
        Requested::Other => "other",
    };
    for (text, expected) in [
        ("v1.0", "version"),
        ("1", "version"),
        ("1.2.3-rc1", "version"),
        ("1.*", "constraint"),
        (">=1", "constraint"),
        ("*", "constraint"),
        ("main", "other"),
        ("release-1.2", "other"),
        ("v1.0.0.0", "other"),
        ("", "other"),
    ] {
        assert_eq!(kind(text), expected, "{text:?}");
    }
}

#[test]
fn the_greatest_matching_tag_keeps_its_spelling() {
    let tags = [
        "v1.0.0",
        "release",
        "1.2",
        "v1.10.0",
        "1.10.0",
        "2.0.0-rc1",
        "v2",
    ];
    let found = |text: &str| max_matching(&Constraint::parse(text).unwrap(), tags);
    assert_eq!(found("1.*"), Some("v1.10.0"));
    assert_eq!(found("<1.10"), Some("1.2"));
    assert_eq!(found(">=2.0.0-0 <2.0.0"), Some("2.0.0-rc1"));
    assert_eq!(found("*"), Some("v2"));
    assert_eq!(found(">3"), None);
}

#[test]
fn errors_speak_as_go_does() {
    let error = |text: &str| Duration::parse(text).unwrap_err().to_string();
    assert_eq!(error("3d"), r#"time: unknown unit "d" in duration "3d""#);
    assert_eq!(error("3"), r#"time: missing unit in duration "3""#);
    assert_eq!(error(""), r#"time: invalid duration """#);
    assert_eq!(
        Version::parse("1.0.0-01").unwrap_err().to_string(),
        "version segment starts with 0"
    );
    assert_eq!(
        Constraint::parse(">=1 foo").unwrap_err().to_string(),
        "improper constraint: >=1 foo"
    );
    assert_eq!(
        Quantity::parse("1kb")
            .unwrap_err()
            .to_string()
            .split(' ')
            .next(),
        Some("quantities")
    );
    assert!(Duration::parse("-1s").unwrap().to_std().is_none());
}

#[test]
fn patterns_are_bounded() {
    let long = "a".repeat(glob::MAX_PATTERN + 1);
    assert_eq!(Glob::new(&long, &[]).unwrap_err(), GlobError::TooComplex);
    assert_eq!(PathGlob::new(&long).unwrap_err(), GlobError::TooComplex);
    assert_eq!(
        PathGlob::new(&"{a,b}".repeat(30)).unwrap_err(),
        GlobError::TooComplex
    );
    assert_eq!(
        Glob::new(&"{".repeat(100), &[]).unwrap_err(),
        GlobError::TooComplex
    );
    let slow = Glob::new(&"*a".repeat(200), &[]).unwrap();
    assert!(!slow.matches(&"a".repeat(199)));
    assert!(slow.matches(&"a".repeat(200)));
}

#[test]
fn quantities_compare_as_numbers() {
    let quantity = |text: &str| Quantity::parse(text).unwrap();
    for (a, b) in [
        ("1", "1000m"),
        ("1Ki", "1024"),
        ("1e3", "1k"),
        ("0", "-0"),
        ("0.1n", "1n"),
    ] {
        assert_eq!(quantity(a), quantity(b), "{a} {b}");
    }
    assert!(quantity("1M") < quantity("1Mi"));
    assert!(quantity("-2") < quantity("-1"));
    assert!(quantity("1e40") > quantity("1e39"));
    assert_eq!(quantity("1500m").as_i64_rounded_up(), Some(2));
    assert_eq!(quantity("2Ki").as_i64_rounded_up(), Some(2048));
    assert!((quantity("100m").as_f64() - 0.1).abs() < 1e-12);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn durations_print_and_read_back(nanoseconds in any::<i64>()) {
        let duration = Duration(nanoseconds);
        prop_assert_eq!(Duration::parse(&duration.to_string()), Ok(duration));
    }

    #[test]
    fn canonical_quantities_read_back(
        number in "[-+]?[0-9]{1,12}(\\.[0-9]{1,8})?",
        suffix in "(n|u|m||k|M|G|T|Ki|Mi|Gi|e3|e-2)",
    ) {
        let quantity = Quantity::parse(&format!("{number}{suffix}")).unwrap();
        let again = Quantity::parse(&quantity.canonical()).unwrap();
        prop_assert_eq!(&again, &quantity);
        prop_assert_eq!(again.canonical(), quantity.canonical());
    }

    #[test]
    fn a_text_matches_itself_escaped(text in "[a-c*?{}\\[\\],/.!-]{0,12}") {
        let escaped: String = text.chars().flat_map(|c| ['\\', c]).collect();
        prop_assert!(Glob::new(&escaped, &['/']).unwrap().matches(&text));
        prop_assert!(PathGlob::new(&escaped).unwrap().matches(&text));
    }

    #[test]
    fn nothing_brings_the_readers_down(text in "\\PC{0,24}", other in "\\PC{0,24}") {
        let _ = Version::parse(&text);
        let _ = Duration::parse(&text);
        let _ = classify(&text);
        if let Ok(quantity) = Quantity::parse(&text) {
            let _ = (quantity.to_string(), quantity.as_f64(), quantity.as_i64_rounded_up());
        }
        if let Ok(glob) = Glob::new(&text, &['/']) {
            let _ = glob.matches(&other);
        }
        if let Ok(glob) = PathGlob::new(&text) {
            let _ = glob.matches(&other);
        }
    }

    #[test]
    fn odd_numbers_never_overflow(text in "[-+]?[0-9.]{0,45}[eEinumkKMGTP]{0,2}[-+]?[0-9]{0,12}") {
        if let Ok(quantity) = Quantity::parse(&text) {
            prop_assert_eq!(quantity.cmp(&quantity), std::cmp::Ordering::Equal);
            let _ = (quantity.canonical(), quantity.as_f64(), quantity.as_i64_rounded_up());
        }
    }
}
