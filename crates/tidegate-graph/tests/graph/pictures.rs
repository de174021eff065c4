//! Pictures: complete, escaped, the same every time.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_graph::{Graph, GraphOptions};
use tidegate_manifest::{Object, SyncFacts, Target};

use crate::fixture::{World, raw};

const NONE: Value = Value::Null;

fn svg(graph: &Graph) -> String {
    graph.to_svg(&graph.critical_path(|_| Duration::from_secs(1)))
}

fn world() -> World {
    World::new()
        .apply("v1 ConfigMap a/settings wave=-1", NONE)
        .apply("v1 Pod a/x", json!({"spec": {"containers": [{"envFrom": [{"configMapRef": {"name": "settings"}}]}]}}))
        .apply("batch/v1 Job a/smoke hook=PostSync", NONE)
        .prune("v1 Secret a/old", NONE)
}

/// Elements opened and closed in turn, attributes quoted: enough to trip over text that was not escaped.
fn assert_well_formed(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = svg;
    while let Some(at) = rest.find('<') {
        assert!(
            !rest[..at].contains('>') || open.last() == Some(&"style"),
            "stray > before {}",
            &rest[at..]
        );
        let end = rest.find('>').expect("every tag ends");
        let tag = &rest[at + 1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag
            .split([' ', '/'])
            .find(|word| !word.is_empty())
            .expect("a name");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        rest = &rest[end + 1..];
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[test]
fn an_svg_shows_waves_cards_and_reasons() {
    let graph = world().graph();
    let svg = svg(&graph);
    assert_well_formed(&svg);
    for part in [
        "Sync · wave -1",
        "Sync · wave 0",
        "PostSync · wave 0",
        ">settings<",
        ">smoke<",
        ">old<",
        ">prune<",
        "PostSync hook",
        "Pod a/x reads ConfigMap a/settings (.spec.containers[0].envFrom[0].configMapRef)",
        "prefers-color-scheme:dark",
        "longest chain",
    ] {
        assert!(svg.contains(part), "{part}");
    }
    assert!(
        !svg.contains("<script") && !svg.contains("NaN") && !svg.contains("inf"),
        "{svg}"
    );
}

#[test]
fn foreign_text_cannot_leave_its_place() {
    let evil = "\"/></title><script>alert(1)</script>\u{1}|`#;\n";
    let facts = SyncFacts::default();
    let body = json!({"apiVersion": format!("{evil}/v1"), "kind": evil});
    let graph = Graph::build([raw(&body, &facts, evil)], &GraphOptions::default());
    let svg = svg(&graph);
    assert_well_formed(&svg);
    assert!(!svg.contains("<script"));
    assert!(!graph.to_mermaid().contains("<script"));
    assert_eq!(
        graph
            .to_dot()
            .lines()
            .filter(|line| line.contains("script"))
            .count(),
        1
    );
}

#[test]
fn other_forms_hold_every_node_and_edge() {
    let graph = world().graph();
    let (dot, mermaid) = (graph.to_dot(), graph.to_mermaid());
    assert!(dot.starts_with("digraph tidegate {") && dot.ends_with("}\n"));
    assert!(
        dot.contains("label=\"Sync wave -1\"") && dot.contains("label=\"config\""),
        "{dot}"
    );
    assert!(
        mermaid.contains("[\"Sync wave -1\"]") && mermaid.contains("-->|\"config\"|"),
        "{mermaid}"
    );
    let json = graph.to_json();
    assert_eq!(json["version"], 1);
    let ids: Vec<&str> = json["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .filter_map(|node| node["id"].as_str())
        .collect();
    assert_eq!(
        ids,
        [
            "kubernetes:prod//ConfigMap/a/settings",
            "kubernetes:prod//Secret/a/old@prune",
            "kubernetes:prod//Pod/a/x",
            "kubernetes:prod/batch/Job/a/smoke@PostSync"
        ]
    );
    assert_eq!(
        json["edges"],
        json!([{
            "before": ids[0], "after": ids[2], "dependent": ids[2], "dependency": ids[0],
            "reason": {"relation": "configMap", "field": ".spec.containers[0].envFrom[0].configMapRef", "strength": "firm"},
            "text": "Pod a/x reads ConfigMap a/settings (.spec.containers[0].envFrom[0].configMapRef)",
        }])
    );
    assert_eq!(
        json["groups"][1],
        json!({"phase": "Sync", "wave": 0, "prunes": [ids[1]], "applies": [ids[2]]})
    );
}

#[test]
fn an_empty_graph_and_a_huge_one_are_drawn() {
    assert_well_formed(&svg(&World::new().graph()));
    let world = (0..3_000).fold(World::new(), |world, i| {
        world.apply(&format!("v1 ConfigMap a/c{i} wave={}", i % 3), NONE)
    });
    let svg = svg(&world.graph());
    assert_well_formed(&svg);
    assert!(svg.contains("gathered by kind") && svg.contains("1000 objects"));
    assert!(svg.len() < 40_000, "{}", svg.len());
}

#[test]
fn targets_are_lanes() {
    let objects: Vec<Object> = world().desired;
    let inputs = objects.iter().enumerate().flat_map(|(i, object)| {
        let name = if i == 0 { "one" } else { "two" };
        tidegate_graph::NodeInput::of_object(object, &Target::kubernetes(name))
    });
    let graph = Graph::build(inputs, &GraphOptions::default());
    assert_eq!(graph.edges(), []);
    let svg = svg(&graph);
    assert!(
        svg.contains("lane-name") && svg.matches("class=\"lane\"").count() == 1,
        "{svg}"
    );
}
