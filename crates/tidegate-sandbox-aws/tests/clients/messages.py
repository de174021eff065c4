"""SQS, SNS, EventBridge and Scheduler through boto3: messages, filters, deliveries."""
import sys, time, json, boto3, datetime
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


q = boto3.client("sqs", **common)
refused("AWS.SimpleQueueService.NonExistentQueue", q.get_queue_url, QueueName="none")
refused("InvalidAttributeName", q.create_queue, QueueName="x", Attributes={"What": "1"})
refused("InvalidAttributeValue", q.create_queue, QueueName="x", Attributes={"VisibilityTimeout": "50000"})
dead = q.create_queue(QueueName="dead")["QueueUrl"]
dead_arn = q.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
url = q.create_queue(
    QueueName="q",
    Attributes={"VisibilityTimeout": "1", "RedrivePolicy": json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": "2"})},
    tags={"app": "x"},
)["QueueUrl"]
assert url == endpoint + "/123456789012/q", url
assert q.create_queue(QueueName="q", Attributes={"VisibilityTimeout": "1"})["QueueUrl"] == url
refused("QueueAlreadyExists", q.create_queue, QueueName="q", Attributes={"VisibilityTimeout": "2"})
assert q.list_queue_tags(QueueUrl=url)["Tags"] == {"app": "x"}
attributes = {"a": {"DataType": "String", "StringValue": "b"}, "n": {"DataType": "Number", "StringValue": "5"}, "y": {"DataType": "Binary", "BinaryValue": b"\x00\x01"}}
# boto3 itself verifies both digests.
q.send_message(QueueUrl=url, MessageBody="hello \u00e9", MessageAttributes=attributes)
got = q.receive_message(QueueUrl=url, MessageAttributeNames=["All"], AttributeNames=["All"])["Messages"][0]
assert got["Body"] == "hello \u00e9" and got["MessageAttributes"]["y"]["BinaryValue"] == b"\x00\x01"
assert got["Attributes"]["ApproximateReceiveCount"] == "1"
assert "Messages" not in q.receive_message(QueueUrl=url)
q.change_message_visibility(QueueUrl=url, ReceiptHandle=got["ReceiptHandle"], VisibilityTimeout=0)
again = q.receive_message(QueueUrl=url)["Messages"][0]
assert again["MessageId"] == got["MessageId"] and again["ReceiptHandle"] != got["ReceiptHandle"]
started = time.time()
assert "Messages" not in q.receive_message(QueueUrl=url, WaitTimeSeconds=2)
assert time.time() - started > 1.5
moved = q.receive_message(QueueUrl=dead, AttributeNames=["All"])["Messages"][0]
assert moved["MessageId"] == got["MessageId"] and moved["Attributes"]["DeadLetterQueueSourceArn"].endswith(":q")
q.delete_message(QueueUrl=dead, ReceiptHandle=moved["ReceiptHandle"])
refused("ReceiptHandleIsInvalid", q.delete_message, QueueUrl=dead, ReceiptHandle="x")
batch = q.send_message_batch(QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": str(n)} for n in range(10)])
assert len(batch["Successful"]) == 10
refused("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", q.send_message_batch, QueueUrl=url, Entries=[{"Id": "1", "MessageBody": "a"}] * 2)
refused("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", q.send_message_batch, QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": "a"} for n in range(11)])
refused("AWS.SimpleQueueService.EmptyBatchRequest", q.send_message_batch, QueueUrl=url, Entries=[])
assert len(q.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]) == 10
q.purge_queue(QueueUrl=url)
refused("AWS.SimpleQueueService.PurgeQueueInProgress", q.purge_queue, QueueUrl=url)
fifo = q.create_queue(QueueName="f.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"})["QueueUrl"]
one = q.send_message(QueueUrl=fifo, MessageBody="1", MessageGroupId="g")
assert q.send_message(QueueUrl=fifo, MessageBody="1", MessageGroupId="g")["MessageId"] == one["MessageId"]
q.send_message(QueueUrl=fifo, MessageBody="2", MessageGroupId="g")
q.send_message(QueueUrl=fifo, MessageBody="3", MessageGroupId="h")
refused("MissingParameter", q.send_message, QueueUrl=fifo, MessageBody="4")
first = q.receive_message(QueueUrl=fifo)["Messages"][0]
assert first["Body"] == "1"
assert q.receive_message(QueueUrl=fifo, MaxNumberOfMessages=10)["Messages"][0]["Body"] == "3"
q.delete_message(QueueUrl=fifo, ReceiptHandle=first["ReceiptHandle"])
assert q.receive_message(QueueUrl=fifo)["Messages"][0]["Body"] == "2"
assert q.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
q.delete_queue(QueueUrl=fifo)
refused("AWS.SimpleQueueService.QueueDeletedRecently", q.create_queue, QueueName="f.fifo", Attributes={"FifoQueue": "true"})
try:
    q.get_queue_attributes(QueueUrl=fifo, AttributeNames=["All"])
    raise AssertionError
except q.exceptions.QueueDoesNotExist:
    pass
print("sqs ok")

inbox = q.create_queue(QueueName="inbox")["QueueUrl"]
inbox_arn = q.get_queue_attributes(QueueUrl=inbox, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def take(wait=2):
    messages = q.receive_message(QueueUrl=inbox, MaxNumberOfMessages=10, WaitTimeSeconds=wait, MessageAttributeNames=["All"]).get("Messages", [])
    for message in messages:
        q.delete_message(QueueUrl=inbox, ReceiptHandle=message["ReceiptHandle"])
    return messages


s = boto3.client("sns", **common)
topic = s.create_topic(Name="t", Tags=[{"Key": "app", "Value": "x"}])["TopicArn"]
assert topic == "arn:aws:sns:eu-west-1:123456789012:t"
assert s.create_topic(Name="t")["TopicArn"] == topic
refused("InvalidParameter", s.create_topic, Name="bad name")
refused("NotFound", s.get_topic_attributes, TopicArn=topic + "x")
sub = s.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=inbox_arn, Attributes={"FilterPolicy": json.dumps({"kind": ["a", {"prefix": "b"}]})})["SubscriptionArn"]
assert s.subscribe(TopicArn=topic, Protocol="email", Endpoint="a@b.c")["SubscriptionArn"] == "pending confirmation"
kind = lambda value: {"kind": {"DataType": "String", "StringValue": value}}
s.publish(TopicArn=topic, Message="one", Subject="s", MessageAttributes=kind("bx"))
s.publish(TopicArn=topic, Message="two", MessageAttributes=kind("z"))
s.publish(TopicArn=topic, Message="three")
body = [json.loads(m["Body"]) for m in take()]
assert len(body) == 1 and body[0]["Message"] == "one" and body[0]["Subject"] == "s" and body[0]["TopicArn"] == topic, body
assert body[0]["MessageAttributes"] == {"kind": {"Type": "String", "Value": "bx"}}
s.set_subscription_attributes(SubscriptionArn=sub, AttributeName="RawMessageDelivery", AttributeValue="true")
answer = s.publish_batch(TopicArn=topic, PublishBatchRequestEntries=[{"Id": "1", "Message": "raw", "MessageAttributes": kind("a")}, {"Id": "2", "Message": "no"}])
assert len(answer["Successful"]) == 2
raw = take()
assert [m["Body"] for m in raw] == ["raw"] and raw[0]["MessageAttributes"]["kind"]["StringValue"] == "a"
attributes = s.get_topic_attributes(TopicArn=topic)["Attributes"]
assert attributes["SubscriptionsConfirmed"] == "1" and attributes["SubscriptionsPending"] == "1"
assert s.get_subscription_attributes(SubscriptionArn=sub)["Attributes"]["FilterPolicyScope"] == "MessageAttributes"
assert len(s.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]) == 2
s.set_topic_attributes(TopicArn=topic, AttributeName="DisplayName", AttributeValue="D & <d>")
assert s.get_topic_attributes(TopicArn=topic)["Attributes"]["DisplayName"] == "D & <d>"
s.tag_resource(ResourceArn=topic, Tags=[{"Key": "more", "Value": "y"}])
s.untag_resource(ResourceArn=topic, TagKeys=["app"])
assert s.list_tags_for_resource(ResourceArn=topic)["Tags"] == [{"Key": "more", "Value": "y"}]
print("sns ok")

