"""Functions that run: answers, errors, limits, logs, versions with weights, asynchronous invocations."""
import base64, shutil, threading
from common import *

c = client("lambda")
role()
time.sleep(0.8)

CODE = '''
import json, os, sys, time
count = 0

def echo(event, context):
    return event

def describe(event, context):
    global count
    count += 1
    print("a line for", event.get("who"))
    return {
        "count": count, "environment": {k: os.environ.get(k) for k in ("A", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_EXECUTION_ENV", "_HANDLER")},
        "root": os.environ["LAMBDA_TASK_ROOT"] == os.getcwd(), "id": context.aws_request_id, "arn": context.invoked_function_arn, "name": context.function_name,
        "version": context.function_version, "memory": context.memory_limit_in_mb, "left": context.get_remaining_time_in_millis(),
        "client": context.client_context and context.client_context.custom, "trace": os.environ.get("_X_AMZN_TRACE_ID"),
    }

class Wrong(Exception):
    pass

def fail(event, context):
    raise Wrong("it went wrong: %s" % event["why"])

def slow(event, context):
    print("asleep")
    time.sleep(30)

def hungry(event, context):
    return len(bytearray(3 << 30))

def large(event, context):
    return "x" * event["size"]

def leave(event, context):
    os._exit(3)

def noisy(event, context):
    for n in range(event["lines"]):
        print("line", n, "x" * 50)
    sys.stderr.write("a second way\\n")
    return event["lines"]

def unfit(event, context):
    return {1, 2}

def fork(event, context):
    import subprocess
    child = subprocess.Popen(["sleep", "300"])
    return child.pid

def write(event, context):
    import boto3
    boto3.client("s3").put_object(Bucket="written", Key=event["key"], Body=b"by a function")
    return "done"

def attempt(event, context):
    import boto3
    boto3.client("dynamodb").update_item(TableName="attempts", Key={"id": {"S": context.aws_request_id}}, UpdateExpression="ADD n :one", ExpressionAttributeValues={":one": {"N": "1"}})
    if event.get("fail"):
        raise Wrong("again")
    return {"fine": True}
'''
code = archive({"app.py": CODE, "broken.py": "import nothing_like_this\n", "syntax.py": "def (:\n", "raises.py": "raise ValueError('while loading')\n"})


def make(name, handler, wait=True, **more):
    arguments = dict(FunctionName=name, Runtime="python3.11", Role=ROLE, Handler=handler, Code={"ZipFile": code}, Timeout=10)
    made = c.create_function(**{**arguments, **more})
    if wait:
        when(lambda: c.get_function_configuration(FunctionName=name)["State"] == "Active")
    return made["FunctionArn"]


def settle(name):
    when(lambda: c.get_function_configuration(FunctionName=name)["LastUpdateStatus"] == "Successful")


def invoke(name, event=None, **more):
    given = c.invoke(FunctionName=name, Payload=json.dumps(event if event is not None else {}), **more)
    body = given["Payload"].read()
    return given, json.loads(body) if body else None


# An answer, and what a handler sees.
make("early", "app.echo", wait=False)
refused("ResourceConflictException", "in the following state: Pending", c.invoke, FunctionName="early")
arn = make("echo", "app.echo")
for event in [None, 1, "text", [1, {"a": "ü"}], {"big": "x" * 100_000}, 1.5, True]:
    given, answer = invoke("echo", event)
    assert given["StatusCode"] == 200 and "FunctionError" not in given and answer == (event if event is not None else {}), answer
assert json.loads(c.invoke(FunctionName="echo")["Payload"].read()) == {}
assert given["ExecutedVersion"] == "$LATEST"
refused("InvalidRequestContentException", "Could not parse request body into json", c.invoke, FunctionName="echo", Payload=b"{")
refused("ResourceNotFoundException", "Function not found: arn:aws:lambda:eu-west-1:123456789012:function:none", c.invoke, FunctionName="none")
assert c.invoke(FunctionName="echo", InvocationType="DryRun")["StatusCode"] == 204
too_large = refused("RequestEntityTooLargeException", "6291456", c.invoke, FunctionName="echo", Payload=json.dumps("x" * (6 << 20)))
assert too_large["ResponseMetadata"]["HTTPStatusCode"] == 413

