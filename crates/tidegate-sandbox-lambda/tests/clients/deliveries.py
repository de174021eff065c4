"""Functions that other services invoke: buckets, topics, buses, schedules; each with the permission it needs."""
from datetime import datetime, timedelta, timezone
from common import *

lam, s3, sns, bus, schedules = (client(name) for name in ("lambda", "s3", "sns", "events", "scheduler"))
role()
role("schedules", "scheduler.amazonaws.com")
time.sleep(0.8)
CODE = """
import boto3, json
def handler(event, context):
    boto3.client("s3").put_object(Bucket="seen", Key=context.function_name + "/" + context.aws_request_id, Body=json.dumps(event).encode())
"""
PLACE = {"LocationConstraint": "eu-west-1"}
s3.create_bucket(Bucket="seen", CreateBucketConfiguration=PLACE)
s3.create_bucket(Bucket="source", CreateBucketConfiguration=PLACE)


def function(name):
    arn = lam.create_function(FunctionName=name, Runtime="python3.12", Role=ROLE, Handler="app.handler", Timeout=20, Code={"ZipFile": archive({"app.py": CODE})})["FunctionArn"]
    when(lambda: lam.get_function_configuration(FunctionName=name)["State"] == "Active")
    return arn


def allow(name, principal, source):
    lam.add_permission(FunctionName=name, StatementId="may", Action="lambda:InvokeFunction", Principal=principal, SourceArn=source)


def seen(name):
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket="seen", Prefix=name + "/").get("Contents", [])]
    return [json.loads(s3.get_object(Bucket="seen", Key=key)["Body"].read()) for key in keys]


# A bucket: refused until the function admits it; filters hold.
arn = function("objects")
rules = {"LambdaFunctionConfigurations": [{"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": {"Key": {"FilterRules": [{"Name": "suffix", "Value": ".json"}]}}}]}
refused("InvalidArgument", "Unable to validate the following destination configurations", s3.put_bucket_notification_configuration, Bucket="source", NotificationConfiguration=rules)
allow("objects", "s3.amazonaws.com", "arn:aws:s3:::source")
s3.put_bucket_notification_configuration(Bucket="source", NotificationConfiguration=rules)
s3.put_object(Bucket="source", Key="a.txt", Body=b"1")
s3.put_object(Bucket="source", Key="a b.json", Body=b"22")
event = when(lambda: seen("objects"), 30)[0]["Records"][0]
assert event["eventSource"] == "aws:s3" and event["eventName"] == "ObjectCreated:Put" and event["s3"]["object"]["key"] == "a+b.json" and event["s3"]["object"]["size"] == 2 and event["s3"]["bucket"]["name"] == "source", event

# A topic.
arn = function("letters")
topic = sns.create_topic(Name="letters")["TopicArn"]
allow("letters", "sns.amazonaws.com", topic)
sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)
sns.publish(TopicArn=topic, Subject="s", Message="hello", MessageAttributes={"a": {"DataType": "String", "StringValue": "b"}})
event = when(lambda: seen("letters"), 30)[0]["Records"][0]
assert event["EventSource"] == "aws:sns" and event["EventVersion"] == "1.0" and event["EventSubscriptionArn"].startswith(topic + ":"), event
assert event["Sns"]["Message"] == "hello" and event["Sns"]["Subject"] == "s" and event["Sns"]["TopicArn"] == topic and event["Sns"]["MessageAttributes"] == {"a": {"Type": "String", "Value": "b"}}, event

# A bus: a pattern, and an input that is made of the event.
arn = function("rules")
rule = bus.put_rule(Name="orders", EventPattern=json.dumps({"source": ["shop"], "detail": {"total": [{"numeric": [">", 10]}]}}))["RuleArn"]
allow("rules", "events.amazonaws.com", rule)
bus.put_targets(Rule="orders", Targets=[{"Id": "1", "Arn": arn, "InputTransformer": {"InputPathsMap": {"total": "$.detail.total"}, "InputTemplate": '{"t": <total>}'}}])
bus.put_events(Entries=[{"Source": "shop", "DetailType": "order", "Detail": json.dumps({"total": total})} for total in (5, 15)])
assert when(lambda: seen("rules"), 30) == [{"t": 15}]

# A schedule.
arn = function("ticks")
at = (datetime.now(timezone.utc) + timedelta(seconds=1)).strftime("at(%Y-%m-%dT%H:%M:%S)")
schedules.create_schedule(Name="once", ScheduleExpression=at, FlexibleTimeWindow={"Mode": "OFF"}, Target={"Arn": arn, "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/schedules", "Input": json.dumps({"tick": 1})})
assert when(lambda: seen("ticks"), 30) == [{"tick": 1}]

# By an alias: the version that it names runs.
lam.publish_version(FunctionName="letters")
lam.create_alias(FunctionName="letters", Name="live", FunctionVersion="1")
other = sns.create_topic(Name="others")["TopicArn"]
lam.add_permission(FunctionName="letters", Qualifier="live", StatementId="may", Action="lambda:InvokeFunction", Principal="sns.amazonaws.com", SourceArn=other)
sns.subscribe(TopicArn=other, Protocol="lambda", Endpoint=f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:letters:live")
sns.publish(TopicArn=other, Message="by alias")
when(lambda: any(event["Records"][0]["Sns"]["Message"] == "by alias" for event in seen("letters")), 30)
assert any("[1]" in stream["logStreamName"] for stream in client("logs").describe_log_streams(logGroupName="/aws/lambda/letters")["logStreams"])
print("deliveries: ok")
