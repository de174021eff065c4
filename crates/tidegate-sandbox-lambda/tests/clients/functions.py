"""Functions through boto3: states, guards, refusals, versions, aliases and what belongs to a function."""
import base64, hashlib, urllib.request
from common import *

c = client("lambda")
code = archive({"app.py": "def handler(event, context):\n    return event\n"})
other = archive({"app.py": "def handler(event, context):\n    return 2\n"})
digest = base64.b64encode(hashlib.sha256(code).digest()).decode()
base = dict(FunctionName="f", Runtime="python3.12", Role=ROLE, Handler="app.handler", Code={"ZipFile": code})
CANNOT = "The role defined for the function cannot be assumed by Lambda."

# A role that is not there, that others assume, that is too new.
refused("InvalidParameterValueException", CANNOT, c.create_function, **base)
role("wrong", "ec2.amazonaws.com")
refused("InvalidParameterValueException", CANNOT, c.create_function, **{**base, "Role": f"arn:aws:iam::{ACCOUNT}:role/wrong"})
role()
refused("InvalidParameterValueException", CANNOT, c.create_function, **base)
time.sleep(0.8)
refused("InvalidParameterValueException", "unzip", c.create_function, **{**base, "Code": {"ZipFile": b"no zip"}})
refused("ValidationException", "failed to satisfy constraint", c.create_function, **{**base, "Runtime": "cobol"})
refused("ValidationException", "less than or equal to 900", c.create_function, **base, Timeout=901)
refused("InvalidParameterValueException", "reserved keys", c.create_function, **base, Environment={"Variables": {"AWS_REGION": "x"}})
refused("InvalidParameterValueException", "4KB limit", c.create_function, **base, Environment={"Variables": {"A": "x" * 4096}})
refused("ResourceNotFoundException", "Function not found: arn:aws:lambda:eu-west-1:123456789012:function:f", c.get_function, FunctionName="f")

made = c.create_function(**base, Description="d", MemorySize=256, Timeout=5, Environment={"Variables": {"A": "1"}}, Tags={"app": "x"}, TracingConfig={"Mode": "Active"}, EphemeralStorage={"Size": 1024}, Architectures=["arm64"])
assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
assert made["State"] == "Pending" and made["StateReasonCode"] == "Creating", made
assert made["CodeSha256"] == digest and made["CodeSize"] == len(code) and made["Version"] == "$LATEST"
assert made["FunctionArn"] == f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f"
assert made["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"}
refused("ResourceConflictException", "Function already exist: f", c.create_function, **base)
refused("ResourceConflictException", "in the following state: Pending", c.update_function_configuration, FunctionName="f", Timeout=6)
refused("ResourceConflictException", "Pending", c.publish_version, FunctionName="f")
c.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 1})
got = c.get_function(FunctionName="f")
assert got["Configuration"]["State"] == "Active" and got["Configuration"]["LastUpdateStatus"] == "Successful"
assert got["Configuration"]["Environment"] == {"Variables": {"A": "1"}} and got["Tags"] == {"app": "x"}
assert urllib.request.urlopen(got["Code"]["Location"]).read() == code

# Guards and updates.
revision = got["Configuration"]["RevisionId"]
stale = refused("PreconditionFailedException", "Revision Id", c.update_function_code, FunctionName="f", ZipFile=other, RevisionId="x")
assert stale["ResponseMetadata"]["HTTPStatusCode"] == 412
dry = c.update_function_code(FunctionName="f", ZipFile=other, DryRun=True)
assert dry["CodeSha256"] != digest
assert c.get_function_configuration(FunctionName="f")["RevisionId"] == revision
updated = c.update_function_code(FunctionName="f", ZipFile=other, RevisionId=revision)
assert updated["LastUpdateStatus"] == "InProgress" and updated["RevisionId"] != revision, updated
busy = refused("ResourceConflictException", "An update is in progress for resource: arn:aws:lambda:eu-west-1:123456789012:function:f", c.update_function_configuration, FunctionName="f", Timeout=6)
assert busy["ResponseMetadata"]["HTTPStatusCode"] == 409
c.get_waiter("function_updated_v2").wait(FunctionName="f", WaiterConfig={"Delay": 1})
refused("PreconditionFailedException", "Revision Id", c.update_function_configuration, FunctionName="f", Timeout=6, RevisionId=revision)


def settle():
    when(lambda: c.get_function_configuration(FunctionName="f")["LastUpdateStatus"] == "Successful")


