//! Bodies written by hand, as a client would write them, and hostile ones.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{MAGIC, decode};

fn varint(mut number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
    out
}

fn number(field: u64, value: i64) -> Vec<u8> {
    [varint(field << 3), varint(value.cast_unsigned())].concat()
}

fn bytes(field: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    [
        varint(field << 3 | 2),
        varint(value.len() as u64),
        value.to_vec(),
    ]
    .concat()
}

fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let types = [bytes(1, api_version), bytes(2, kind)].concat();
    [
        MAGIC.to_vec(),
        bytes(1, types),
        bytes(2, raw),
        bytes(3, ""),
        bytes(4, ""),
    ]
    .concat()
}

/// The members that a Go client always writes, empty.
fn metadata(name: &str) -> Vec<u8> {
    let empty = ["", "", "", "", ""];
    let mut out = bytes(1, name);
    for (field, text) in (2..).zip(empty) {
        out.extend(bytes(field, text));
    }
    out.extend(number(7, 0));
    out.extend(bytes(8, ""));
    out
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "cases read better without references"
)]
fn check(body: &[u8], expected: Value) {
    assert_eq!(decode(body).unwrap(), expected);
}

#[test]
fn a_config_map() {
    let raw = [
        bytes(1, metadata("a")),
        bytes(2, [bytes(1, "key"), bytes(2, "value")].concat()),
        bytes(2, [bytes(1, "empty"), bytes(2, "")].concat()),
        bytes(3, [bytes(1, "blob"), bytes(2, [0, 1, 255])].concat()),
    ]
    .concat();
    check(
        &body("v1", "ConfigMap", &raw),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"},
            "data": {"key": "value", "empty": ""}, "binaryData": {"blob": "AAH/"},
        }),
    );
}

#[test]
fn members_of_inlined_messages_and_alternatives() {
    // spec.template.spec.containers[0].livenessProbe.httpGet.port, and a strategy's percentages.
    let port = [number(1, 1), number(2, 0), bytes(3, "http")].concat();
    let handler = bytes(2, [bytes(1, "/"), bytes(2, port)].concat());
    let probe = [bytes(1, handler), number(3, 0)].concat();
    let quantity = [bytes(1, "cpu"), bytes(2, bytes(1, "100m"))].concat();
    let container = [
        bytes(1, "c"),
        bytes(2, "i"),
        bytes(8, bytes(1, quantity)),
        bytes(10, probe),
        number(16, 0),
    ]
    .concat();
    let template = bytes(2, bytes(2, container));
    let rolling = bytes(
        2,
        bytes(1, [number(1, 0), number(2, -1), bytes(3, "")].concat()),
    );
    let spec = [number(1, 0), bytes(3, template), bytes(4, rolling)].concat();
    check(
        &body("apps/v1", "Deployment", &bytes(2, spec)),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "spec": {
                "replicas": 0,
                "strategy": {"rollingUpdate": {"maxUnavailable": -1}},
                "template": {"spec": {"containers": [{
                    "name": "c", "image": "i", "resources": {"limits": {"cpu": "100m"}},
                    "livenessProbe": {"httpGet": {"path": "/", "port": "http"}},
                }]}},
            },
        }),
    );
}

#[test]
fn times_and_lists_and_options() {
    let micro = [number(1, 1_767_225_600), number(2, 5_000)].concat();
    check(
        &body(
            "coordination.k8s.io/v1",
            "Lease",
            &bytes(2, [number(2, 15), bytes(3, micro)].concat()),
        ),
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "spec": {"leaseDurationSeconds": 15, "acquireTime": "2026-01-01T00:00:00.000005Z"},
        }),
    );
    check(
        &body(
            "v1",
            "DeleteOptions",
            &[number(1, 0), bytes(4, "Foreground"), bytes(5, "All")].concat(),
        ),
        json!({
            "apiVersion": "v1", "kind": "DeleteOptions",
            "gracePeriodSeconds": 0, "propagationPolicy": "Foreground", "dryRun": ["All"],
        }),
    );
}

#[test]
fn malformed_bodies_answer_400() {
    let deep = (0..200).fold(Vec::new(), |inner, _| bytes(1, inner));
    let good = body("v1", "ConfigMap", &bytes(1, bytes(1, "a")));
    for wrong in [
        b"".to_vec(),
        b"k8s".to_vec(),
        b"{}".to_vec(),
        good[..good.len() - 5].to_vec(),
        body("v1", "Nothing", b""),
        body("v9", "ConfigMap", b""),
        body("v1", "ConfigMap", &number(1, 5)),
        body("v1", "ConfigMap", &[0xff; 11]),
        body("v1", "ConfigMap", &bytes(1, bytes(1, [0xff]))),
        body("v1", "ConfigMap", &varint(3 << 3 | 3)),
        body("apiextensions.k8s.io/v1", "CustomResourceDefinition", &deep),
        body("apps/v1", "ControllerRevision", &bytes(2, bytes(1, "{"))),
    ] {
        assert_eq!(decode(&wrong).unwrap_err().code, 400, "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn nothing_panics(raw in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..6) {
        let kinds = [("v1", "Pod"), ("apps/v1", "Deployment"), ("batch/v1", "CronJob"), ("v1", "Service"),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition"), ("authentication.k8s.io/v1", "TokenRequest")];
        let (version, kind) = kinds[at];
        let _ = decode(&body(version, kind, &raw));
        let _ = decode(&[MAGIC.to_vec(), raw].concat());
    }
}
