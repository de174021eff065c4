"""The happy path of every service that moto has too, printed without what differs from run to run."""
import sys, json, re, time, boto3
from botocore.config import Config

endpoint = sys.argv[1]
config = Config(retries={"max_attempts": 1}, region_name="us-east-1", s3={"addressing_style": "path"})
common = dict(endpoint_url=endpoint, aws_access_key_id="a", aws_secret_access_key="b", config=config)


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in sorted(value.items())}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, set):
        return sorted(map(str, value))
    if isinstance(value, bytes):
        return value.hex()
    text = value if isinstance(value, (int, float, bool, type(None))) else str(value)
    return text.replace(endpoint, "ENDPOINT") if isinstance(text, str) else text


def show(name, value):
    print(json.dumps([name, plain(value)]))


def pick(source, *names):
    return {n: source.get(n) for n in names}


k = boto3.client("kinesis", **common)
k.create_stream(StreamName="s", ShardCount=2)
k.get_waiter("stream_exists").wait(StreamName="s", WaiterConfig={"Delay": 1})
d = k.describe_stream(StreamName="s")["StreamDescription"]
show("kinesis.describe", pick(d, "StreamName", "StreamARN", "StreamStatus", "RetentionPeriodHours", "EncryptionType", "StreamModeDetails"))
show("kinesis.ranges", [[s["ShardId"], s["HashKeyRange"]] for s in d["Shards"]])
show("kinesis.put", [k.put_record(StreamName="s", Data=b"x", PartitionKey=key)["ShardId"] for key in "abcdefgh"])
it = k.get_shard_iterator(StreamName="s", ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
show("kinesis.records", [[r["Data"], r["PartitionKey"]] for r in k.get_records(ShardIterator=it)["Records"]])
k.add_tags_to_stream(StreamName="s", Tags={"a": "1"})
show("kinesis.tags", k.list_tags_for_stream(StreamName="s")["Tags"])
k.update_shard_count(StreamName="s", TargetShardCount=4, ScalingType="UNIFORM_SCALING")
time.sleep(0.7)
show("kinesis.lineage", [[s["ShardId"], s.get("ParentShardId")] for s in k.list_shards(StreamName="s")["Shards"]])

d = boto3.client("dynamodb", **common)
d.create_table(TableName="table", BillingMode="PAY_PER_REQUEST",
    KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "N"}])
d.get_waiter("table_exists").wait(TableName="table", WaiterConfig={"Delay": 1})
t = d.describe_table(TableName="table")["Table"]
show("dynamodb.describe", pick(t, "TableName", "TableArn", "TableStatus", "KeySchema", "ItemCount"))
for n in range(6):
    d.put_item(TableName="table", Item={"pk": {"S": "a"}, "sk": {"N": str(n)}, "v": {"S": "v" * n}, "m": {"M": {"x": {"L": [{"N": "1"}, {"S": "b"}]}}}})
