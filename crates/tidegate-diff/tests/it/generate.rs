//! Objects by the roll of dice: deterministic, small, and full of collisions between managers.

use serde_json::{Map, Value, json};

/// A small deterministic source of choices.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    pub(crate) fn often(&mut self) -> bool {
        self.roll(3) > 0
    }

    pub(crate) fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.roll(of.len() as u64)).unwrap()]
    }

    pub(crate) fn strings(&mut self, keys: &[&str]) -> Value {
        let mut map = Map::new();
        for key in keys {
            if self.often() {
                map.insert((*key).to_owned(), json!(self.pick(&["1", "2", "a<b&c"])));
            }
        }
        Value::Object(map)
    }

    pub(crate) fn subset(&mut self, of: &[Value]) -> Value {
        let mut items: Vec<Value> = of.iter().filter(|_| self.often()).cloned().collect();
        if self.roll(3) == 0 {
            items.reverse();
        }
        Value::Array(items)
    }
}

pub(crate) fn config_map(dice: &mut Dice) -> Value {
    let mut object = json!({});
    if dice.often() {
        object["data"] = dice.strings(&["a", "b", "c"]);
    }
    object["metadata"] = json!({"labels": {"l": dice.pick(&["x", "y"])}});
    if dice.often() {
        object["metadata"]["annotations"] = dice.strings(&["p", "q"]);
    }
    if dice.often() {
        object["metadata"]["finalizers"] =
            dice.subset(&[json!("test.example/a"), json!("test.example/b")]);
    }
    object
}

pub(crate) fn service(dice: &mut Dice) -> Value {
    let mut spec = json!({"selector": {"app": dice.pick(&["x", "y"])}});
    let mut ports =
        vec![json!({"name": "http", "port": 80, "targetPort": dice.pick(&["web", "alt"])})];
    if dice.often() {
        ports.push(json!({"name": "dns", "port": 53, "protocol": "UDP"}));
    }
    if dice.often() {
        ports.push(json!({"name": "dns-tcp", "port": 53, "protocol": "TCP"}));
    }
    spec["ports"] = Value::Array(ports);
    if dice.often() {
        spec["sessionAffinity"] = json!(dice.pick(&["None", "ClientIP"]));
    }
    json!({"metadata": {"labels": dice.strings(&["a", "b"])}, "spec": spec})
}

pub(crate) fn deployment(dice: &mut Dice) -> Value {
    let mut main = json!({"name": "main", "image": dice.pick(&["i:1", "i:2"])});
    if dice.often() {
        main["env"] = dice.subset(&[
            json!({"name": "A", "value": "1"}),
            json!({"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
            json!({"name": "C", "value": "3"}),
        ]);
    }
    if dice.often() {
        main["ports"] = dice.subset(&[
            json!({"containerPort": 80}),
            json!({"containerPort": 53, "protocol": "UDP"}),
            json!({"containerPort": 9, "name": "nine"}),
        ]);
    }
    if dice.often() {
        main["resources"] = json!({"limits": {"cpu": dice.pick(&["1000m", "1", "0.5"])}});
    }
    if dice.often() {
        main["args"] = dice.subset(&[json!("-a"), json!("-b")]);
    }
    let side = json!({"name": "side", "image": dice.pick(&["s:1", "s:2"])});
    let mut containers = vec![main];
    if dice.often() {
        containers.insert(usize::try_from(dice.roll(2)).unwrap(), side);
    }
    let mut pod = json!({"containers": containers});
    if dice.often() {
        pod["nodeSelector"] = json!({"disk": dice.pick(&["ssd", "hdd"])});
    }
    if dice.often() {
        pod["tolerations"] = dice.subset(&[
            json!({"key": "a", "operator": "Exists"}),
            json!({"key": "b", "value": "c"}),
        ]);
    }
    if dice.often() {
        pod["volumes"] = dice.subset(&[
            json!({"name": "e", "emptyDir": {}}),
            json!({"name": "c", "configMap": {"name": "c"}}),
        ]);
    }
    let mut spec = json!({
        "selector": {"matchLabels": {"app": "x"}},
        "template": {"metadata": {"labels": {"app": "x"}}, "spec": pod},
    });
    if dice.often() {
        spec["replicas"] = json!(dice.roll(3));
    }
    if dice.often() {
        spec["strategy"] = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": dice.pick(&["10%", "20%"])}});
    }
    json!({"metadata": {"labels": dice.strings(&["a", "b"])}, "spec": spec})
}

pub(crate) fn widget(dice: &mut Dice) -> Value {
    let mut spec = json!({});
    if dice.often() {
        spec["items"] = dice.subset(&[
            json!({"name": "a", "v": 1, "tags": ["x"]}),
            json!({"name": "b", "v": 2}),
            json!({"name": "c", "nested": {"deep": {"x": 1, "y": 2}}}),
            json!({"name": "d", "port": 9, "v": 1}),
        ]);
    }
    if dice.often() {
        spec["set"] = dice.subset(&[json!("one"), json!("two"), json!("th<ree")]);
    }
    if dice.often() {
        spec["plain"] = dice.subset(&[json!({"a": 1}), json!({"b": 2})]);
    }
    if dice.often() {
        spec["frozen"] = dice.strings(&["a", "b"]);
    }
    if dice.often() {
        spec["free"] = json!({"deep": {"list": [1, {"k": 1}], "map": dice.strings(&["m", "n"])}});
    }
    if dice.often() {
        spec["port"] = if dice.often() {
            json!("http")
        } else {
            json!(80)
        };
    }
    if dice.often() {
        spec["labels"] = dice.strings(&["u", "v", "w"]);
    }
    if dice.often() {
        spec["number"] = if dice.often() { json!(1.5) } else { json!(2) };
    }
    if dice.roll(4) == 0 {
        spec["pod"] = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": dice.strings(&["z"])}, "extra": 1});
    }
    json!({"metadata": {"labels": dice.strings(&["a", "b"])}, "spec": spec})
}

pub(crate) fn widget_crd() -> Value {
    let string = json!({"type": "string"});
    let item = json!({"type": "object", "required": ["name"], "properties": {
        "name": string, "v": {"type": "integer"}, "port": {"type": "integer", "default": 8},
        "tags": {"type": "array", "items": string, "x-kubernetes-list-type": "set"},
        "nested": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.diff.tidegate.dev"},
        "spec": {
            "group": "diff.tidegate.dev", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": {
                "type": "object",
                "properties": {
                    "spec": {"type": "object", "properties": {
                        "items": {"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "port"]},
                        "set": {"type": "array", "items": string, "x-kubernetes-list-type": "set"},
                        "plain": {"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
                        "frozen": {"type": "object", "additionalProperties": string, "x-kubernetes-map-type": "atomic"},
                        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                        "labels": {"type": "object", "additionalProperties": string},
                        "port": {"x-kubernetes-int-or-string": true},
                        "number": {"type": "number"},
                        "pod": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
                    }},
                    "status": {"type": "object", "properties": {"phase": string}},
                },
            }}}],
        },
    })
}
