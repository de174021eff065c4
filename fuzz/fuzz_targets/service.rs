//! Any serverless.yml, a file that it may name behind `%%`: composing never panics, and ends.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tidegate_manifest::Origin;
use tidegate_render::{AwsEnvironment, FileTree, MemoryTree};
use tidegate_serverless::service::compose;

fuzz_target!(|text: &str| {
    let (service, other) = text.split_once("\n%%\n").unwrap_or((text, "a: {b: c}\n"));
    let tree = MemoryTree::default()
        .with_file("serverless.yml", service)
        .with_file("a.yml", other)
        .with_file("handler.js", "");
    let tree: Arc<dyn FileTree> = Arc::new(tree);
    let _ = compose(&tree, "serverless.yml", service.as_bytes(), &AwsEnvironment::default(), &Origin::default());
});