make("describe", "app.describe", Environment={"Variables": {"A": "1"}}, MemorySize=256)
context = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
given, seen = invoke("describe", {"who": "you"}, LogType="Tail", ClientContext=context)
assert seen["environment"] == {"A": "1", "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1", "AWS_LAMBDA_FUNCTION_NAME": "describe", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11", "_HANDLER": "app.describe"}, seen
assert seen["root"] and seen["name"] == "describe" and seen["version"] == "$LATEST" and seen["memory"] == "256" and 8000 < seen["left"] <= 10000, seen
assert seen["arn"] == f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:describe" and seen["trace"].startswith("Root=1-")
log = base64.b64decode(given["LogResult"]).decode()
lines = log.splitlines()
assert lines[0] == f"START RequestId: {seen['id']} Version: $LATEST" and "a line for you" in lines and f"END RequestId: {seen['id']}" in lines, log
assert any(l.startswith(f"REPORT RequestId: {seen['id']}\tDuration: ") and "Memory Size: 256 MB" in l and "Max Memory Used: " in l for l in lines), log
assert seen["id"] == given["ResponseMetadata"]["RequestId"], (seen["id"], given["ResponseMetadata"])
# The process stays warm, and a change replaces it.
assert invoke("describe", {"who": "x"})[1]["count"] == 2
c.update_function_configuration(FunctionName="describe", Environment={"Variables": {"A": "2"}})
settle("describe")
again = invoke("describe", {"who": "x"})[1]
assert again["count"] == 1 and again["environment"]["A"] == "2", again

# Its log, in CloudWatch Logs.
logs = client("logs")
events = when(lambda: logs.filter_log_events(logGroupName="/aws/lambda/describe", filterPattern='"a line for you"')["events"])
assert events[0]["message"].rstrip("\n") == "a line for you", events
stream = logs.describe_log_streams(logGroupName="/aws/lambda/describe")["logStreams"][0]["logStreamName"]
assert "/[$LATEST]" in stream, stream

# Errors in Lambda's shape.
make("fail", "app.fail")
given, error = invoke("fail", {"why": "x"}, LogType="Tail")
assert given["FunctionError"] == "Unhandled" and given["StatusCode"] == 200
assert error["errorMessage"] == "it went wrong: x" and error["errorType"] == "Wrong" and error["requestId"], error
assert error["stackTrace"] == ['  File "/var/task/app.py", line 23, in fail\n    raise Wrong("it went wrong: %s" % event["why"])\n'], error
assert "[ERROR] Wrong: it went wrong: x" in base64.b64decode(given["LogResult"]).decode()
for name, handler, kind, words in [
    ("import", "broken.handler", "Runtime.ImportModuleError", "Unable to import module 'broken': No module named 'nothing_like_this'"),
    ("gone", "gone.handler", "Runtime.ImportModuleError", "Unable to import module 'gone': No module named 'gone'"),
    ("missing", "app.nothing", "Runtime.HandlerNotFound", "Handler 'nothing' missing on module 'app'"),
    ("syntax", "syntax.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'syntax'"),
    ("bad", "nodots", "Runtime.MalformedHandlerName", "Bad handler 'nodots'"),
    ("raises", "raises.handler", "ValueError", "while loading"),
    ("leave", "app.leave", "Runtime.ExitError", "Runtime exited with error: exit status 3"),
    ("unfit", "app.unfit", "Runtime.MarshalError", "Unable to marshal response: Object of type set is not JSON serializable"),
]:
    make(name, handler)
    given, error = invoke(name)
    assert given.get("FunctionError") == "Unhandled" and error["errorType"] == kind and words in error["errorMessage"], (name, error)
make("slow", "app.slow", Timeout=1)
began = time.time()
given, error = invoke("slow", LogType="Tail")
assert time.time() - began < 6
assert given["FunctionError"] == "Unhandled" and error["errorMessage"].endswith("Task timed out after 1.00 seconds"), error
assert "Task timed out after 1.00 seconds" in base64.b64decode(given["LogResult"]).decode()
assert "asleep" in base64.b64decode(given["LogResult"]).decode()
make("hungry", "app.hungry")
given, error = invoke("hungry")
assert given["FunctionError"] == "Unhandled" and error["errorType"] in ("MemoryError", "Runtime.OutOfMemory", "Runtime.ExitError"), error
make("large", "app.large", MemorySize=512)
assert len(invoke("large", {"size": 5_000_000})[1]) == 5_000_000
given, error = invoke("large", {"size": 7_000_000})
assert error["errorType"] == "Function.ResponseSizeTooLarge" and "exceeded maximum allowed payload size (6291556 bytes)" in error["errorMessage"], error
assert len(invoke("large", {"size": 10})[1]) == 10
make("noisy", "app.noisy")
given, answer = invoke("noisy", {"lines": 5000}, LogType="Tail")
tail = base64.b64decode(given["LogResult"]).decode()
assert answer == 5000 and len(tail) <= 4096 and "a second way" in tail and "REPORT" in tail, tail

# Children of a handler end with it.
import os
make("fork", "app.fork")
pid = invoke("fork")[1]
assert os.path.exists(f"/proc/{pid}")
c.delete_function(FunctionName="fork")
when(lambda: not os.path.exists(f"/proc/{pid}") or open(f"/proc/{pid}/stat").read().split()[2] == "Z")

# Versions run their own code, aliases share by weight.
make("versions", "app.echo", Code={"ZipFile": archive({"app.py": "def echo(e, c):\n    return c.function_version\n"})})
c.publish_version(FunctionName="versions")
c.update_function_code(FunctionName="versions", ZipFile=archive({"app.py": "def echo(e, c):\n    return 'new ' + c.function_version\n"}))
settle("versions")
c.publish_version(FunctionName="versions")
assert invoke("versions", Qualifier="1")[1] == "1" and invoke("versions:2")[1] == "new 2" and invoke("versions")[1] == "new $LATEST"
c.create_alias(FunctionName="versions", Name="live", FunctionVersion="1", RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
runs = [invoke("versions", Qualifier="live") for _ in range(60)]
assert {g["ExecutedVersion"] for g, _ in runs} == {"1", "2"} and all(a in (g["ExecutedVersion"], "new " + g["ExecutedVersion"]) for g, a in runs)
assert 10 < sum(g["ExecutedVersion"] == "2" for g, _ in runs) < 50

# Reserved concurrency.
c.put_function_concurrency(FunctionName="echo", ReservedConcurrentExecutions=0)
throttled = refused("TooManyRequestsException", "Rate Exceeded", c.invoke, FunctionName="echo")
assert throttled["ResponseMetadata"]["HTTPStatusCode"] == 429 and throttled["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded", throttled
c.delete_function_concurrency(FunctionName="echo")
make("pair", "app.slow", Timeout=2)
c.put_function_concurrency(FunctionName="pair", ReservedConcurrentExecutions=1)
thread = threading.Thread(target=lambda: client("lambda").invoke(FunctionName="pair"))
thread.start()
time.sleep(1)
refused("TooManyRequestsException", "Rate Exceeded", c.invoke, FunctionName="pair")
thread.join()

# Many at once.
results = []
threads = [threading.Thread(target=lambda n=n: results.append(json.loads(client("lambda").invoke(FunctionName="echo", Payload=json.dumps(n))["Payload"].read()))) for n in range(12)]
[t.start() for t in threads]
[t.join() for t in threads]
assert sorted(results) == list(range(12))

# Layers are found.
layer = c.publish_layer_version(LayerName="shared", Content={"ZipFile": archive({"python/shared_words.py": "WORDS = 'of a layer'\n"})})
make("layered", "app.handler", Layers=[layer["LayerVersionArn"]], Code={"ZipFile": archive({"app.py": "import shared_words\ndef handler(e, c):\n    return shared_words.WORDS\n"})})
assert invoke("layered")[1] == "of a layer"

# A package in a folder, and a handler with a path.
make("nested", "src/deep.handler", Code={"ZipFile": archive({"src/deep.py": "def handler(e, c):\n    return __file__.split('/')[-2:]\n"})})
assert invoke("nested")[1] == ["src", "deep.py"]

# An archive that leads out of its place.
make("sly", "app.handler", Code={"ZipFile": archive({"../../evil.py": "x", "/abs.py": "y", "app.py": "import os\ndef handler(e, c):\n    return [os.path.exists(p) for p in ('../evil.py', '../../evil.py', '/abs.py')]\n"})})
assert invoke("sly")[1] == [False, False, False]

# A runtime that does not run here.
make("java", "a.B::c", Runtime="java21")
refused("InvalidRuntimeException", "java21", c.invoke, FunctionName="java")

# Asynchronous: retries, destinations, dead letters.
sqs, table = client("sqs"), client("dynamodb")
table.create_table(TableName="attempts", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}], AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}])
table.get_waiter("table_exists").wait(TableName="attempts", WaiterConfig={"Delay": 1})