show("dynamodb.get", d.get_item(TableName="table", Key={"pk": {"S": "a"}, "sk": {"N": "2"}})["Item"])
q = lambda **kw: pick(d.query(TableName="table", **kw), "Items", "Count", "ScannedCount", "LastEvaluatedKey")
show("dynamodb.query", q(KeyConditionExpression="pk = :p AND sk > :s", ExpressionAttributeValues={":p": {"S": "a"}, ":s": {"N": "2"}}, ProjectionExpression="sk, m.x[1]"))
show("dynamodb.page", q(KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": {"S": "a"}}, Limit=2, ScanIndexForward=False, ProjectionExpression="sk"))
show("dynamodb.filter", q(KeyConditionExpression="pk = :p", FilterExpression="size(v) > :n OR begins_with(v, :vvv)", ExpressionAttributeValues={":p": {"S": "a"}, ":n": {"N": "4"}, ":vvv": {"S": "vvv"}}, ProjectionExpression="sk"))
show("dynamodb.update", d.update_item(TableName="table", Key={"pk": {"S": "a"}, "sk": {"N": "1"}}, UpdateExpression="SET n = if_not_exists(n, :z) + :i, m.x = list_append(m.x, :l) REMOVE v", ExpressionAttributeValues={":z": {"N": "1"}, ":i": {"N": "2"}, ":l": {"L": [{"BOOL": True}]}}, ReturnValues="ALL_NEW")["Attributes"])
show("dynamodb.delete", d.delete_item(TableName="table", Key={"pk": {"S": "a"}, "sk": {"N": "5"}}, ReturnValues="ALL_OLD")["Attributes"])
show("dynamodb.scan", sorted(i["sk"]["N"] for i in d.scan(TableName="table")["Items"]))

q = boto3.client("sqs", **common)
url = q.create_queue(QueueName="q", Attributes={"VisibilityTimeout": "5"})["QueueUrl"]
show("sqs.url", url)
show("sqs.attributes", pick(q.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"], "QueueArn", "VisibilityTimeout", "DelaySeconds", "MessageRetentionPeriod", "ReceiveMessageWaitTimeSeconds"))
show("sqs.send", pick(q.send_message(QueueUrl=url, MessageBody="b", MessageAttributes={"n": {"DataType": "Number", "StringValue": "1"}, "b": {"DataType": "Binary", "BinaryValue": b"x"}}), "MD5OfMessageBody", "MD5OfMessageAttributes"))
m = q.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"][0]
show("sqs.receive", pick(m, "Body", "MD5OfBody", "MessageAttributes", "MD5OfMessageAttributes"))
q.delete_message(QueueUrl=url, ReceiptHandle=m["ReceiptHandle"])
show("sqs.list", q.list_queues()["QueueUrls"])

s = boto3.client("sns", **common)
topic = s.create_topic(Name="t")["TopicArn"]
show("sns.topic", topic)
arn = "arn:aws:sqs:us-east-1:123456789012:q"
s.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true", "FilterPolicy": '{"k": ["a"]}'})
for value in "ab":
    s.publish(TopicArn=topic, Message=value, MessageAttributes={"k": {"DataType": "String", "StringValue": value}})
show("sns.delivered", [m["Body"] for m in q.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])])
show("sns.subscriptions", [pick(x, "Protocol", "Endpoint", "TopicArn") for x in s.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]])

c = boto3.client("s3", **common)
c.create_bucket(Bucket="bucket")
put = c.put_object(Bucket="bucket", Key="a/b c", Body=b"hello", ContentType="text/plain", Metadata={"m": "1"})
show("s3.put", pick(put, "ETag"))
got = c.get_object(Bucket="bucket", Key="a/b c", Range="bytes=1-2")
show("s3.get", [got["Body"].read(), got["ContentType"], got["Metadata"], got["ContentRange"], got["ETag"]])
for key in ("l/1", "l/2/3"):
    c.put_object(Bucket="bucket", Key=key, Body=b"")
listed = c.list_objects_v2(Bucket="bucket", Delimiter="/", Prefix="l/")
show("s3.list", [[pick(o, "Key", "Size", "ETag", "StorageClass") for o in listed["Contents"]], listed["CommonPrefixes"], listed["KeyCount"], listed["IsTruncated"]])
up = c.create_multipart_upload(Bucket="bucket", Key="big")["UploadId"]
part = c.upload_part(Bucket="bucket", Key="big", UploadId=up, PartNumber=1, Body=b"z" * 100)
done = c.complete_multipart_upload(Bucket="bucket", Key="big", UploadId=up, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
show("s3.multipart", pick(done, "ETag", "Bucket", "Key"))
c.put_bucket_tagging(Bucket="bucket", Tagging={"TagSet": [{"Key": "a", "Value": "1"}]})
show("s3.tags", c.get_bucket_tagging(Bucket="bucket")["TagSet"])
c.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
show("s3.versioning", c.get_bucket_versioning(Bucket="bucket")["Status"])

e = boto3.client("events", **common)
show("events.rule", e.put_rule(Name="r", EventPattern='{"source": ["x"]}')["RuleArn"])
e.put_targets(Rule="r", Targets=[{"Id": "1", "Arn": arn}])
show("events.describe", pick(e.describe_rule(Name="r"), "Name", "Arn", "EventPattern", "State", "EventBusName"))
e.put_events(Entries=[{"Source": "x", "DetailType": "d", "Detail": '{"n": 1}'}])
# On a slow machine an earlier message may be visible again.
bodies = (m["Body"] for _ in range(50) for m in q.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", []))
body = json.loads(next(text for text in bodies if text.startswith("{")))
show("events.delivered", pick(body, "version", "source", "detail-type", "detail", "account", "region", "resources"))

w = boto3.client("scheduler", **common)
show("scheduler.create", w.create_schedule(Name="x", ScheduleExpression="rate(1 days)", FlexibleTimeWindow={"Mode": "OFF"}, Target={"Arn": arn, "RoleArn": "arn:aws:iam::123456789012:role/r"})["ScheduleArn"])
show("scheduler.get", pick(w.get_schedule(Name="x"), "Name", "GroupName", "ScheduleExpression", "State", "FlexibleTimeWindow"))

f = boto3.client("stepfunctions", **common)
machine = f.create_state_machine(name="m", definition='{"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": {"x": 1}, "End": true}}}', roleArn="arn:aws:iam::123456789012:role/r")["stateMachineArn"]
show("states.create", machine)
run = f.start_execution(stateMachineArn=machine, name="n", input="{}")["executionArn"]
show("states.start", run)

x = boto3.client("secretsmanager", **common)
x.create_secret(Name="sec", SecretString="v")
show("secrets.get", pick(x.get_secret_value(SecretId="sec"), "Name", "SecretString", "VersionStages"))
p = boto3.client("ssm", **common)
show("ssm.put", pick(p.put_parameter(Name="/a/b", Value="1", Type="String"), "Version", "Tier"))
show("ssm.get", pick(p.get_parameter(Name="/a/b")["Parameter"], "Name", "Type", "Value", "Version", "ARN", "DataType"))
g = boto3.client("resourcegroupstaggingapi", **common)
show("tagging.s3", [r for r in g.get_resources(ResourceTypeFilters=["s3"])["ResourceTagMappingList"]])
