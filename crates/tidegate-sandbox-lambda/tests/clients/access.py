"""IAM, STS and CloudWatch Logs by boto3."""
import json, time, boto3
from common import *

iam, sts, logs = client("iam"), client("sts"), client("logs")
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com", "AWS": ACCOUNT}, "Action": "sts:AssumeRole"}]}
GRANT = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:Get*", "sqs:*"], "Resource": "*"}]}

# Roles.
role = iam.create_role(RoleName="etl", Path="/app/", Description="runs", MaxSessionDuration=7200, AssumeRolePolicyDocument=json.dumps(TRUST), Tags=[{"Key": "team", "Value": "data & co"}])["Role"]
assert role["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/app/etl" and role["RoleId"].startswith("AROA") and len(role["RoleId"]) == 21, role
assert role["AssumeRolePolicyDocument"] == TRUST, role
got = iam.get_role(RoleName="etl")["Role"]
assert got["Tags"] == [{"Key": "team", "Value": "data & co"}] and got["MaxSessionDuration"] == 7200 and got["Description"] == "runs", got
assert got["CreateDate"].tzinfo is not None
refused("EntityAlreadyExists", "Role with name etl already exists.", iam.create_role, RoleName="etl", AssumeRolePolicyDocument=json.dumps(TRUST))
refused("MalformedPolicyDocument", "Has prohibited field Resource", iam.create_role, RoleName="bad", AssumeRolePolicyDocument=json.dumps(GRANT))
refused("NoSuchEntity", "The role with name none cannot be found.", iam.get_role, RoleName="none")
refused("ValidationError", "roleName is invalid", iam.create_role, RoleName="a b", AssumeRolePolicyDocument=json.dumps(TRUST))
iam.update_role(RoleName="etl", Description="", MaxSessionDuration=3600)
assert "Description" not in iam.get_role(RoleName="etl")["Role"]
iam.update_assume_role_policy(RoleName="etl", PolicyDocument=json.dumps(TRUST))
iam.tag_role(RoleName="etl", Tags=[{"Key": "stage", "Value": ""}])
iam.untag_role(RoleName="etl", TagKeys=["team"])
assert iam.list_role_tags(RoleName="etl")["Tags"] == [{"Key": "stage", "Value": ""}]

# Inline policies.
iam.put_role_policy(RoleName="etl", PolicyName="own", PolicyDocument=json.dumps(GRANT))
assert iam.get_role_policy(RoleName="etl", PolicyName="own")["PolicyDocument"] == GRANT
assert iam.list_role_policies(RoleName="etl")["PolicyNames"] == ["own"]
refused("MalformedPolicyDocument", "Syntax errors in policy.", iam.put_role_policy, RoleName="etl", PolicyName="own", PolicyDocument="{")
refused("LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role etl", iam.put_role_policy, RoleName="etl", PolicyName="big",
        PolicyDocument=json.dumps({**GRANT, "Statement": GRANT["Statement"] * 200}))

# Managed policies.
basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
iam.attach_role_policy(RoleName="etl", PolicyArn=basic)
refused("NoSuchEntity", "does not exist or is not attachable", iam.attach_role_policy, RoleName="etl", PolicyArn="arn:aws:iam::aws:policy/NoSuchPolicyAtAll")
policy = iam.create_policy(PolicyName="p", PolicyDocument=json.dumps(GRANT), Tags=[{"Key": "k", "Value": "v"}])["Policy"]["Arn"]
iam.attach_role_policy(RoleName="etl", PolicyArn=policy)
attached = [one["PolicyArn"] for one in iam.list_attached_role_policies(RoleName="etl")["AttachedPolicies"]]
assert sorted(attached) == sorted([basic, policy]), attached
assert iam.get_policy(PolicyArn=policy)["Policy"]["AttachmentCount"] == 1
assert [one["RoleName"] for one in iam.list_entities_for_policy(PolicyArn=policy)["PolicyRoles"]] == ["etl"]
for number in range(2, 6):
    iam.create_policy_version(PolicyArn=policy, PolicyDocument=json.dumps(GRANT), SetAsDefault=number == 3)
refused("LimitExceeded", "up to 5 versions", iam.create_policy_version, PolicyArn=policy, PolicyDocument=json.dumps(GRANT))
versions = iam.list_policy_versions(PolicyArn=policy)["Versions"]
assert [(one["VersionId"], one["IsDefaultVersion"]) for one in versions] == [("v5", False), ("v4", False), ("v3", True), ("v2", False), ("v1", False)], versions
assert iam.get_policy_version(PolicyArn=policy, VersionId="v3")["PolicyVersion"]["Document"] == GRANT
refused("DeleteConflict", "Cannot delete the default version", iam.delete_policy_version, PolicyArn=policy, VersionId="v3")
assert iam.get_policy_version(PolicyArn=basic, VersionId="v1")["PolicyVersion"]["Document"]["Statement"]
names = [one["PolicyName"] for page in iam.get_paginator("list_policies").paginate(Scope="AWS") for one in page["Policies"]]
assert len(names) > 1000 and len(names) == len(set(names)), len(names)
assert [one["PolicyName"] for one in iam.list_policies(Scope="Local")["Policies"]] == ["p"]

# Boundaries and the order of deletion.
iam.put_role_permissions_boundary(RoleName="etl", PermissionsBoundary=policy)
assert iam.get_role(RoleName="etl")["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == policy
refused("DeleteConflict", "must detach all policies first", iam.delete_role, RoleName="etl")
for arn in attached:
    iam.detach_role_policy(RoleName="etl", PolicyArn=arn)
refused("NoSuchEntity", "was not found", iam.detach_role_policy, RoleName="etl", PolicyArn=basic)
refused("DeleteConflict", "must delete policies first", iam.delete_role, RoleName="etl")
iam.delete_role_policy(RoleName="etl", PolicyName="own")
refused("DeleteConflict", "attached to entities", iam.delete_policy, PolicyArn=policy)
iam.delete_role_permissions_boundary(RoleName="etl")
refused("DeleteConflict", "more than one version", iam.delete_policy, PolicyArn=policy)
for number in (1, 2, 4, 5):
    iam.delete_policy_version(PolicyArn=policy, VersionId=f"v{number}")
iam.delete_policy(PolicyArn=policy)
for number in range(7):
    iam.create_role(RoleName=f"many-{number}", Path="/many/", AssumeRolePolicyDocument=json.dumps(TRUST))
pages = list(iam.get_paginator("list_roles").paginate(PathPrefix="/many/", PaginationConfig={"PageSize": 3}))
assert [len(page["Roles"]) for page in pages] == [3, 3, 1]
assert iam.list_instance_profiles_for_role(RoleName="etl")["InstanceProfiles"] == []

# STS.
identity = sts.get_caller_identity()
assert identity["Account"] == ACCOUNT and identity["Arn"] == f"arn:aws:iam::{ACCOUNT}:root", identity
assumed = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="me@x", DurationSeconds=900)
assert assumed["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/etl/me@x"
keys = assumed["Credentials"]
own = boto3.client("sts", endpoint_url=endpoint, region_name="eu-west-1", aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"])
assert own.get_caller_identity()["Arn"] == assumed["AssumedRoleUser"]["Arn"]
assert own.get_caller_identity()["UserId"] == role["RoleId"] + ":me@x"
refused("ValidationError", "exceeds the MaxSessionDuration", sts.assume_role, RoleArn=role["Arn"], RoleSessionName="me", DurationSeconds=7200)
refused("AccessDenied", "is not authorized to perform: sts:AssumeRole on resource", sts.assume_role, RoleArn=f"arn:aws:iam::{ACCOUNT}:role/none", RoleSessionName="me")
assert sts.get_session_token()["Credentials"]["AccessKeyId"].startswith("ASIA")
iam.delete_role(RoleName="etl")

# Logs.
logs.create_log_group(logGroupName="/aws/lambda/f", tags={"a": "b"})
refused("ResourceAlreadyExistsException", "The specified log group already exists", logs.create_log_group, logGroupName="/aws/lambda/f")
logs.put_retention_policy(logGroupName="/aws/lambda/f", retentionInDays=14)
refused("InvalidParameterException", "retentionInDays", logs.put_retention_policy, logGroupName="/aws/lambda/f", retentionInDays=2)
group = logs.describe_log_groups(logGroupNamePrefix="/aws")["logGroups"][0]
assert group["retentionInDays"] == 14 and group["arn"] == f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:/aws/lambda/f:*", group
logs.tag_resource(resourceArn=group["logGroupArn"], tags={"c": "d"})
logs.tag_log_group(logGroupName="/aws/lambda/f", tags={"e": "f"})
logs.untag_log_group(logGroupName="/aws/lambda/f", tags=["a"])
assert logs.list_tags_for_resource(resourceArn=group["logGroupArn"])["tags"] == {"c": "d", "e": "f"} == logs.list_tags_log_group(logGroupName="/aws/lambda/f")["tags"]
now = int(time.time() * 1000)
for stream in ("one", "two"):
    logs.create_log_stream(logGroupName="/aws/lambda/f", logStreamName=stream)
    logs.put_log_events(logGroupName="/aws/lambda/f", logStreamName=stream, logEvents=[{"timestamp": now + n, "message": f"{stream} {n} {'ERROR' if n % 5 == 0 else 'fine'}"} for n in range(20)])
rejected = logs.put_log_events(logGroupName="/aws/lambda/f", logStreamName="one", logEvents=[{"timestamp": now - 15 * 86400000, "message": "old"}])
assert rejected["rejectedLogEventsInfo"]["tooOldLogEventEndIndex"] == 1, rejected
refused("InvalidParameterException", "chronological order", logs.put_log_events, logGroupName="/aws/lambda/f", logStreamName="one", logEvents=[{"timestamp": now, "message": "b"}, {"timestamp": now - 1, "message": "a"}])
refused("ResourceNotFoundException", "The specified log stream does not exist.", logs.put_log_events, logGroupName="/aws/lambda/f", logStreamName="none", logEvents=[{"timestamp": now, "message": "b"}])
errors = logs.filter_log_events(logGroupName="/aws/lambda/f", filterPattern="ERROR")["events"]
assert len(errors) == 8 and {event["logStreamName"] for event in errors} == {"one", "two"}, errors
found = [event for page in logs.get_paginator("filter_log_events").paginate(logGroupName="/aws/lambda/f", PaginationConfig={"PageSize": 7}) for event in page["events"]]
assert len(found) == 40 and len({event["eventId"] for event in found}) == 40
page = logs.get_log_events(logGroupName="/aws/lambda/f", logStreamName="one", startFromHead=True, limit=15)
rest = logs.get_log_events(logGroupName="/aws/lambda/f", logStreamName="one", nextToken=page["nextForwardToken"], startFromHead=True)
assert (len(page["events"]), len(rest["events"])) == (15, 5)
streams = logs.describe_log_streams(logGroupName="/aws/lambda/f", orderBy="LastEventTime", descending=True)["logStreams"]
assert {one["logStreamName"] for one in streams} == {"one", "two"} and streams[0]["lastEventTimestamp"] == now + 19
logs.put_subscription_filter(logGroupName="/aws/lambda/f", filterName="s", filterPattern="", destinationArn=f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:x")
assert logs.describe_subscription_filters(logGroupName="/aws/lambda/f")["subscriptionFilters"][0]["distribution"] == "ByLogStream"
logs.delete_subscription_filter(logGroupName="/aws/lambda/f", filterName="s")
logs.delete_log_group(logGroupName="/aws/lambda/f")
refused("ResourceNotFoundException", "The specified log group does not exist.", logs.describe_log_streams, logGroupName="/aws/lambda/f")
print("access: all as expected")
