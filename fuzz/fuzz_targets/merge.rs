//! Any objects and patches of one kind: merging never panics, and what was applied changes nothing when it is applied again.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tidegate_diff::managed::{KindVersions, OnConflict, Request, apply};
use tidegate_diff::merge_patch::{create_merge_patch, merge_patch};
use tidegate_diff::schema::{Schema, TypeRef};
use tidegate_diff::strategic::{create_two_way_merge_patch, strategic_merge_patch};

static TYPE: LazyLock<TypeRef> =
    LazyLock::new(|| Schema::builtin("apps", "v1", "Deployment").expect("it is built in"));
static VERSIONS: LazyLock<KindVersions> =
    LazyLock::new(|| KindVersions::one("apps/v1", TYPE.clone()));

fn object(text: &str) -> Option<Value> {
    let mut value: Value = serde_json::from_str(text).ok()?;
    let fields = value.as_object_mut()?;
    fields.insert("apiVersion".to_owned(), "apps/v1".into());
    fields.insert("kind".to_owned(), "Deployment".into());
    Some(value)
}

fuzz_target!(|text: &str| {
    let (first, second) = text.split_once('\n').unwrap_or((text, "{}"));
    let (Some(live), Some(config)) = (object(first), object(second)) else {
        return;
    };
    let _ = strategic_merge_patch(&TYPE, &live, &config);
    if let Ok(patch) = create_two_way_merge_patch(&TYPE, &live, &config) {
        let _ = strategic_merge_patch(&TYPE, &live, &patch);
    }
    let _ = merge_patch(&live, &create_merge_patch(&live, &config));
    let request = Request {
        versions: &*VERSIONS,
        api_version: "apps/v1",
        kind: "Deployment",
        subresource: "",
        manager: "fuzz",
        now: "2026-01-02T03:04:05Z",
    };
    let _ = apply(&request, Some(&live), &config, OnConflict::Fail);
    if let Ok(done) = apply(&request, Some(&live), &config, OnConflict::Force) {
        let again = apply(&request, Some(&done.object), &config, OnConflict::Fail);
        let again = again.expect("one's own fields do not conflict");
        assert_eq!(again.object, done.object);
        assert!(!again.changed);
    }
});
