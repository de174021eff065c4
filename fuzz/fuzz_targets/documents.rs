//! Any manifest: reading Applications, projects, settings and objects never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_manifest::{Documents, Origin, read_documents};
use tidegate_yaml::{ParseOptions, parse_stream};

fuzz_target!(|bytes: &[u8]| {
    let mut documents = Documents::default();
    for document in parse_stream(bytes, &ParseOptions::default()).documents {
        read_documents(&document.root, &Origin::default(), &mut documents);
    }
});
