"""Cleans orders: one item of the table and one raw object a record."""

import base64
import json
import os

import aws


def handler(event, context):
    """Takes a batch of Kinesis records, or one order as it is; returns what failed, or the clean order."""
    if "Records" not in event:
        return clean(event)
    failures = []
    for record in event["Records"]:
        data = base64.b64decode(record["kinesis"]["data"])
        try:
            order = clean(json.loads(data))
            aws.put_object(os.environ["BUCKET"], f"raw/{order['orderId']}.json", data)
            aws.put_item(
                os.environ["TABLE"],
                {
                    "orderId": {"S": order["orderId"]},
                    "cents": {"N": str(order["cents"])},
                    "stage": {"S": os.environ["STAGE"]},
                },
            )
        except (KeyError, ValueError) as error:
            print(f"record {record['kinesis']['sequenceNumber']}: {error!r}")
            failures.append({"itemIdentifier": record["kinesis"]["sequenceNumber"]})
    return {"batchItemFailures": failures}


def clean(order):
    """An order with its amount in whole cents; one without id or amount is refused."""
    return {
        "orderId": str(order["orderId"]).strip(),
        "cents": round(float(order["amount"]) * 100),
    }
