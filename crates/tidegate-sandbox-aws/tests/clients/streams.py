"""Kinesis and DynamoDB through boto3: states, records, resharding, expressions, streams."""
import sys, time, json, boto3
from decimal import Decimal
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint = sys.argv[1]
config = Config(retries={"max_attempts": 1}, region_name="eu-west-1")
common = dict(endpoint_url=endpoint, aws_access_key_id="a", aws_secret_access_key="b", config=config)


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error.response
        return error.response["Error"].get("Message", "")
    raise AssertionError(f"{code} was expected")


def until(wanted, look):
    seen = []
    for _ in range(200):
        value = look()
        if not seen or seen[-1] != value:
            seen.append(value)
        if value == wanted:
            return seen
        time.sleep(0.02)
    raise AssertionError(f"{wanted} never came: {seen}")


k = boto3.client("kinesis", **common)
refused("ValidationException", k.create_stream, StreamName="a b", ShardCount=1)
k.create_stream(StreamName="s", ShardCount=2, Tags={"app": "x"})
status = lambda: k.describe_stream_summary(StreamName="s")["StreamDescriptionSummary"]["StreamStatus"]
assert until("ACTIVE", status) == ["CREATING", "ACTIVE"]
refused("ResourceInUseException", k.create_stream, StreamName="s", ShardCount=1)
refused("ResourceNotFoundException", k.describe_stream, StreamName="none")
assert k.list_tags_for_stream(StreamName="s")["Tags"] == [{"Key": "app", "Value": "x"}]
arn = k.describe_stream(StreamName="s")["StreamDescription"]["StreamARN"]
assert arn == "arn:aws:kinesis:eu-west-1:123456789012:stream/s", arn
assert k.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "app", "Value": "x"}]
put = [k.put_record(StreamName="s", Data=f"{n}".encode(), PartitionKey=f"key{n}") for n in range(10)]
many = k.put_records(StreamName="s", Records=[{"Data": b"x", "PartitionKey": f"k{n}"} for n in range(20)])
assert many["FailedRecordCount"] == 0 and len(many["Records"]) == 20


def drain(shard, **how):
    iterator = k.get_shard_iterator(StreamName="s", ShardId=shard, **how)["ShardIterator"]
    got = []
    while iterator:
        answer = k.get_records(ShardIterator=iterator, Limit=3)
        got += answer["Records"]
        if not answer["Records"] and answer["MillisBehindLatest"] == 0:
            return got, answer
        iterator = answer.get("NextShardIterator")
        if not iterator:
            return got, answer


