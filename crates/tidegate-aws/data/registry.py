"""Makes registry.txt: what CloudFormation's registry says of every resource type, one line each.

    pip install cfn-lint==1.58.0
    python registry.py > registry.txt

A line is the type, then fields: i primary identifier, r read-only, c create-only, d create-only under
a condition, w write-only, t the property of tags, h the handlers (Create Read Update Delete List).
Paths are dotted, `*` stands for the items of a list or the values of a map.
"""
import glob
import json
import os

import cfnlint.data.schemas.resources as resources


def paths(schema, key):
    for path in schema.get(key, []):
        path = path.removeprefix("/properties/").replace("/properties/", ".")
        yield path.replace("/items/", ".*.").replace("/items", ".*").replace("/", ".")


for name in sorted(glob.glob(os.path.join(list(resources.__path__)[0], "*.json"))):
    with open(name) as file:
        schema = json.load(file)
    row = [schema["typeName"]]
    for short, key in [
        ("i", "primaryIdentifier"),
        ("r", "readOnlyProperties"),
        ("c", "createOnlyProperties"),
        ("d", "conditionalCreateOnlyProperties"),
        ("w", "writeOnlyProperties"),
    ]:
        found = list(paths(schema, key))
        if found:
            row.append(f"{short}={','.join(found)}")
    tagging = schema.get("tagging")
    if isinstance(tagging, dict):
        if tagging.get("taggable") is not False and "tagProperty" in tagging:
            row.append("t=" + tagging["tagProperty"].removeprefix("/properties/"))
        elif tagging.get("taggable") is not False and "Tags" in schema.get("properties", {}):
            row.append("t=Tags")
    elif schema.get("taggable") and "Tags" in schema.get("properties", {}):
        row.append("t=Tags")
    kinds = [("C", "create"), ("R", "read"), ("U", "update"), ("D", "delete"), ("L", "list")]
    handlers = "".join(short for short, key in kinds if key in schema.get("handlers", {}))
    if handlers:
        row.append(f"h={handlers}")
    print(" ".join(row))
