"""The one call that the function makes: through boto3 where it is there, as it is in Lambda, else by hand."""

import http.client
import json
import os
from urllib.parse import urlsplit

try:
    import boto3
except ImportError:
    boto3 = None


def put_item(table, item):
    """Writes an item in DynamoDB's own form."""
    if boto3:
        boto3.client("dynamodb").put_item(TableName=table, Item=item)
        return
    headers = {
        "X-Amz-Target": "DynamoDB_20120810.PutItem",
        "Content-Type": "application/x-amz-json-1.0",
    }
    body = json.dumps({"TableName": table, "Item": item})
    call("POST", "/", body.encode(), headers)


def call(method, path, body, headers):
    """One unsigned call to the emulator that the environment names."""
    endpoint = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    connection = http.client.HTTPConnection(endpoint.netloc, timeout=10)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path}: {answer.status} {text[:200]!r}")