changed = c.update_function_configuration(FunctionName="f", Timeout=6, Environment={"Variables": {}}, Layers=[], VpcConfig={"SubnetIds": [], "SecurityGroupIds": []}, DeadLetterConfig={"TargetArn": ""}, KMSKeyArn="", TracingConfig={"Mode": "PassThrough"})
settle()
seen = c.get_function_configuration(FunctionName="f")
assert seen["Timeout"] == 6 and seen["MemorySize"] == 256 and "Environment" not in seen and seen["TracingConfig"] == {"Mode": "PassThrough"}, seen
# The end of a change is a revision too; a guard takes the one that was read last.
assert seen["RevisionId"] != changed["RevisionId"]
refused("PreconditionFailedException", "Call the GetFunction API", c.update_function_configuration, FunctionName="f", Timeout=6, RevisionId=changed["RevisionId"])

# Code from a bucket.
s3 = client("s3")
s3.create_bucket(Bucket="code-of-f", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
s3.put_object(Bucket="code-of-f", Key="a/f.zip", Body=code)
refused("InvalidParameterValueException", "S3 Error Code: NoSuchKey", c.update_function_code, FunctionName="f", S3Bucket="code-of-f", S3Key="none")
assert c.update_function_code(FunctionName="f", S3Bucket="code-of-f", S3Key="a/f.zip")["CodeSha256"] == digest
settle()

# Versions: only what changed is published.
refused("InvalidParameterValueException", "is different from current CodeSHA256", c.publish_version, FunctionName="f", CodeSha256="x")
latest = c.get_function_configuration(FunctionName="f")["RevisionId"]
one = c.publish_version(FunctionName="f", CodeSha256=digest, Description="first", RevisionId=latest)
assert c.get_function_configuration(FunctionName="f")["RevisionId"] != latest
assert c.get_function_configuration(FunctionName="f", Qualifier="1")["RevisionId"] == one["RevisionId"] != latest
assert one["Version"] == "1" and one["FunctionArn"].endswith(":f:1") and one["Description"] == "first"
assert c.publish_version(FunctionName="f")["Version"] == "1"
c.update_function_configuration(FunctionName="f", MemorySize=512)
settle()
assert c.publish_version(FunctionName="f")["Version"] == "2"
c.update_function_code(FunctionName="f", ZipFile=other, Publish=True)
settle()
assert [v["Version"] for v in c.list_versions_by_function(FunctionName="f")["Versions"]] == ["$LATEST", "1", "2", "3"]
page = c.list_versions_by_function(FunctionName="f", MaxItems=3)
rest = c.list_versions_by_function(FunctionName="f", Marker=page["NextMarker"])
assert [v["Version"] for v in page["Versions"] + rest["Versions"]] == ["$LATEST", "1", "2", "3"] and "NextMarker" not in rest
assert c.get_function_configuration(FunctionName="f", Qualifier="1")["MemorySize"] == 256
refused("ResourceNotFoundException", "function:f:9", c.get_function, FunctionName="f", Qualifier="9")

# A version of which a snapshot is taken is Pending first, and keeps its revision.
c.update_function_configuration(FunctionName="f", SnapStart={"ApplyOn": "PublishedVersions"})
settle()
snap = c.publish_version(FunctionName="f")
assert snap["State"] == "Pending" and snap["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}, snap
c.get_waiter("published_version_active").wait(FunctionName="f", Qualifier=snap["Version"], WaiterConfig={"Delay": 1})
assert c.get_function_configuration(FunctionName="f", Qualifier=snap["Version"])["RevisionId"] == snap["RevisionId"]
c.update_function_configuration(FunctionName="f", SnapStart={"ApplyOn": "None"})
settle()
c.delete_function(FunctionName="f", Qualifier=snap["Version"])

# Aliases and weights.
alias = c.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
assert alias["AliasArn"].endswith(":function:f:live") and "RoutingConfig" not in alias
refused("ResourceConflictException", "Alias already exists", c.create_alias, FunctionName="f", Name="live", FunctionVersion="1")
refused("ValidationException", "'name'", c.create_alias, FunctionName="f", Name="7", FunctionVersion="1")
refused("ResourceNotFoundException", "function:f:9", c.create_alias, FunctionName="f", Name="none", FunctionVersion="9")
weighted = c.update_alias(FunctionName="f", Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 0.25}}, RevisionId=alias["RevisionId"])
assert weighted["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.25}} and weighted["RevisionId"] != alias["RevisionId"]
refused("PreconditionFailedException", "Revision Id", c.update_alias, FunctionName="f", Name="live", FunctionVersion="2", RevisionId=alias["RevisionId"])
refused("InvalidParameterValueException", "already included", c.update_alias, FunctionName="f", Name="live", RoutingConfig={"AdditionalVersionWeights": {"1": 0.5}})
refused("ResourceConflictException", "", c.delete_function, FunctionName="f", Qualifier="2")
moved = c.update_alias(FunctionName="f", Name="live", FunctionVersion="2", RoutingConfig={"AdditionalVersionWeights": {}})
assert "RoutingConfig" not in moved and moved["FunctionVersion"] == "2"
assert [a["Name"] for a in c.list_aliases(FunctionName="f", FunctionVersion="2")["Aliases"]] == ["live"]
assert c.list_aliases(FunctionName="f", FunctionVersion="1")["Aliases"] == []
assert c.get_function(FunctionName="f:live")["Configuration"]["Version"] == "2"
refused("ResourceNotFoundException", "Cannot find alias arn: arn:aws:lambda:eu-west-1:123456789012:function:f:none", c.get_alias, FunctionName="f", Name="none")

# Concurrency.
assert c.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=5)["ReservedConcurrentExecutions"] == 5
assert c.get_function(FunctionName="f")["Concurrency"] == {"ReservedConcurrentExecutions": 5}
refused("InvalidParameterValueException", "UnreservedConcurrentExecution below its minimum value", c.put_function_concurrency, FunctionName="f", ReservedConcurrentExecutions=950)
refused("ProvisionedConcurrencyConfigNotFoundException", "No Provisioned", c.get_provisioned_concurrency_config, FunctionName="f", Qualifier="live")
refused("InvalidParameterValueException", "unpublished", c.put_provisioned_concurrency_config, FunctionName="f", Qualifier="$LATEST", ProvisionedConcurrentExecutions=1)
refused("InvalidParameterValueException", "reservedConcurrentExecution", c.put_provisioned_concurrency_config, FunctionName="f", Qualifier="live", ProvisionedConcurrentExecutions=6)
assert c.put_provisioned_concurrency_config(FunctionName="f", Qualifier="live", ProvisionedConcurrentExecutions=2)["Status"] == "IN_PROGRESS"
ready = when(lambda: (lambda g: g if g["Status"] == "READY" else None)(c.get_provisioned_concurrency_config(FunctionName="f", Qualifier="live")))
assert ready["AvailableProvisionedConcurrentExecutions"] == 2
listed = c.list_provisioned_concurrency_configs(FunctionName="f")["ProvisionedConcurrencyConfigs"]
assert [p["FunctionArn"].rsplit(":", 1)[1] for p in listed] == ["live"]
c.delete_provisioned_concurrency_config(FunctionName="f", Qualifier="live")
c.delete_function_concurrency(FunctionName="f")
assert "ReservedConcurrentExecutions" not in c.get_function_concurrency(FunctionName="f")