def queue(name):
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def message(url):
    return when(lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1, MessageAttributeNames=["All"]).get("Messages"), 30)[0]


good, good_arn = queue("good")
bad, bad_arn = queue("bad")
dead, dead_arn = queue("dead")
attempt = make("attempt", "app.attempt", DeadLetterConfig={"TargetArn": dead_arn}, Timeout=20)
c.put_function_event_invoke_config(FunctionName="attempt", MaximumRetryAttempts=2, DestinationConfig={"OnSuccess": {"Destination": good_arn}, "OnFailure": {"Destination": bad_arn}})
given = c.invoke(FunctionName="attempt", InvocationType="Event", Payload=b'{"n": 1}')
assert given["StatusCode"] == 202 and given["Payload"].read() == b""
record = json.loads(message(good)["Body"])
assert record["version"] == "1.0" and record["requestContext"]["condition"] == "Success" and record["requestContext"]["approximateInvokeCount"] == 1, record
assert record["requestContext"]["functionArn"] == attempt + ":$LATEST" and record["requestPayload"] == {"n": 1} and record["responsePayload"] == {"fine": True}, record
assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}, record
assert record["requestContext"]["requestId"] == given["ResponseMetadata"]["RequestId"]
c.invoke(FunctionName="attempt", InvocationType="Event", Payload=b'{"fail": true}')
record = json.loads(message(bad)["Body"])
assert record["requestContext"]["condition"] == "RetriesExhausted" and record["requestContext"]["approximateInvokeCount"] == 3, record
assert record["responseContext"]["functionError"] == "Unhandled" and record["responsePayload"]["errorMessage"] == "again", record
letter = message(dead)
assert json.loads(letter["Body"]) == {"fail": True} and letter["MessageAttributes"]["ErrorMessage"]["StringValue"] == "again", letter
item = table.get_item(TableName="attempts", Key={"id": {"S": record["requestContext"]["requestId"]}})["Item"]
assert item["n"]["N"] == "3", item
client("s3").create_bucket(Bucket="written", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
make("write", "app.write", Timeout=20)
given, answer = invoke("write", {"key": "k"})
assert answer == "done", answer
assert client("s3").get_object(Bucket="written", Key="k")["Body"].read() == b"by a function"
refused("RequestEntityTooLargeException", "", c.invoke, FunctionName="echo", InvocationType="Event", Payload=json.dumps("x" * (1 << 20)))

# An event goes through as it came: large numbers, order, spaces; one that is too deep is refused, not lost.
make("raw", "app.handler", Code={"ZipFile": archive({"app.py": "import boto3, json\ndef handler(event, context):\n    boto3.client('sqs').send_message(QueueUrl='" + good + "', MessageBody=json.dumps(event))\n"})}, Timeout=20)
c.invoke(FunctionName="raw", InvocationType="Event", Payload=b'{"z": 123456789012345678901234567890, "a": 0.1}')
assert message(good)["Body"] == '{"z": 123456789012345678901234567890, "a": 0.1}'
refused("InvalidRequestContentException", "Could not parse request body into json", c.invoke, FunctionName="raw", InvocationType="Event", Payload=b"[" * 5000 + b"]" * 5000)

# Other destinations: a bucket, a bus, a function, a topic.
arn = lambda service, rest: f"arn:aws:{service}:eu-west-1:{ACCOUNT}:{rest}"
c.put_function_event_invoke_config(FunctionName="attempt", MaximumRetryAttempts=0, DestinationConfig={"OnSuccess": {"Destination": arn("events", "event-bus/default")}, "OnFailure": {"Destination": "arn:aws:s3:::written"}})
watch, watch_arn = queue("watch")
bus = client("events")
bus.put_rule(Name="told", EventPattern=json.dumps({"source": ["lambda"], "detail-type": ["Lambda Function Invocation Result - Success"]}))
bus.put_targets(Rule="told", Targets=[{"Id": "1", "Arn": watch_arn}])
c.invoke(FunctionName="attempt", InvocationType="Event", Payload=b'{"n": 2}')
told = json.loads(message(watch)["Body"])
assert told["detail"]["requestPayload"] == {"n": 2} and told["detail"]["responsePayload"] == {"fine": True} and attempt + ":$LATEST" in told["resources"], told
c.invoke(FunctionName="attempt", InvocationType="Event", Payload=b'{"fail": true}')
found = when(lambda: client("s3").list_objects_v2(Bucket="written", Prefix="aws/lambda/async/attempt/").get("Contents"), 20)
told = json.loads(client("s3").get_object(Bucket="written", Key=found[0]["Key"])["Body"].read())
assert told["requestContext"]["condition"] == "RetriesExhausted" and told["requestContext"]["approximateInvokeCount"] == 1, told
make("next", "app.handler", Code={"ZipFile": archive({"app.py": "import boto3\ndef handler(event, context):\n    boto3.client('sqs').send_message(QueueUrl='" + watch + "', MessageBody=event['requestContext']['condition'])\n"})}, Timeout=20)
topic = client("sns").create_topic(Name="failures")["TopicArn"]
client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=watch_arn, Attributes={"RawMessageDelivery": "true"})
c.put_function_event_invoke_config(FunctionName="attempt", MaximumRetryAttempts=0, DestinationConfig={"OnSuccess": {"Destination": arn("lambda", "function:next")}, "OnFailure": {"Destination": topic}})
while sqs.receive_message(QueueUrl=watch).get("Messages"):
    pass
