//! Any text: the Go dialects never panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = tidegate_gocompat::duration::parse(text);
});
