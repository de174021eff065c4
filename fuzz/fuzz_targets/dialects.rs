//! Any text: the Go dialects never panic, and what they print they read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_gocompat::semver::{classify, max_matching};
use tidegate_gocompat::{Constraint, Duration, Glob, PathGlob, Quantity, Version};

fuzz_target!(|text: &str| {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(duration) = Duration::parse(first) {
        assert_eq!(Duration::parse(&duration.to_string()), Ok(duration));
    }
    if let Ok(quantity) = Quantity::parse(first) {
        let printed = quantity.canonical();
        let again = Quantity::parse(&printed).expect("what is printed can be read");
        assert_eq!(again.canonical(), printed);
        let _ = (quantity.as_f64(), quantity.as_i64_rounded_up(), quantity.is_zero());
    }
    let _ = classify(first);
    if let Ok(constraint) = Constraint::parse(first) {
        if let Some(found) = max_matching(&constraint, rest.lines()) {
            let version = Version::parse(found).expect("only versions match");
            assert!(constraint.matches(&version));
        }
    }
    if let Ok(glob) = Glob::new(first, &[]) {
        let _ = glob.matches(rest);
    }
    if let Ok(glob) = Glob::new(first, &['/']) {
        let _ = glob.matches(rest);
    }
    if let Ok(glob) = PathGlob::new(first) {
        let _ = glob.matches(rest);
    }
});