c.invoke(FunctionName="attempt", InvocationType="Event", Payload=b'{"n": 3}')
assert message(watch)["Body"] == "Success"
c.invoke(FunctionName="attempt", InvocationType="Event", Payload=b'{"fail": true}')
assert json.loads(when(lambda: [m for m in sqs.receive_message(QueueUrl=watch, WaitTimeSeconds=1).get("Messages", []) if "RetriesExhausted" in m["Body"]], 20)[0]["Body"])["responseContext"]["functionError"] == "Unhandled"

# A destination of the function itself is not that of an alias.
c.publish_version(FunctionName="attempt")
c.create_alias(FunctionName="attempt", Name="live", FunctionVersion="1")
c.put_function_event_invoke_config(FunctionName="attempt", Qualifier="live", MaximumRetryAttempts=0, DestinationConfig={"OnSuccess": {"Destination": good_arn}})
c.invoke(FunctionName="attempt", Qualifier="live", InvocationType="Event", Payload=b'{"n": 4}')
record = json.loads(message(good)["Body"])
assert record["requestContext"]["functionArn"] == attempt + ":live" and record["responseContext"]["executedVersion"] == "1", record

# Node, when there is one.
if shutil.which("node"):
    node = {
        "index.mjs": "let n = 0; export const handler = async (event, context) => { console.log('hello', event); n += 1; return {n, name: context.functionName, left: context.getRemainingTimeInMillis() > 0}; };\nexport const fail = async () => { throw new TypeError('not so'); };\nexport const text = async () => { throw 'a text'; };\n",
        "old.js": "exports.handler = (event, context, callback) => callback(null, {got: event});\nexports.fail = (e, c, callback) => callback(new Error('called back'));\nexports.nothing = async () => {};\n",
        "out/deep/fn.js": "module.exports.handler = async (event) => event.a + event.b;\n",
        "broken.js": "require('nothing-like-this');\n",
        "never.js": "exports.handler = (e, c, callback) => {};\n",
    }
    packed = archive(node)
    n = lambda name, handler, **more: make(name, handler, Runtime="nodejs22.x", Code={"ZipFile": packed}, **more)
    n("n1", "index.handler")
    given, answer = invoke("n1", {"a": 1}, LogType="Tail")
    assert answer == {"n": 1, "name": "n1", "left": True}, answer
    tail = base64.b64decode(given["LogResult"]).decode()
    assert "\tINFO\thello { a: 1 }" in tail, tail
    assert invoke("n1")[1]["n"] == 2
    n("n2", "index.fail")
    given, error = invoke("n2")
    assert given["FunctionError"] == "Unhandled" and error["errorType"] == "TypeError" and error["errorMessage"] == "not so" and error["trace"][0] == "TypeError: not so", error
    n("n3", "old.handler")
    assert invoke("n3", {"x": [1]})[1] == {"got": {"x": [1]}}
    n("n4", "old.fail")
    assert invoke("n4")[1]["errorMessage"] == "called back"
    n("n5", "old.nothing")
    assert invoke("n5")[1] is None
    n("n6", "out/deep/fn.handler")
    assert invoke("n6", {"a": 1, "b": 2})[1] == 3
    n("n7", "broken.handler")
    assert invoke("n7")[1]["errorType"] == "Runtime.ImportModuleError"
    n("n8", "old.gone")
    assert invoke("n8")[1]["errorType"] == "Runtime.HandlerNotFound" and invoke("n8")[1]["errorMessage"] == "old.gone is undefined or not exported"
    n("n9", "never.handler", Timeout=2)
    # Nothing is left to wait for: the answer is null, as Lambda gives it.
    assert invoke("n9")[1] is None
    n("n10", "index.text")
    assert invoke("n10")[1]["errorType"] == "string"
else:
    print("passed over: node is not installed")
print("run: ok")