e = boto3.client("events", **common)
refused("ResourceNotFoundException", e.describe_rule, Name="none")
refused("ValidationException", e.put_rule, Name="r")
refused("ValidationException", e.put_rule, Name="r", ScheduleExpression="rate(5 minute)")
refused("InvalidEventPatternException", e.put_rule, Name="r", EventPattern='{"a": 1}')
arn = e.put_rule(Name="r", EventPattern=json.dumps({"source": ["my.app"], "detail": {"n": [{"numeric": [">", 3]}]}}), Tags=[{"Key": "app", "Value": "x"}])["RuleArn"]
assert arn == "arn:aws:events:eu-west-1:123456789012:rule/r"
e.put_targets(Rule="r", Targets=[
    {"Id": "all", "Arn": inbox_arn},
    {"Id": "some", "Arn": inbox_arn, "InputTransformer": {"InputPathsMap": {"n": "$.detail.n"}, "InputTemplate": '{"got": <n>}'}},
])
put = e.put_events(Entries=[
    {"Source": "my.app", "DetailType": "d", "Detail": json.dumps({"n": 5}), "Resources": ["x"]},
    {"Source": "my.app", "DetailType": "d", "Detail": json.dumps({"n": 2})},
    {"Source": "my.app", "DetailType": "d", "Detail": "nonsense"},
])
assert put["FailedEntryCount"] == 1 and put["Entries"][2]["ErrorCode"] == "MalformedDetail"
bodies = sorted((m["Body"] for m in take()), key=len)
assert bodies[0] == '{"got": 5}', bodies
event = json.loads(bodies[1])
assert event["detail"] == {"n": 5} and event["detail-type"] == "d" and event["resources"] == ["x"] and event["account"] == "123456789012"
refused("ValidationException", e.delete_rule, Name="r")
assert e.list_rule_names_by_target(TargetArn=inbox_arn)["RuleNames"] == ["r"]
e.remove_targets(Rule="r", Ids=["all", "some"])
e.disable_rule(Name="r")
assert e.describe_rule(Name="r")["State"] == "DISABLED"
e.delete_rule(Name="r")
e.create_event_bus(Name="bus")
refused("ResourceAlreadyExistsException", e.create_event_bus, Name="bus")
assert [b["Name"] for b in e.list_event_buses()["EventBuses"]] == ["bus", "default"]
e.delete_event_bus(Name="bus")
print("events ok")