shards = [s["ShardId"] for s in k.list_shards(StreamName="s")["Shards"]]
assert shards == ["shardId-000000000000", "shardId-000000000001"]
total = sum(len(drain(shard, ShardIteratorType="TRIM_HORIZON")[0]) for shard in shards)
assert total == 30, total
first = put[0]
got, _ = drain(first["ShardId"], ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber=first["SequenceNumber"])
assert got[0]["Data"] == b"0" and got[0]["PartitionKey"] == "key0"
after, _ = drain(first["ShardId"], ShardIteratorType="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=first["SequenceNumber"])
assert len(after) == len(got) - 1
assert len(drain(first["ShardId"], ShardIteratorType="AT_TIMESTAMP", Timestamp=time.time() - 60)[0]) == len(got)
assert drain(first["ShardId"], ShardIteratorType="LATEST")[0] == []
refused("InvalidArgumentException", k.get_records, ShardIterator="A" * 50)
words = refused("LimitExceededException", k.update_shard_count, StreamName="s", TargetShardCount=5, ScalingType="UNIFORM_SCALING")
assert "double" in words, words
k.update_shard_count(StreamName="s", TargetShardCount=4, ScalingType="UNIFORM_SCALING")
refused("ResourceInUseException", k.update_shard_count, StreamName="s", TargetShardCount=4, ScalingType="UNIFORM_SCALING")
assert until("ACTIVE", status) == ["UPDATING", "ACTIVE"]
all_shards = k.list_shards(StreamName="s")["Shards"]
assert len(all_shards) == 6 and all_shards[2]["ParentShardId"] == shards[0], all_shards
_, last = drain(shards[0], ShardIteratorType="TRIM_HORIZON")
assert "NextShardIterator" not in last and len(last["ChildShards"]) == 2, last
open_now = k.list_shards(StreamName="s", ShardFilter={"Type": "AT_LATEST"})["Shards"]
assert len(open_now) == 4
k.increase_stream_retention_period(StreamName="s", RetentionPeriodHours=48)
until("ACTIVE", status)
k.start_stream_encryption(StreamName="s", EncryptionType="KMS", KeyId="alias/aws/kinesis")
until("ACTIVE", status)
assert k.put_record(StreamName="s", Data=b"y", PartitionKey="p")["EncryptionType"] == "KMS"
summary = k.describe_stream_summary(StreamName="s")["StreamDescriptionSummary"]
assert summary["RetentionPeriodHours"] == 48 and summary["OpenShardCount"] == 4
consumer = k.register_stream_consumer(StreamARN=arn, ConsumerName="c")["Consumer"]
state = lambda: k.describe_stream_consumer(ConsumerARN=consumer["ConsumerARN"])["ConsumerDescription"]["ConsumerStatus"]
assert until("ACTIVE", state)[0] == "CREATING"
refused("ResourceInUseException", k.delete_stream, StreamName="s")
k.deregister_stream_consumer(ConsumerARN=consumer["ConsumerARN"])
time.sleep(0.4)
refused("ResourceNotFoundException", k.describe_stream_consumer, ConsumerARN=consumer["ConsumerARN"])
k.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
until("ACTIVE", status)
k.delete_stream(StreamName="s")
assert status() == "DELETING"
# Asked for again and again, it goes when it was to go.
for _ in range(100):
    try:
        k.delete_stream(StreamName="s")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ResourceNotFoundException", error.response
        break
    time.sleep(0.02)
else:
    raise AssertionError("the stream never went")
refused("ResourceNotFoundException", k.describe_stream, StreamName="s")
print("kinesis ok")

d = boto3.client("dynamodb", **common)
words = refused("ValidationException", d.create_table, TableName="t", KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}], AttributeDefinitions=[], BillingMode="PAY_PER_REQUEST")
d.create_table(
    TableName="table",
    KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in (("pk", "S"), ("sk", "N"), ("g", "S"))],
    BillingMode="PAY_PER_REQUEST",
    GlobalSecondaryIndexes=[{"IndexName": "byg", "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}], "Projection": {"ProjectionType": "KEYS_ONLY"}}],
    StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    Tags=[{"Key": "app", "Value": "x"}],
)
assert d.describe_table(TableName="table")["Table"]["TableStatus"] == "CREATING"
refused("ResourceNotFoundException", d.put_item, TableName="table", Item={"pk": {"S": "a"}, "sk": {"N": "1"}})
d.get_waiter("table_exists").wait(TableName="table", WaiterConfig={"Delay": 1})
t = boto3.resource("dynamodb", **common).Table("table")
for n in range(12):
    t.put_item(Item={"pk": "a", "sk": n, "g": "odd" if n % 2 else "even", "m": {"l": [1, {"x": "y"}]}, "tags": {"r", "s"}, "d": Decimal("0.1")})
t.put_item(Item={"pk": "b", "sk": 0})
from boto3.dynamodb.conditions import Key, Attr
assert [i["sk"] for i in t.query(KeyConditionExpression=Key("pk").eq("a") & Key("sk").between(3, 5))["Items"]] == [3, 4, 5]
page = t.query(KeyConditionExpression=Key("pk").eq("a"), Limit=5, ScanIndexForward=False)
assert [i["sk"] for i in page["Items"]] == [11, 10, 9, 8, 7] and page["LastEvaluatedKey"] == {"pk": "a", "sk": 7}
page = t.query(KeyConditionExpression=Key("pk").eq("a"), Limit=5, ScanIndexForward=False, ExclusiveStartKey=page["LastEvaluatedKey"])
assert [i["sk"] for i in page["Items"]] == [6, 5, 4, 3, 2]
odd = t.query(IndexName="byg", KeyConditionExpression=Key("g").eq("odd"))
assert odd["Count"] == 6 and set(odd["Items"][0]) == {"pk", "sk", "g"}, odd
some = t.scan(FilterExpression=Attr("sk").gt(8) & Attr("tags").contains("r"), ProjectionExpression="sk, m.l[1].x")
assert some["ScannedCount"] == 13 and some["Count"] == 3 and some["Items"][0]["m"] == {"l": [{"x": "y"}]}, some
new = t.update_item(
    Key={"pk": "a", "sk": 1},
    UpdateExpression="SET #n = if_not_exists(#n, :zero) + :one, m.l[0] = :one, g2 = :g REMOVE d ADD tags :more",
    ExpressionAttributeNames={"#n": "name"},
    ExpressionAttributeValues={":zero": 0, ":one": 1, ":g": "z", ":more": {"t"}},
    ReturnValues="ALL_NEW",
)["Attributes"]
assert new["name"] == 1 and new["m"]["l"][0] == 1 and new["tags"] == {"r", "s", "t"} and "d" not in new, new
try:
    t.put_item(Item={"pk": "a", "sk": 1}, ConditionExpression="attribute_not_exists(pk)", ReturnValuesOnConditionCheckFailure="ALL_OLD")
    raise AssertionError("the condition held")
except ClientError as error:
    assert error.response["Error"]["Code"] == "ConditionalCheckFailedException" and error.response["Item"]["sk"] == {"N": "1"}, error.response
for expression, fragment in (
    ("SET name = :a", "reserved keyword: name"),
    ("SET x = :b", "not defined; attribute value: :b"),
    ("SET x == :a", "Syntax error; token: \"=\", near: \"= = :a\""),
    ("SET a.b = :a, a = :a", "overlap"),
    ("SET pk = :a", "part of the key"),
    ("SET x = y + :a", "does not exist"),
):
    words = refused("ValidationException", t.update_item, Key={"pk": "a", "sk": 99}, UpdateExpression=expression, ExpressionAttributeValues={":a": 1})
    assert fragment in words or "Value provided" in words, (expression, words)
words = refused("ValidationException", t.get_item, Key={"pk": "a"})
assert words == "The provided key element does not match the schema", words
words = refused("ValidationException", t.query, KeyConditionExpression="sk = :a", ExpressionAttributeValues={":a": 1})
assert words == "Query condition missed key schema element: pk", words
with t.batch_writer() as batch:
    for n in range(30):
        batch.put_item(Item={"pk": "c", "sk": n})
assert t.query(KeyConditionExpression=Key("pk").eq("c"), Select="COUNT")["Count"] == 30
got = d.batch_get_item(RequestItems={"table": {"Keys": [{"pk": {"S": "c"}, "sk": {"N": str(n)}} for n in range(3)]}})
assert len(got["Responses"]["table"]) == 3
key = lambda n: {"pk": {"S": "c"}, "sk": {"N": str(n)}}
d.transact_write_items(TransactItems=[
    {"Put": {"TableName": "table", "Item": {"pk": {"S": "t"}, "sk": {"N": "1"}}, "ConditionExpression": "attribute_not_exists(pk)"}},
    {"Delete": {"TableName": "table", "Key": key(1)}},
    {"Update": {"TableName": "table", "Key": key(2), "UpdateExpression": "SET v = :v", "ExpressionAttributeValues": {":v": {"S": "1"}}}},
])
try:
    d.transact_write_items(TransactItems=[
        {"Delete": {"TableName": "table", "Key": key(3)}},
        {"ConditionCheck": {"TableName": "table", "Key": key(1), "ConditionExpression": "attribute_exists(pk)"}},
    ])
    raise AssertionError("the transaction held")
except ClientError as error:
    assert [r["Code"] for r in error.response["CancellationReasons"]] == ["None", "ConditionalCheckFailed"], error.response
assert "Item" in d.get_item(TableName="table", Key=key(3))
got = d.transact_get_items(TransactItems=[{"Get": {"TableName": "table", "Key": key(2)}}, {"Get": {"TableName": "table", "Key": key(1)}}])
assert got["Responses"][0]["Item"]["v"] == {"S": "1"} and "Item" not in got["Responses"][1]
used = d.put_item(TableName="table", Item={"pk": {"S": "q"}, "sk": {"N": "1"}}, ReturnConsumedCapacity="TOTAL")
assert used["ConsumedCapacity"] == {"TableName": "table", "CapacityUnits": 1.0}

table = d.describe_table(TableName="table")["Table"]
ds = boto3.client("dynamodbstreams", **common)
stream = ds.describe_stream(StreamArn=table["LatestStreamArn"])["StreamDescription"]
iterator = ds.get_shard_iterator(StreamArn=stream["StreamArn"], ShardId=stream["Shards"][0]["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
records = ds.get_records(ShardIterator=iterator)["Records"]
assert records[0]["eventName"] == "INSERT" and records[0]["dynamodb"]["Keys"] == {"pk": {"S": "a"}, "sk": {"N": "0"}}
change = next(r for r in records if r["eventName"] == "MODIFY")
assert change["dynamodb"]["OldImage"]["d"] == {"N": "0.1"} and "d" not in change["dynamodb"]["NewImage"]
d.update_time_to_live(TableName="table", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"})
assert d.describe_time_to_live(TableName="table")["TimeToLiveDescription"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}
d.update_continuous_backups(TableName="table", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
d.update_table(TableName="table", AttributeDefinitions=[{"AttributeName": "h", "AttributeType": "S"}], GlobalSecondaryIndexUpdates=[{"Create": {"IndexName": "byh", "KeySchema": [{"AttributeName": "h", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}}}])
assert d.describe_table(TableName="table")["Table"]["TableStatus"] == "UPDATING"
refused("ResourceInUseException", d.update_table, TableName="table", BillingMode="PAY_PER_REQUEST")
until("ACTIVE", lambda: d.describe_table(TableName="table")["Table"]["TableStatus"])
assert {i["IndexName"] for i in d.describe_table(TableName="table")["Table"]["GlobalSecondaryIndexes"]} == {"byg", "byh"}
refused("ResourceInUseException", d.create_table, TableName="table", KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}], AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}], BillingMode="PAY_PER_REQUEST")
assert d.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"] == [{"Key": "app", "Value": "x"}]
d.delete_table(TableName="table")
d.get_waiter("table_not_exists").wait(TableName="table", WaiterConfig={"Delay": 1})
print("dynamodb ok")
