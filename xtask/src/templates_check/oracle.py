# Transforms SAM templates with the reference: one JSON request a line in, one JSON answer a line out.
import json
import logging
import os
import sys

from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.translator import arn_generator
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

logging.disable(logging.CRITICAL)


class Policies:
    def load(self):
        return {}


CODE = ("CodeUri", "ContentUri", "DefinitionUri", "Definition")


def take_code(theirs, ours):
    """Local code was packaged on our side; the reference reads the same places."""
    if not isinstance(theirs, dict) or not isinstance(ours, dict):
        return
    taken = {}
    for name, value in theirs.items():
        if name in CODE and isinstance(value, str):
            taken.update((other, ours[other]) for other in CODE if other in ours)
        elif name not in taken:
            taken[name] = value
    theirs.clear()
    theirs.update(taken)


def answer(request):
    os.environ["AWS_DEFAULT_REGION"] = request["region"]
    arn_generator._get_region_from_session.cache_clear()
    arn_generator._region_to_partition.cache_clear()
    with open(request["file"], encoding="utf-8") as file:
        text = file.read()
    try:
        document = json.loads(text)
    except ValueError:
        document = json.loads(json.dumps(yaml_parse(text), default=str))
    packed = request.get("packed") or {}
    if isinstance(document, dict):
        sections = [((document.get("Globals") or {}).get("Function"), (packed.get("Globals") or {}).get("Function"))]
        resources = document.get("Resources")
        for name, resource in (resources if isinstance(resources, dict) else {}).items():
            ours = (packed.get("Resources") or {}).get(name)
            if isinstance(resource, dict) and isinstance(ours, dict):
                if str(resource.get("Type")).startswith("AWS::Serverless"):
                    sections.append((resource.get("Properties"), ours.get("Properties")))
        for theirs, ours in sections:
            take_code(theirs, ours)
    try:
        return {"template": transform(document, request["parameters"], Policies())}
    except InvalidDocumentException as error:
        return {"errors": [cause.message for cause in error.causes]}


for line in sys.stdin:
    try:
        told = answer(json.loads(line))
    except Exception as error:
        told = {"crash": "%s: %s" % (type(error).__name__, error)}
    print(json.dumps(told), flush=True)
