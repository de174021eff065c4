"""Opens an alert for each record: one item of the table a record."""

import base64
import json
import os

import aws


def handler(event, context):
    """Takes the records of a topic, by partition; returns those that are no alerts."""
    failures = []
    for records in event["records"].values():
        for record in records:
            try:
                alert = json.loads(base64.b64decode(record["value"]))
                aws.put_item(
                    os.environ["TABLE"],
                    {
                        "alertId": {"S": str(alert["id"])},
                        "severity": {"S": str(alert.get("severity", "unknown"))},
                        "offset": {"N": str(record["offset"])},
                    },
                )
            except (KeyError, TypeError, ValueError) as error:
                place = {"partition": f"{record['topic']}-{record['partition']}", "offset": record["offset"]}
                print(f"{place}: {error!r}")
                failures.append({"itemIdentifier": place})
                break
    return {"batchItemFailures": failures}
