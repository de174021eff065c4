//! Any bytes as a Git tree: no panic, and no name comes through that could lead outside or into `.git`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(names) = tidegate_git::fuzzing::tree_names(bytes) else {
        return;
    };
    for pair in names.windows(2) {
        assert!(pair[0] < pair[1]);
    }
    for name in &names {
        assert!(!name.is_empty() && name != "." && name != "..");
        assert!(!name.contains(['/', '\\', '\0']));
        assert!(!name.eq_ignore_ascii_case(".git"));
    }
});
