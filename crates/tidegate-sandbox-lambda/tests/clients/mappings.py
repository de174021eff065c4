"""Event source mappings by boto3: the API, and functions that really get their records."""
import base64, json, time
from datetime import datetime, timezone
from common import *

lam, kinesis, sqs, dynamo, s3, sns = (client(name) for name in ("lambda", "kinesis", "sqs", "dynamodb", "s3", "sns"))
runs = role()
# Plain HTTP: the interpreter that runs functions need not have boto3.
CODE = """
import json, base64, os, urllib.request
def handler(event, context):
    name = os.environ["SINK"] + "/" + context.aws_request_id
    url = os.environ["AWS_ENDPOINT_URL"] + "/sink/" + name
    urllib.request.urlopen(urllib.request.Request(url, method="PUT", data=json.dumps(event).encode())).read()
    texts = [base64.b64decode(r["kinesis"]["data"]).decode() if "kinesis" in r else r.get("body", "") for r in event["Records"]]
    if "window" in event:
        return {"state": {"n": event["state"].get("n", 0) + len(texts)}}
    if "bad" in texts and os.environ.get("PARTIAL"):
        r = event["Records"][texts.index("bad")]
        return {"batchItemFailures": [{"itemIdentifier": r["messageId"] if "body" in r else r["kinesis"]["sequenceNumber"]}]}
    if "bad" in texts:
        raise ValueError("bad record")
    return {}
"""
s3.create_bucket(Bucket="sink", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
time.sleep(1)


def function(name, **environment):
    lam.create_function(FunctionName=name, Runtime="python3.12", Handler="index.handler", Role=runs, Timeout=5, Code={"ZipFile": archive({"index.py": CODE})},
                        Environment={"Variables": {"SINK": name, **environment}})
    when(lambda: lam.get_function(FunctionName=name)["Configuration"]["State"] == "Active")


def events(name):
    """The events that a function got."""
    found = [json.loads(s3.get_object(Bucket="sink", Key=one["Key"])["Body"].read()) for one in s3.list_objects_v2(Bucket="sink", Prefix=name + "/").get("Contents", [])]
    return found


def texts(name):
    return [base64.b64decode(record["kinesis"]["data"]).decode() for event in events(name) for record in event["Records"]]


def enabled(made, state="Enabled"):
    when(lambda: lam.get_event_source_mapping(UUID=made["UUID"])["State"] == state)
    return made["UUID"]


def stream(name, shards=1):
    kinesis.create_stream(StreamName=name, ShardCount=shards)
    when(lambda: kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE")
    return kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]


def put(name, *records):
    kinesis.put_records(StreamName=name, Records=[{"PartitionKey": str(key), "Data": text.encode()} for key, text in records])


def queue(name, **attributes):
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


# What is refused, in AWS's words.
function("plain")
arn = stream("s")
refused("InvalidParameterValueException", "Value null at 'startingPosition'", lam.create_event_source_mapping, FunctionName="plain", EventSourceArn=arn)
refused("InvalidParameterValueException", "Stream not found: " + arn + "x", lam.create_event_source_mapping, FunctionName="plain", EventSourceArn=arn + "x", StartingPosition="LATEST")
refused("InvalidParameterValueException", "Function does not exist", lam.create_event_source_mapping, FunctionName="none", EventSourceArn=arn, StartingPosition="LATEST")
refused("InvalidParameterValueException", "Invalid filter pattern", lam.create_event_source_mapping, FunctionName="plain", EventSourceArn=arn, StartingPosition="LATEST", FilterCriteria={"Filters": [{"Pattern": "{\"data\": 5}"}]})
refused("InvalidParameterValueException", "MaximumRecordAgeInSeconds", lam.create_event_source_mapping, FunctionName="plain", EventSourceArn=arn, StartingPosition="LATEST", MaximumRecordAgeInSeconds=30)
refused("ResourceNotFoundException", "The resource you requested does not exist.", lam.get_event_source_mapping, UUID="0" * 36)

# A stream: order, batches, a duplicate mapping, disabling and going on, updates.
made = lam.create_event_source_mapping(FunctionName="plain", EventSourceArn=arn, StartingPosition="TRIM_HORIZON", BatchSize=3, Tags={"a": "b"})
assert made["State"] == "Creating" and made["FunctionArn"].endswith(":function:plain") and made["MaximumRetryAttempts"] == -1, made
assert made["StateTransitionReason"] == "User action" and made["LastProcessingResult"] == "No records processed", made
assert made["DestinationConfig"] == {"OnFailure": {}} and made["ParallelizationFactor"] == 1 and made["FunctionResponseTypes"] == [], made
refused("ResourceInUseException", "in use", lam.update_event_source_mapping, UUID=made["UUID"], BatchSize=4)
refused("ResourceConflictException", made["UUID"], lam.create_event_source_mapping, FunctionName="plain", EventSourceArn=arn, StartingPosition="LATEST")
uuid = enabled(made)
assert lam.list_tags(Resource=made["EventSourceMappingArn"])["Tags"] == {"a": "b"}
put("s", *[("k", str(n)) for n in range(7)])
when(lambda: len(texts("plain")) == 7)
assert max(len(event["Records"]) for event in events("plain")) <= 3
record = events("plain")[0]["Records"][0]
assert record["eventSource"] == "aws:kinesis" and record["eventSourceARN"] == arn and record["invokeIdentityArn"] == runs and record["eventID"].startswith("shardId-000000000000:"), record
when(lambda: lam.get_event_source_mapping(UUID=uuid)["LastProcessingResult"] == "OK")
lam.update_event_source_mapping(UUID=uuid, Enabled=False)
enabled(made, "Disabled")
put("s", ("k", "while disabled"))
time.sleep(0.6)
assert len(texts("plain")) == 7
lam.update_event_source_mapping(UUID=uuid, Enabled=True, BatchSize=100)
enabled(made)
when(lambda: "while disabled" in texts("plain"))
assert len(texts("plain")) == 8, "nothing comes twice after a pause"
assert lam.list_event_source_mappings(FunctionName="plain", EventSourceArn=arn)["EventSourceMappings"][0]["BatchSize"] == 100
# Resharding: children after their parent, nothing lost.
kinesis.update_shard_count(StreamName="s", TargetShardCount=2, ScalingType="UNIFORM_SCALING")
when(lambda: kinesis.describe_stream_summary(StreamName="s")["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE")
put("s", *[(n, f"after {n}") for n in range(20)])
when(lambda: sum(text.startswith("after") for text in texts("plain")) == 20)
lam.delete_event_source_mapping(UUID=uuid)
when(lambda: not lam.list_event_source_mappings(FunctionName="plain")["EventSourceMappings"])

# Bisect, retries, a queue for what failed.
url, dead = queue("dead")
function("splits")
arn = stream("b")
made = lam.create_event_source_mapping(FunctionName="splits", EventSourceArn=arn, StartingPosition="TRIM_HORIZON", BisectBatchOnFunctionError=True, MaximumRetryAttempts=1,
                                       DestinationConfig={"OnFailure": {"Destination": dead}}, BatchSize=8)
put("b", *[("k", "bad" if n == 5 else str(n)) for n in range(8)])
told = when(lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages"), 30)
told = json.loads(told[0]["Body"])
assert told["requestContext"]["condition"] == "RetryAttemptsExhausted" and told["KinesisBatchInfo"]["batchSize"] == 1 and told["responseContext"]["functionError"] == "Unhandled", told
assert told["KinesisBatchInfo"]["streamArn"] == arn and told["requestContext"]["functionArn"].endswith("function:splits")
when(lambda: lam.get_event_source_mapping(UUID=made["UUID"])["LastProcessingResult"] == "OK")
done = [base64.b64decode(r["kinesis"]["data"]).decode() for event in events("splits") for r in event["Records"] if not any(base64.b64decode(x["kinesis"]["data"]) == b"bad" for x in event["Records"])]
assert sorted(done) == sorted(str(n) for n in range(8) if n != 5), done

# Of an alias, the version that ran is told.
lam.publish_version(FunctionName="splits")
lam.create_alias(FunctionName="splits", Name="live", FunctionVersion="1")
arn = stream("v")
lam.create_event_source_mapping(FunctionName="splits:live", EventSourceArn=arn, StartingPosition="TRIM_HORIZON", MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": dead}})
put("v", ("k", "bad"))
told = when(lambda: [m for m in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", []) if arn in m["Body"]], 30)
told = json.loads(told[0]["Body"])
assert told["responseContext"]["executedVersion"] == "1" and told["requestContext"]["functionArn"].endswith(":splits:live"), told

# Partial failures of a stream, given up into a bucket.
function("partial", PARTIAL="1")
arn = stream("p")
lam.create_event_source_mapping(FunctionName="partial", EventSourceArn=arn, StartingPosition="TRIM_HORIZON", MaximumRetryAttempts=1, FunctionResponseTypes=["ReportBatchItemFailures"],
                                DestinationConfig={"OnFailure": {"Destination": "arn:aws:s3:::sink"}})
put("p", ("k", "1"), ("k", "bad"), ("k", "2"))
kept = when(lambda: s3.list_objects_v2(Bucket="sink", Prefix="aws/lambda/").get("Contents"), 20)
kept = json.loads(s3.get_object(Bucket="sink", Key=kept[0]["Key"])["Body"].read())
assert len(kept["payload"]["Records"]) == 2 and kept["KinesisBatchInfo"]["batchSize"] == 2 and kept["responseContext"]["functionError"] is None, kept

# Filters and lanes.
function("picks")
arn = stream("f", 2)
enabled(lam.create_event_source_mapping(FunctionName="picks", EventSourceArn=arn, StartingPosition="LATEST", ParallelizationFactor=4, FilterCriteria={"Filters": [{"Pattern": json.dumps({"data": {"kind": ["a"]}})}]}))
put("f", *[(n % 7, json.dumps({"kind": "ab"[n % 2], "n": n})) for n in range(40)])
when(lambda: len(texts("picks")) == 20)
assert {json.loads(text)["kind"] for text in texts("picks")} == {"a"}

# Tumbling windows: the state goes from one invocation to the next, and the last one has no records.
function("tumbles")
arn = stream("w")
enabled(lam.create_event_source_mapping(FunctionName="tumbles", EventSourceArn=arn, StartingPosition="LATEST", TumblingWindowInSeconds=3))
for n in range(4):
    put("w", ("k", str(n)))
    time.sleep(0.3)
last = when(lambda: [event for event in events("tumbles") if event["isFinalInvokeForWindow"]] if sum(e["state"].get("n", 0) for e in events("tumbles") if e["isFinalInvokeForWindow"]) == 4 else None, 15)
assert all(event["Records"] == [] and not event["isWindowTerminatedEarly"] for event in last), last

# A table's change log.
function("changes")
table = dynamo.create_table(TableName="tab", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}], AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
                            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})["TableDescription"]
when(lambda: dynamo.describe_table(TableName="tab")["Table"]["TableStatus"] == "ACTIVE")
log = table["LatestStreamArn"]
refused("InvalidParameterValueException", "Unsupported starting position for arn type", lam.create_event_source_mapping, FunctionName="changes", EventSourceArn=log, StartingPosition="AT_TIMESTAMP", StartingPositionTimestamp=datetime(2020, 1, 1, tzinfo=timezone.utc))
enabled(lam.create_event_source_mapping(FunctionName="changes", EventSourceArn=log, StartingPosition="LATEST"))
dynamo.put_item(TableName="tab", Item={"k": {"S": "a"}})
dynamo.put_item(TableName="tab", Item={"k": {"S": "a"}, "v": {"N": "1"}})
dynamo.delete_item(TableName="tab", Key={"k": {"S": "a"}})
when(lambda: sum(len(event["Records"]) for event in events("changes")) == 3)
names = sorted(record["eventName"] for event in events("changes") for record in event["Records"])
assert names == ["INSERT", "MODIFY", "REMOVE"], names
assert all(record["eventSourceARN"] == log for event in events("changes") for record in event["Records"])

# Queues: batches, what failed comes again and is taken away by the redrive policy, partial answers.
gone_url, gone = queue("gone")
url, arn = queue("q", VisibilityTimeout="5", RedrivePolicy=json.dumps({"deadLetterTargetArn": gone, "maxReceiveCount": "1"}))
function("reads", PARTIAL="1")
short_url, short = queue("short", VisibilityTimeout="1")
refused("InvalidParameterValueException", "Queue visibility timeout: 1 seconds is less than Function timeout: 5 seconds", lam.create_event_source_mapping, FunctionName="reads", EventSourceArn=short)
refused("InvalidParameterValueException", "Maximum batch window in seconds must be greater than 0", lam.create_event_source_mapping, FunctionName="reads", EventSourceArn=arn, BatchSize=11)
refused("InvalidParameterValueException", "StartingPosition is not valid for SQS event sources.", lam.create_event_source_mapping, FunctionName="reads", EventSourceArn=arn, StartingPosition="LATEST")
made = lam.create_event_source_mapping(FunctionName="reads", EventSourceArn=arn, BatchSize=20, MaximumBatchingWindowInSeconds=1, FunctionResponseTypes=["ReportBatchItemFailures"], ScalingConfig={"MaximumConcurrency": 2})
assert made["StateTransitionReason"] == "USER_INITIATED" and "LastProcessingResult" not in made and "StartingPosition" not in made, made
refused("ResourceConflictException", "An event source mapping with SQS arn", lam.create_event_source_mapping, FunctionName="reads", EventSourceArn=arn)
enabled(made)
for n in range(15):
    sqs.send_message(QueueUrl=url, MessageBody="bad" if n == 3 else str(n), MessageAttributes={"n": {"DataType": "Number", "StringValue": str(n)}})
bodies = lambda: [record["body"] for event in events("reads") for record in event["Records"]]
when(lambda: len(set(bodies())) == 15)
when(lambda: sqs.get_queue_attributes(QueueUrl=gone_url, AttributeNames=["All"])["Attributes"]["ApproximateNumberOfMessages"] == "1", 20)
left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
assert left["ApproximateNumberOfMessages"] == left["ApproximateNumberOfMessagesNotVisible"] == "0", left
record = events("reads")[0]["Records"][0]
assert record["messageAttributes"]["n"]["dataType"] == "Number" and record["eventSourceARN"] == arn and record["attributes"]["ApproximateReceiveCount"] == "1", record

# A FIFO queue keeps the order of a group.
url, arn = queue("o.fifo", FifoQueue="true", ContentBasedDeduplication="true")
function("orders")
refused("InvalidParameterValueException", "Batching window is not supported for FIFO queues", lam.create_event_source_mapping, FunctionName="orders", EventSourceArn=arn, MaximumBatchingWindowInSeconds=1)
enabled(lam.create_event_source_mapping(FunctionName="orders", EventSourceArn=arn, BatchSize=2))
for n in range(9):
    sqs.send_message(QueueUrl=url, MessageBody=str(n), MessageGroupId="g")
when(lambda: sum(len(event["Records"]) for event in events("orders")) == 9)
ordered = sorted((record["attributes"]["SequenceNumber"], record["body"]) for event in events("orders") for record in event["Records"])
assert [body for _, body in ordered] == [str(n) for n in range(9)], ordered

# Kafka is accepted; who polls it is said.
made = lam.create_event_source_mapping(FunctionName="plain", SelfManagedEventSource={"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["b:9092"]}}, Topics=["t"], StartingPosition="LATEST")
assert made["SelfManagedKafkaEventSourceConfig"]["ConsumerGroupId"] == made["UUID"] and "bridge" in made["StateTransitionReason"], made
refused("InvalidParameterValueException", "Topics must name exactly one topic.", lam.create_event_source_mapping, FunctionName="plain", SelfManagedEventSource={"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["b:9092"]}}, StartingPosition="LATEST")
print("mappings: all as expected")
