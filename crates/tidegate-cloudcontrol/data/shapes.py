"""Makes shapes.txt: which values of a resource type are numbers, flags, documents, sets, and which have defaults.

    pip install cfn-lint==1.58.0
    python shapes.py > shapes.txt

Only types whose resources Cloud Control can make, read and delete stand in it. A line is the type, a tab, the
objects, a tab, the defaults of top-level properties as JSON. Objects are separated by `|`, the first one is the
resource itself; an object is a list of `Name=kind`: `i` number, `b` flag, `j` anything (left as it is), a number
(the object at that place), `[kind` a list, `{kind` a list whose order means nothing. Text is left out.
"""
import glob
import json
import os

import cfnlint.data.schemas.resources as resources


def resolve(schema, node):
    for _ in range(20):
        if not isinstance(node, dict) or "$ref" not in node:
            return node
        here = schema
        for step in node["$ref"].removeprefix("#/").split("/"):
            here = here.get(step, {})
        node = here
    return node


class Shapes:
    def __init__(self, schema):
        self.schema = schema
        self.objects = []
        self.places = {}

    def object(self, node):
        key = json.dumps(node.get("properties"), sort_keys=True)
        if key in self.places:
            return self.places[key]
        place = len(self.objects)
        self.places[key] = place
        self.objects.append("")
        fields = []
        for name, value in sorted(node.get("properties", {}).items()):
            kind = self.kind(value)
            if kind:
                fields.append(f"{name}={kind}")
        self.objects[place] = ",".join(fields)
        return place

    def kind(self, node):
        node = resolve(self.schema, node)
        kinds = node.get("type", "object" if "properties" in node else None)
        if isinstance(kinds, list):
            return "j" if len(kinds) > 1 else self.kind({**node, "type": kinds[0]})
        if kinds in ("integer", "number"):
            return "i"
        if kinds == "boolean":
            return "b"
        if kinds == "string":
            return ""
        if kinds == "array":
            below = self.kind(node.get("items", {}))
            return ("[" if node.get("insertionOrder", True) else "{") + below
        if kinds == "object" and node.get("properties"):
            return str(self.object(node))
        return "j"


for name in sorted(glob.glob(os.path.join(list(resources.__path__)[0], "*.json"))):
    with open(name) as file:
        schema = json.load(file)
    if not {"create", "read", "delete"} <= set(schema.get("handlers", {})):
        continue
    shapes = Shapes(schema)
    shapes.object(schema)
    defaults = {}
    for field, value in schema.get("properties", {}).items():
        found = resolve(schema, value)
        default = value.get("default", found.get("default"))
        if isinstance(default, (bool, int, float, str)) and f"/properties/{field}" not in schema.get("readOnlyProperties", []):
            defaults[field] = default
    row = [schema["typeName"], "|".join(shapes.objects)]
    row.append(json.dumps(defaults, sort_keys=True, separators=(",", ":")) if defaults else "")
    print("\t".join(row))