w = boto3.client("scheduler", **common)
role = "arn:aws:iam::123456789012:role/r"
soon = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%S")
w.create_schedule_group(Name="g")
w.create_schedule(Name="once", GroupName="g", ScheduleExpression=f"at({soon})", FlexibleTimeWindow={"Mode": "OFF"}, ActionAfterCompletion="DELETE", Target={"Arn": inbox_arn, "RoleArn": role, "Input": '{"x": 1}'})
refused("ConflictException", w.create_schedule, Name="once", GroupName="g", ScheduleExpression="rate(1 days)", FlexibleTimeWindow={"Mode": "OFF"}, Target={"Arn": inbox_arn, "RoleArn": role})
refused("ValidationException", w.create_schedule, Name="bad", ScheduleExpression="every day", FlexibleTimeWindow={"Mode": "OFF"}, Target={"Arn": inbox_arn, "RoleArn": role})
refused("ResourceNotFoundException", w.get_schedule, Name="none")
assert w.get_schedule(Name="once", GroupName="g")["State"] == "ENABLED"
assert [x["Name"] for x in w.list_schedules(GroupName="g")["Schedules"]] == ["once"]
fired = take(5)
assert [m["Body"] for m in fired] == ['{"x": 1}'], fired
refused("ResourceNotFoundException", w.get_schedule, Name="once", GroupName="g")
w.create_schedule(Name="later", ScheduleExpression="cron(0 12 * * ? *)", ScheduleExpressionTimezone="Europe/Berlin", FlexibleTimeWindow={"Mode": "OFF"}, Target={"Arn": inbox_arn, "RoleArn": role})
w.update_schedule(Name="later", ScheduleExpression="rate(1 days)", FlexibleTimeWindow={"Mode": "OFF"}, Target={"Arn": inbox_arn, "RoleArn": role}, State="DISABLED")
assert w.get_schedule(Name="later")["State"] == "DISABLED"
w.delete_schedule(Name="later")
w.delete_schedule_group(Name="g")
print("scheduler ok")
