"""The same calls to the sandbox and to moto: functions, versions, aliases, layers, policies, mappings, roles, logs.

Each answer is a line of JSON without what differs from run to run; a refusal is its code, status and words.
"""
import re
from common import *

c, iam, logs, sts = (client(name) for name in ("lambda", "iam", "logs", "sts"))
DATES = ("LastModified", "LastModifiedTime", "CreationTime", "CreatedDate", "CreateDate", "UpdateDate", "creationTime", "timestamp", "ingestionTime", "firstEventTimestamp", "lastEventTimestamp", "lastIngestionTime", "RoleLastUsed", "AttachDate")
IDS = ("RevisionId", "UUID", "RoleId", "PolicyId", "UserId", "Location", "FunctionUrl", "uploadSequenceToken", "nextSequenceToken", "eventId", "Arn_" )
# Fields that are left out of the comparison, and why; functions.py and mappings.py look at them.
GAPS = {
    "State": "moto has no asynchronous states", "StateReason": "moto has no asynchronous states", "StateReasonCode": "moto has no asynchronous states",
    "LastUpdateStatus": "moto has no asynchronous states", "LastUpdateStatusReason": "moto has no asynchronous states", "LastUpdateStatusReasonCode": "moto has no asynchronous states",
    "StateTransitionReason": "moto says User initiated of every source; AWS says USER_INITIATED of queues and User action of streams",
    "RevisionId": "moto gives none for functions", "LoggingConfig": "moto gives none", "RuntimeVersionConfig": "moto gives none",
    "Layers": "moto gives an empty list of functions without layers, AWS nothing", "LicenseInfo": "moto gives an empty one, AWS nothing",
    "Description": "moto leaves an empty one of a layer out", "RoleLastUsed": "moto gives one before a role was used",
    "PermissionsBoundaryUsageCount": "moto gives none", "logGroupClass": "moto gives none", "InvokeMode": "moto says Buffered, AWS BUFFERED",
    "FunctionResponseTypes": "moto gives no defaults of mappings", "MaximumBatchingWindowInSeconds": "moto gives no defaults of mappings",
}
for field, reason in sorted(GAPS.items()):
    print("#", field, "is left out:", reason)
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def plain(value, key=""):
    if key in DATES:
        return "a time"
    if key in IDS and value:
        return "an id"
    if isinstance(value, dict):
        return {k: plain(v, k) for k, v in sorted(value.items()) if k != "ResponseMetadata" and k not in GAPS}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, str):
        try:
            parsed = json.loads(value)
            if isinstance(parsed, dict):
                return {"json": plain(parsed)}
        except ValueError:
            pass
        return UUID.sub("an id", value.replace(endpoint, "ENDPOINT"))
    return value if isinstance(value, (int, float, bool, type(None))) else str(value)