# Permissions.
refused("ResourceNotFoundException", "", c.get_policy, FunctionName="f")
grant = dict(FunctionName="f", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com", SourceArn="arn:aws:s3:::b", SourceAccount=ACCOUNT)
statement = json.loads(c.add_permission(**grant)["Statement"])
assert statement == {"Sid": "s3", "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "lambda:InvokeFunction", "Resource": f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f", "Condition": {"StringEquals": {"AWS:SourceAccount": ACCOUNT}, "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"}}}, statement
refused("ResourceConflictException", "The statement id (s3) provided already exists", c.add_permission, **grant)
c.add_permission(FunctionName="f", Qualifier="live", StatementId="all", Action="lambda:InvokeFunction", Principal=ACCOUNT)
policy = c.get_policy(FunctionName="f", Qualifier="live")
assert json.loads(policy["Policy"])["Statement"][0]["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
refused("PreconditionFailedException", "Revision Id", c.remove_permission, FunctionName="f", Qualifier="live", StatementId="all", RevisionId="x")
c.remove_permission(FunctionName="f", Qualifier="live", StatementId="all", RevisionId=policy["RevisionId"])
refused("ResourceNotFoundException", "No policy is associated with the given resource.", c.remove_permission, FunctionName="f", Qualifier="live", StatementId="all")
refused("ResourceNotFoundException", "Statement none is not found in resource policy.", c.remove_permission, FunctionName="f", StatementId="none")
# A policy has the revision of what it belongs to, and changes it.
before = c.get_function_configuration(FunctionName="f")["RevisionId"]
assert c.get_policy(FunctionName="f")["RevisionId"] == before
c.add_permission(FunctionName="f", StatementId="more", Action="lambda:InvokeFunction", Principal="sns.amazonaws.com", RevisionId=before)
assert c.get_function_configuration(FunctionName="f")["RevisionId"] != before
refused("PreconditionFailedException", "Call the GetFunction/GetAlias API", c.remove_permission, FunctionName="f", StatementId="more", RevisionId=before)
c.remove_permission(FunctionName="f", StatementId="more")

# Invocation settings, URLs, tags, the rest.
place = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f"
refused("ResourceNotFoundException", "doesn't have an EventInvokeConfig", c.get_function_event_invoke_config, FunctionName="f")
put = c.put_function_event_invoke_config(FunctionName="f", Qualifier="live", MaximumRetryAttempts=1, MaximumEventAgeInSeconds=60)
assert put["FunctionArn"] == place + ":live" and put["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {}}
assert c.update_function_event_invoke_config(FunctionName="f", Qualifier="live", MaximumRetryAttempts=0)["MaximumEventAgeInSeconds"] == 60
assert "MaximumEventAgeInSeconds" not in c.put_function_event_invoke_config(FunctionName="f", Qualifier="live", MaximumRetryAttempts=2)
assert len(c.list_function_event_invoke_configs(FunctionName="f")["FunctionEventInvokeConfigs"]) == 1
c.delete_function_event_invoke_config(FunctionName="f", Qualifier="live")
url = c.create_function_url_config(FunctionName="f", Qualifier="live", AuthType="NONE", Cors={"AllowOrigins": ["*"]})
assert url["FunctionUrl"].startswith("https://") and url["FunctionUrl"].endswith(".lambda-url.eu-west-1.on.aws/"), url
refused("ResourceConflictException", "FunctionUrlConfig exists", c.create_function_url_config, FunctionName="f", Qualifier="live", AuthType="NONE")
assert c.update_function_url_config(FunctionName="f", Qualifier="live", AuthType="AWS_IAM")["FunctionUrl"] == url["FunctionUrl"]
assert len(c.list_function_url_configs(FunctionName="f")["FunctionUrlConfigs"]) == 1
c.delete_function_url_config(FunctionName="f", Qualifier="live")
refused("ResourceNotFoundException", "", c.get_function_url_config, FunctionName="f", Qualifier="live")
c.tag_resource(Resource=place, Tags={"b": "2", "c": "3"})
c.untag_resource(Resource=place, TagKeys=["app", "c"])
assert c.list_tags(Resource=place)["Tags"] == {"b": "2"}
assert c.put_runtime_management_config(FunctionName="f", UpdateRuntimeOn="FunctionUpdate")["UpdateRuntimeOn"] == "FunctionUpdate"
assert c.get_runtime_management_config(FunctionName="f")["UpdateRuntimeOn"] == "FunctionUpdate"
assert c.put_function_recursion_config(FunctionName="f", RecursiveLoop="Allow")["RecursiveLoop"] == "Allow"
assert not c.get_function_code_signing_config(FunctionName="f").get("CodeSigningConfigArn")
account = c.get_account_settings()
assert account["AccountUsage"]["FunctionCount"] == 1 and account["AccountLimit"]["ConcurrentExecutions"] == 1000

# Layers.
layer = c.publish_layer_version(LayerName="l", Content={"ZipFile": archive({"python/shared.py": "VALUE = 1\n"})}, CompatibleRuntimes=["python3.12"], LicenseInfo="MIT")
assert layer["Version"] == 1 and layer["LayerVersionArn"] == f"arn:aws:lambda:eu-west-1:{ACCOUNT}:layer:l:1" and layer["Content"]["CodeSize"] > 0
assert c.publish_layer_version(LayerName="l", Content={"ZipFile": archive({"a": "b"})})["Version"] == 2
assert [v["Version"] for v in c.list_layer_versions(LayerName="l")["LayerVersions"]] == [2, 1]
assert c.list_layers()["Layers"][0]["LatestMatchingVersion"]["Version"] == 2
assert c.get_layer_version_by_arn(Arn=layer["LayerVersionArn"])["LicenseInfo"] == "MIT"
refused("InvalidParameterValueException", "does not exist", c.update_function_configuration, FunctionName="f", Layers=[layer["LayerArn"] + ":7"])
with_layer = c.update_function_configuration(FunctionName="f", Layers=[layer["LayerVersionArn"]])
assert [l["Arn"] for l in with_layer["Layers"]] == [layer["LayerVersionArn"]]
settle()
c.delete_layer_version(LayerName="l", VersionNumber=2)
refused("ResourceNotFoundException", "", c.get_layer_version, LayerName="l", VersionNumber=2)

# Lists in pages, deletion.
for name in ["g", "h"]:
    c.create_function(**{**base, "FunctionName": name})
names = [f["FunctionName"] for p in c.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 1}) for f in p["Functions"]]
assert names == ["f", "g", "h"], names
c.delete_function(FunctionName="f", Qualifier="3")
refused("InvalidParameterValueException", "$LATEST version cannot be deleted", c.delete_function, FunctionName="f", Qualifier="$LATEST")
c.delete_function(FunctionName="f")
refused("ResourceNotFoundException", "Function not found", c.delete_function, FunctionName="f")
image = c.create_function(FunctionName="i", Role=ROLE, PackageType="Image", Code={"ImageUri": f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/i:1"})
assert image["PackageType"] == "Image" and "Runtime" not in image and "Handler" not in image
print("functions: ok")
