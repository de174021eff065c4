"""A pipeline by the AWS CLI: a stream, a function whose handler uses boto3, a table and a bucket; code changes while it polls."""
import os, pathlib, subprocess, tempfile
from common import *

aws = str(pathlib.Path(sys.executable).parent / "aws")
work = pathlib.Path(tempfile.mkdtemp())
environment = dict(os.environ, AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b", AWS_DEFAULT_REGION="eu-west-1", AWS_PAGER="", AWS_EC2_METADATA_DISABLED="true")


def cli(*words, fails=None):
    done = subprocess.run([sys.executable, aws, "--endpoint-url", endpoint, *map(str, words)], env=environment, capture_output=True, text=True, cwd=work, timeout=180)
    if fails:
        assert done.returncode and fails in done.stderr, (words, done.stderr)
        return None
    assert done.returncode == 0, (words, done.stderr)
    return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else done.stdout.strip()


HANDLER = """
import base64, json, boto3
table = boto3.resource("dynamodb").Table("orders")
s3 = boto3.client("s3")
VERSION = 1
def handler(event, context):
    for record in event["Records"]:
        order = json.loads(base64.b64decode(record["kinesis"]["data"]))
        if order.get("poison"):
            raise ValueError("poison")
        table.put_item(Item={"id": order["id"], "total": order["total"] * 2, "by": VERSION})
        s3.put_object(Bucket="lake", Key="orders/%s.json" % order["id"], Body=json.dumps(order).encode())
    return {"written": len(event["Records"])}
"""
NODE = """
exports.handler = async (event) => {
  const failed = [];
  for (const record of event.Records) {
    console.log("message", record.body);
    if (record.body.startsWith("bad")) failed.push({ itemIdentifier: record.messageId });
  }
  return { batchItemFailures: failed };
};
"""
(work / "trust.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}))
(work / "one.zip").write_bytes(archive({"app.py": HANDLER}))
(work / "two.zip").write_bytes(archive({"app.py": HANDLER.replace("VERSION = 1", "VERSION = 2")}))
(work / "node.zip").write_bytes(archive({"index.js": NODE}))

# Roles, streams, tables, buckets, queues: by the CLI alone.
made = cli("iam", "create-role", "--role-name", "pipeline", "--assume-role-policy-document", "file://trust.json")["Role"]["Arn"]
cli("iam", "attach-role-policy", "--role-name", "pipeline", "--policy-arn", "arn:aws:iam::aws:policy/service-role/AWSLambdaKinesisExecutionRole")
assert cli("iam", "list-attached-role-policies", "--role-name", "pipeline")["AttachedPolicies"][0]["PolicyName"] == "AWSLambdaKinesisExecutionRole"
cli("kinesis", "create-stream", "--stream-name", "orders", "--shard-count", 1)
cli("kinesis", "wait", "stream-exists", "--stream-name", "orders")
stream = cli("kinesis", "describe-stream-summary", "--stream-name", "orders")["StreamDescriptionSummary"]["StreamARN"]
cli("dynamodb", "create-table", "--table-name", "orders", "--billing-mode", "PAY_PER_REQUEST", "--key-schema", "AttributeName=id,KeyType=HASH", "--attribute-definitions", "AttributeName=id,AttributeType=S")
cli("dynamodb", "wait", "table-exists", "--table-name", "orders")
cli("s3", "mb", "s3://lake")
cli("sqs", "create-queue", "--queue-name", "poisoned")
poisoned = cli("sqs", "get-queue-url", "--queue-name", "poisoned")["QueueUrl"]
dead = cli("sqs", "get-queue-attributes", "--queue-url", poisoned, "--attribute-names", "QueueArn")["Attributes"]["QueueArn"]

# A role is too new at first; then the function is Pending, and Active once it was waited for.
created = when(lambda: subprocess.run([sys.executable, aws, "--endpoint-url", endpoint, "lambda", "create-function", "--function-name", "transform", "--runtime", "python3.12", "--handler", "app.handler", "--role", made, "--timeout", "20", "--zip-file", "fileb://one.zip"], env=environment, capture_output=True, text=True, cwd=work).stdout)
assert json.loads(created)["State"] == "Pending" and json.loads(created)["StateReasonCode"] == "Creating", created
cli("lambda", "create-function", "--function-name", "transform", "--runtime", "python3.12", "--handler", "app.handler", "--role", made, "--zip-file", "fileb://one.zip", fails="(ResourceConflictException) when calling the CreateFunction operation: Function already exist: transform")
cli("lambda", "wait", "function-active-v2", "--function-name", "transform")
cli("lambda", "invoke", "--function-name", "transform", "--payload", '{"Records": []}', "out.json")
assert json.loads((work / "out.json").read_text()) == {"written": 0}
mapping = cli("lambda", "create-event-source-mapping", "--function-name", "transform", "--event-source-arn", stream, "--starting-position", "TRIM_HORIZON", "--batch-size", 10, "--maximum-retry-attempts", 0, "--destination-config", json.dumps({"OnFailure": {"Destination": dead}}))
assert mapping["State"] == "Creating"
cli("kinesis", "put-record", "--stream-name", "orders", "--partition-key", "a", "--data", '{"id": "a1", "total": 21}')
table, lake = client("dynamodb"), client("s3")


def order(key):
    return table.get_item(TableName="orders", Key={"id": {"S": key}}).get("Item")


item = when(lambda: order("a1"), 30)
assert item["total"] == {"N": "42"} and item["by"] == {"N": "1"}, item
assert cli("s3", "cp", "s3://lake/orders/a1.json", "-") == {"id": "a1", "total": 21}
assert "orders/a1.json" in cli("s3", "ls", "s3://lake", "--recursive")

# What a handler cannot take goes to the destination, and what follows is not held up.
cli("kinesis", "put-record", "--stream-name", "orders", "--partition-key", "a", "--data", '{"poison": true, "id": "p"}')
told = when(lambda: cli("sqs", "receive-message", "--queue-url", poisoned, "--wait-time-seconds", 2) or None, 30)
assert json.loads(told["Messages"][0]["Body"])["requestContext"]["condition"] == "RetryAttemptsExhausted", told

# New code while the mapping polls: nothing is lost, nothing is left out, the new code runs in the end.
kinesis, lam = client("kinesis"), client("lambda")
for n in range(30):
    kinesis.put_record(StreamName="orders", PartitionKey="k", Data=json.dumps({"id": f"b{n}", "total": n}).encode())
    if n == 10:
        changed = cli("lambda", "update-function-code", "--function-name", "transform", "--zip-file", "fileb://two.zip")
        assert changed["LastUpdateStatus"] == "InProgress" and changed["CodeSha256"] != json.loads(created)["CodeSha256"], changed
        cli("lambda", "wait", "function-updated-v2", "--function-name", "transform")
items = when(lambda: (found := [order(f"b{n}") for n in range(30)]) and all(found) and found, 30)
assert items[29]["by"] == {"N": "2"}, items[29]
assert [int(item["total"]["N"]) for item in items] == [2 * n for n in range(30)]
assert cli("lambda", "get-event-source-mapping", "--uuid", mapping["UUID"])["State"] == "Enabled"

# A mapping of an alias follows the alias.
version = cli("lambda", "publish-version", "--function-name", "transform")["Version"]
assert version == "1"
cli("lambda", "create-alias", "--function-name", "transform", "--name", "live", "--function-version", "1")
moved = cli("lambda", "update-event-source-mapping", "--uuid", mapping["UUID"], "--function-name", "transform:live")
assert moved["State"] == "Updating" and moved["FunctionArn"].endswith(":transform:live"), moved
when(lambda: lam.get_event_source_mapping(UUID=mapping["UUID"])["State"] == "Enabled")
kinesis.put_record(StreamName="orders", PartitionKey="k", Data=b'{"id": "c1", "total": 1}')
when(lambda: order("c1"), 20)

# A queue and a Node handler that says which messages failed.
cli("sqs", "create-queue", "--queue-name", "given-up")
given_up = cli("sqs", "get-queue-attributes", "--queue-url", cli("sqs", "get-queue-url", "--queue-name", "given-up")["QueueUrl"], "--attribute-names", "QueueArn")["Attributes"]["QueueArn"]
work_url = cli("sqs", "create-queue", "--queue-name", "work", "--attributes", json.dumps({"VisibilityTimeout": "4", "RedrivePolicy": json.dumps({"deadLetterTargetArn": given_up, "maxReceiveCount": 1})}))["QueueUrl"]
work_arn = cli("sqs", "get-queue-attributes", "--queue-url", work_url, "--attribute-names", "QueueArn")["Attributes"]["QueueArn"]
cli("lambda", "create-function", "--function-name", "checks", "--runtime", "nodejs22.x", "--handler", "index.handler", "--role", made, "--zip-file", "fileb://node.zip")
cli("lambda", "wait", "function-active-v2", "--function-name", "checks")
checks = cli("lambda", "create-event-source-mapping", "--function-name", "checks", "--event-source-arn", work_arn, "--function-response-types", "ReportBatchItemFailures")
if __import__("shutil").which("node"):
    sqs = client("sqs")
    for body in ("good 1", "bad 1", "good 2"):
        sqs.send_message(QueueUrl=work_url, MessageBody=body)
    left = client("sqs").get_queue_url(QueueName="given-up")["QueueUrl"]
    gone = when(lambda: sqs.receive_message(QueueUrl=left, WaitTimeSeconds=1).get("Messages"), 30)
    assert [message["Body"] for message in gone] == ["bad 1"], gone
    when(lambda: [event for event in client("logs").filter_log_events(logGroupName="/aws/lambda/checks")["events"] if "message good 2" in event["message"]])
else:
    print("passed over: node is not installed")

# Everything goes again, in true states.
deleted = cli("lambda", "delete-event-source-mapping", "--uuid", mapping["UUID"])
assert deleted["State"] == "Deleting", deleted
cli("lambda", "delete-event-source-mapping", "--uuid", checks["UUID"])
when(lambda: not lam.list_event_source_mappings()["EventSourceMappings"])
for name in ("transform", "checks"):
    cli("lambda", "delete-function", "--function-name", name)
    cli("lambda", "get-function", "--function-name", name, fails="ResourceNotFoundException")
cli("lambda", "invoke", "--function-name", "transform", "out.json", fails="Function not found: arn:aws:lambda:eu-west-1:123456789012:function:transform")
cli("iam", "delete-role", "--role-name", "pipeline", fails="DeleteConflict")
cli("iam", "detach-role-policy", "--role-name", "pipeline", "--policy-arn", "arn:aws:iam::aws:policy/service-role/AWSLambdaKinesisExecutionRole")
cli("iam", "delete-role", "--role-name", "pipeline")
cli("kinesis", "delete-stream", "--stream-name", "orders")
cli("kinesis", "wait", "stream-not-exists", "--stream-name", "orders")
cli("dynamodb", "delete-table", "--table-name", "orders")
cli("dynamodb", "wait", "table-not-exists", "--table-name", "orders")
cli("s3", "rb", "s3://lake", fails="BucketNotEmpty")
cli("s3", "rb", "s3://lake", "--force")
assert cli("logs", "describe-log-groups")["logGroups"], "logs stay, as they do at AWS"
for group in ("transform", "checks"):
    cli("logs", "delete-log-group", "--log-group-name", f"/aws/lambda/{group}")
print("pipeline: ok")