def show(name, call, *given, **arguments):
    try:
        answer = call(*given, **arguments)
        said = {"ok": plain(answer), "succeeded": answer["ResponseMetadata"]["HTTPStatusCode"] // 100 == 2}
    except ClientError as error:
        answer = None
        said = {"error": error.response["Error"]["Code"], "status": error.response["ResponseMetadata"]["HTTPStatusCode"], "words": plain(error.response["Error"].get("Message", ""))}
    print(json.dumps([name, said], sort_keys=True), flush=True)
    return answer


def settled(name):
    when(lambda: c.get_function_configuration(FunctionName=name).get("LastUpdateStatus", "Successful") == "Successful" and c.get_function_configuration(FunctionName=name)["State"] == "Active")


# Roles and policies.
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]})
GRANT = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
show("role.create", iam.create_role, RoleName="runs", AssumeRolePolicyDocument=TRUST, Path="/service/", Description="d", Tags=[{"Key": "a", "Value": "b"}])
show("role.create.again", iam.create_role, RoleName="runs", AssumeRolePolicyDocument=TRUST)
show("role.create.malformed", iam.create_role, RoleName="other", AssumeRolePolicyDocument="{")
show("role.get", iam.get_role, RoleName="runs")
show("role.get.none", iam.get_role, RoleName="none")
show("role.inline", iam.put_role_policy, RoleName="runs", PolicyName="p", PolicyDocument=GRANT)
show("role.inline.get", iam.get_role_policy, RoleName="runs", PolicyName="p")
show("role.inline.list", iam.list_role_policies, RoleName="runs")
show("role.inline.get.none", iam.get_role_policy, RoleName="runs", PolicyName="none")
show("policy.create", iam.create_policy, PolicyName="mine", PolicyDocument=GRANT)
show("policy.create.again", iam.create_policy, PolicyName="mine", PolicyDocument=GRANT)
show("role.attach", iam.attach_role_policy, RoleName="runs", PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/mine")
show("role.attach.none", iam.attach_role_policy, RoleName="runs", PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/none")
show("role.attached", iam.list_attached_role_policies, RoleName="runs")
show("role.delete.conflict", iam.delete_role, RoleName="runs")
iam.create_policy(PolicyName="used", PolicyDocument=GRANT)
iam.create_role(RoleName="uses", AssumeRolePolicyDocument=TRUST)
iam.attach_role_policy(RoleName="uses", PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/used")
show("policy.delete.conflict", iam.delete_policy, PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/used")
show("role.tags", iam.list_role_tags, RoleName="runs")
show("role.untag", iam.untag_role, RoleName="runs", TagKeys=["a"])
show("role.update", iam.update_role, RoleName="runs", Description="e", MaxSessionDuration=7200)
show("sts.identity", lambda: {k: v for k, v in sts.get_caller_identity().items() if k in ("Account", "ResponseMetadata")})
ROLE = f"arn:aws:iam::{ACCOUNT}:role/service/runs"
time.sleep(0.8)

# Functions.
one = archive({"app.py": "def handler(event, context):\n    return 1\n"})
two = archive({"app.py": "def handler(event, context):\n    return 2\n"})
base = dict(Runtime="python3.12", Role=ROLE, Handler="app.handler", Code={"ZipFile": one})
show("function.create", c.create_function, FunctionName="f", Description="d", Timeout=7, MemorySize=256, Environment={"Variables": {"A": "1"}}, Tags={"t": "u"}, **base)
show("function.create.again", c.create_function, FunctionName="f", **base)
settled("f")
show("function.get", c.get_function, FunctionName="f")
show("function.get.arn", lambda: {"ResponseMetadata": (g := c.get_function(FunctionName=f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f"))["ResponseMetadata"], "ARN": g["Configuration"]["FunctionArn"]})
show("function.configuration", c.get_function_configuration, FunctionName="f")
show("function.get.none", c.get_function, FunctionName="none")
show("function.get.qualifier.none", c.get_function, FunctionName="f", Qualifier="9")
show("function.list", c.list_functions)
show("function.minimal", c.create_function, FunctionName="g", **base)
show("function.wrong.runtime", c.create_function, FunctionName="h", **{**base, "Runtime": "python1.0"})
show("function.wrong.role", c.create_function, FunctionName="i", **{**base, "Role": "nothing"})
show("function.wrong.name", c.create_function, FunctionName="a b", **base)
settled("g")
show("function.code", c.update_function_code, FunctionName="f", ZipFile=two)
settled("f")
show("function.code.same", lambda: {"ResponseMetadata": (g := c.update_function_code(FunctionName="f", ZipFile=two, DryRun=True))["ResponseMetadata"], "CodeSha256": g["CodeSha256"], "CodeSize": g["CodeSize"]})
show("function.update", c.update_function_configuration, FunctionName="f", Timeout=9, Environment={"Variables": {"B": "2"}}, Description="e")
settled("f")
show("function.update.none", c.update_function_configuration, FunctionName="none", Timeout=9)
show("function.concurrency", c.put_function_concurrency, FunctionName="f", ReservedConcurrentExecutions=5)
show("function.concurrency.get", c.get_function_concurrency, FunctionName="f")
show("function.concurrency.delete", c.delete_function_concurrency, FunctionName="f")
show("function.concurrency.gone", c.get_function_concurrency, FunctionName="f")

# Versions and aliases.
show("version.publish", c.publish_version, FunctionName="f", Description="first")
c.update_function_code(FunctionName="f", ZipFile=one)
settled("f")
show("version.publish.second", c.publish_version, FunctionName="f")
show("version.list", c.list_versions_by_function, FunctionName="f")
show("alias.create", c.create_alias, FunctionName="f", Name="live", FunctionVersion="1", Description="d")
show("alias.create.again", c.create_alias, FunctionName="f", Name="live", FunctionVersion="1")
show("alias.get", c.get_alias, FunctionName="f", Name="live")
show("alias.get.none", c.get_alias, FunctionName="f", Name="none")
show("alias.weights", c.update_alias, FunctionName="f", Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 0.25}})
show("alias.move", c.update_alias, FunctionName="f", Name="live", FunctionVersion="2", RoutingConfig={"AdditionalVersionWeights": {}})
show("alias.list", c.list_aliases, FunctionName="f")
show("alias.version.none", c.create_alias, FunctionName="f", Name="far", FunctionVersion="77")
show("function.by.alias", lambda: {"ResponseMetadata": (g := c.get_function_configuration(FunctionName="f", Qualifier="live"))["ResponseMetadata"], "Version": g["Version"], "Arn": g["FunctionArn"]})
show("alias.delete", c.delete_alias, FunctionName="f", Name="live")

# Policies.
show("permission.add", c.add_permission, FunctionName="f", StatementId="s", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com", SourceArn="arn:aws:s3:::b", SourceAccount=ACCOUNT)
show("permission.add.again", c.add_permission, FunctionName="f", StatementId="s", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com")
show("permission.account", c.add_permission, FunctionName="f", StatementId="t", Action="lambda:InvokeFunction", Principal="123456789012")
show("permission.get", c.get_policy, FunctionName="f")
show("permission.remove", c.remove_permission, FunctionName="f", StatementId="s")
show("permission.remove.none", c.remove_permission, FunctionName="f", StatementId="none")
show("permission.get.none", c.get_policy, FunctionName="g")

# Tags, settings, URLs.
ARN = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f"
show("tags.add", c.tag_resource, Resource=ARN, Tags={"x": "y"})
show("tags.list", c.list_tags, Resource=ARN)
show("tags.remove", c.untag_resource, Resource=ARN, TagKeys=["t"])
show("tags.after", c.list_tags, Resource=ARN)
show("settings.put", c.put_function_event_invoke_config, FunctionName="f", MaximumRetryAttempts=1, MaximumEventAgeInSeconds=100)
show("settings.get", c.get_function_event_invoke_config, FunctionName="f")
show("settings.update", c.update_function_event_invoke_config, FunctionName="f", MaximumRetryAttempts=0)
show("settings.list", c.list_function_event_invoke_configs, FunctionName="f")
show("settings.delete", c.delete_function_event_invoke_config, FunctionName="f")
show("settings.none", c.get_function_event_invoke_config, FunctionName="f")
show("settings.wrong", c.put_function_event_invoke_config, FunctionName="f", MaximumRetryAttempts=3)
show("url.create", c.create_function_url_config, FunctionName="f", AuthType="NONE", Cors={"AllowOrigins": ["*"]})
show("url.get", c.get_function_url_config, FunctionName="f")
show("url.update", c.update_function_url_config, FunctionName="f", AuthType="AWS_IAM")
show("url.delete", c.delete_function_url_config, FunctionName="f")
show("url.none", c.get_function_url_config, FunctionName="f")

# Layers.
show("layer.publish", c.publish_layer_version, LayerName="l", Description="d", Content={"ZipFile": one}, CompatibleRuntimes=["python3.12"], LicenseInfo="MIT")
show("layer.publish.second", c.publish_layer_version, LayerName="l", Content={"ZipFile": two})
show("layer.get", c.get_layer_version, LayerName="l", VersionNumber=1)
show("layer.get.none", c.get_layer_version, LayerName="l", VersionNumber=9)
show("layer.list", c.list_layers)
show("layer.versions", c.list_layer_versions, LayerName="l")
show("layer.used", c.update_function_configuration, FunctionName="g", Layers=[f"arn:aws:lambda:eu-west-1:{ACCOUNT}:layer:l:1"])
settled("g")
show("layer.delete", c.delete_layer_version, LayerName="l", VersionNumber=2)
show("layer.versions.after", lambda: {"ResponseMetadata": (g := c.list_layer_versions(LayerName="l"))["ResponseMetadata"], "n": [v["Version"] for v in g["LayerVersions"]]})

# Mappings.
sqs, kinesis = client("sqs"), client("kinesis")
sqs.create_queue(QueueName="q")
kinesis.create_stream(StreamName="s", ShardCount=1)
time.sleep(1)
QUEUE, STREAM = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:q", f"arn:aws:kinesis:eu-west-1:{ACCOUNT}:stream/s"
made = show("mapping.queue", c.create_event_source_mapping, FunctionName="f", EventSourceArn=QUEUE, BatchSize=5)
time.sleep(1)
show("mapping.get", c.get_event_source_mapping, UUID=made["UUID"])
show("mapping.stream", c.create_event_source_mapping, FunctionName="f", EventSourceArn=STREAM, StartingPosition="LATEST")
show("mapping.stream.position", c.create_event_source_mapping, FunctionName="g", EventSourceArn=STREAM)
show("mapping.function.none", c.create_event_source_mapping, FunctionName="none", EventSourceArn=QUEUE)
show("mapping.batch.wrong", c.create_event_source_mapping, FunctionName="g", EventSourceArn=QUEUE, BatchSize=100)
show("mapping.list", lambda: {"ResponseMetadata": (g := c.list_event_source_mappings(FunctionName="f"))["ResponseMetadata"], "sources": sorted(m["EventSourceArn"] for m in g["EventSourceMappings"])})
show("mapping.update", c.update_event_source_mapping, UUID=made["UUID"], BatchSize=7)
time.sleep(1)
show("mapping.delete", c.delete_event_source_mapping, UUID=made["UUID"])
show("mapping.none", c.get_event_source_mapping, UUID="00000000-0000-0000-0000-000000000000")

# Logs.
show("group.create", logs.create_log_group, logGroupName="/aws/own", tags={"a": "b"})
show("group.create.again", logs.create_log_group, logGroupName="/aws/own")
show("group.retention", logs.put_retention_policy, logGroupName="/aws/own", retentionInDays=7)
show("group.describe", logs.describe_log_groups, logGroupNamePrefix="/aws/own")
show("group.retention.wrong", logs.put_retention_policy, logGroupName="/aws/own", retentionInDays=8)
show("group.tags", logs.list_tags_log_group, logGroupName="/aws/own")
show("stream.create", logs.create_log_stream, logGroupName="/aws/own", logStreamName="s")
show("stream.create.again", logs.create_log_stream, logGroupName="/aws/own", logStreamName="s")
now = int(time.time() * 1000)
show("stream.put", logs.put_log_events, logGroupName="/aws/own", logStreamName="s", logEvents=[{"timestamp": now, "message": "one ERROR"}, {"timestamp": now, "message": "two"}])
show("stream.get", lambda: {"ResponseMetadata": (g := logs.get_log_events(logGroupName="/aws/own", logStreamName="s"))["ResponseMetadata"], "m": [e["message"] for e in g["events"]]})
show("stream.filter", lambda: {"ResponseMetadata": (g := logs.filter_log_events(logGroupName="/aws/own", filterPattern="ERROR"))["ResponseMetadata"], "m": [e["message"] for e in g["events"]]})
show("stream.put.none", logs.put_log_events, logGroupName="/aws/none", logStreamName="s", logEvents=[{"timestamp": now, "message": "x"}])
show("group.delete", logs.delete_log_group, logGroupName="/aws/own")
show("group.delete.none", logs.delete_log_group, logGroupName="/aws/own")

# The end.
show("version.publish.same", c.publish_version, FunctionName="f")
show("function.delete.version", c.delete_function, FunctionName="f", Qualifier="1")
show("version.list.after", lambda: {"ResponseMetadata": (g := c.list_versions_by_function(FunctionName="f"))["ResponseMetadata"], "v": [v["Version"] for v in g["Versions"]]})
show("function.delete", c.delete_function, FunctionName="f")
show("function.delete.none", c.delete_function, FunctionName="f")
show("role.detach", iam.detach_role_policy, RoleName="runs", PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/mine")
show("role.inline.delete", iam.delete_role_policy, RoleName="runs", PolicyName="p")
show("role.delete", iam.delete_role, RoleName="runs")
show("role.delete.none", iam.delete_role, RoleName="runs")
show("policy.delete", iam.delete_policy, PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/mine")
