//! Any bytes: no panic, no unbounded work, and what was read is read again from its own printing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_yaml::{ParseOptions, parse_stream, to_string};

fuzz_target!(|bytes: &[u8]| {
    let options = ParseOptions::default();
    for document in parse_stream(bytes, &options).documents {
        let value = document.root.to_json();
        let again = parse_stream(to_string(&value).as_bytes(), &options);
        assert!(again.errors.is_empty(), "{:?}", again.errors);
        if let Some(first) = again.documents.first() {
            assert_eq!(first.root.to_json(), value);
        }
    }
});
