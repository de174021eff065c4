"""Cloud Control, Secrets Manager, SSM and the tagging API through boto3."""
import sys, json, time, boto3
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


c = boto3.client("cloudcontrol", **common)


def finish(event):
    seen = [event["OperationStatus"]]
    for _ in range(200):
        now = c.get_resource_request_status(RequestToken=event["RequestToken"])["ProgressEvent"]
        if now["OperationStatus"] != seen[-1]:
            seen.append(now["OperationStatus"])
        if now["OperationStatus"] in ("SUCCESS", "FAILED", "CANCEL_COMPLETE"):
            return now, seen
        time.sleep(0.02)
    raise AssertionError(seen)


def create(kind, **properties):
    return c.create_resource(TypeName=kind, DesiredState=json.dumps(properties))["ProgressEvent"]


refused("TypeNotFoundException", c.create_resource, TypeName="AWS::No::Such", DesiredState="{}")
refused("ValidationException", c.create_resource, TypeName="AWS::Glue::Job", DesiredState='{"Name": "j"}')
event = create("AWS::Glue::Job", Name="job", Role="r", Command={"Name": "glueetl"}, Tags={"app": "x"})
refused("ConcurrentOperationException", c.create_resource, TypeName="AWS::Glue::Job", DesiredState=json.dumps({"Name": "job", "Role": "r", "Command": {}}))
done, seen = finish(event)
assert seen == ["PENDING", "IN_PROGRESS", "SUCCESS"] and done["Identifier"] == "job", seen
read = json.loads(c.get_resource(TypeName="AWS::Glue::Job", Identifier="job")["ResourceDescription"]["Properties"])
assert read == {"Name": "job", "Role": "r", "Command": {"Name": "glueetl"}, "Tags": {"app": "x"}}, read
done, seen = finish(create("AWS::Glue::Job", Name="job", Role="r", Command={}))
assert done["OperationStatus"] == "FAILED" and done["ErrorCode"] == "AlreadyExists", done
patch = [{"op": "replace", "path": "/Role", "value": "r2"}, {"op": "add", "path": "/MaxRetries", "value": 2}]
event = c.update_resource(TypeName="AWS::Glue::Job", Identifier="job", PatchDocument=json.dumps(patch), ClientToken="tok")["ProgressEvent"]
again = c.update_resource(TypeName="AWS::Glue::Job", Identifier="job", PatchDocument=json.dumps(patch), ClientToken="tok")["ProgressEvent"]
assert again["RequestToken"] == event["RequestToken"]
refused("ClientTokenConflictException", c.update_resource, TypeName="AWS::Glue::Job", Identifier="job", PatchDocument="[]", ClientToken="tok")
finish(event)
read = json.loads(c.get_resource(TypeName="AWS::Glue::Job", Identifier="job")["ResourceDescription"]["Properties"])
assert read["Role"] == "r2" and read["MaxRetries"] == 2
refused("NotUpdatableException", c.update_resource, TypeName="AWS::Glue::Job", Identifier="job", PatchDocument=json.dumps([{"op": "replace", "path": "/Name", "value": "n"}]))
refused("ValidationException", c.update_resource, TypeName="AWS::Glue::Job", Identifier="job", PatchDocument=json.dumps([{"op": "remove", "path": "/None"}]))
refused("ResourceNotFoundException", c.get_resource, TypeName="AWS::Glue::Job", Identifier="none")
refused("ResourceNotFoundException", c.update_resource, TypeName="AWS::Glue::Job", Identifier="none", PatchDocument="[]")
refused("RequestTokenNotFoundException", c.get_resource_request_status, RequestToken="none")
assert [r["Identifier"] for r in c.list_resources(TypeName="AWS::Glue::Job")["ResourceDescriptions"]] == ["job"]
done, _ = finish(c.delete_resource(TypeName="AWS::Glue::Job", Identifier="none")["ProgressEvent"])
assert done["ErrorCode"] == "NotFound"
event = c.delete_resource(TypeName="AWS::Glue::Job", Identifier="job")["ProgressEvent"]
cancelled = c.cancel_resource_request(RequestToken=event["RequestToken"])["ProgressEvent"]
assert cancelled["OperationStatus"] == "CANCEL_COMPLETE"
finish(c.delete_resource(TypeName="AWS::Glue::Job", Identifier="job")["ProgressEvent"])
refused("ResourceNotFoundException", c.get_resource, TypeName="AWS::Glue::Job", Identifier="job")
for kind, properties in (
    ("AWS::KinesisFirehose::DeliveryStream", {"DeliveryStreamName": "d"}),
    ("AWS::CloudWatch::Alarm", {"ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1}),
    ("AWS::MSK::Cluster", {"ClusterName": "m", "KafkaVersion": "3.7.x", "NumberOfBrokerNodes": 3, "BrokerNodeGroupInfo": {}}),
    ("AWS::Events::Connection", {"AuthorizationType": "API_KEY"}),
):
    done, _ = finish(create(kind, **properties))
    assert done["OperationStatus"] == "SUCCESS", done
    described = c.get_resource(TypeName=kind, Identifier=done["Identifier"])["ResourceDescription"]
    assert described["Identifier"] == done["Identifier"]
    for name, value in properties.items():
        assert json.loads(described["Properties"])[name] == value

# Native types are one state with their own service.
q = boto3.client("sqs", **common)
done, _ = finish(create("AWS::SQS::Queue", QueueName="cq", VisibilityTimeout=77, Tags=[{"Key": "app", "Value": "x"}]))
assert done["Identifier"] == endpoint + "/123456789012/cq", done
assert q.get_queue_attributes(QueueUrl=done["Identifier"], AttributeNames=["VisibilityTimeout"])["Attributes"]["VisibilityTimeout"] == "77"
q.set_queue_attributes(QueueUrl=done["Identifier"], Attributes={"VisibilityTimeout": "88"})
read = json.loads(c.get_resource(TypeName="AWS::SQS::Queue", Identifier=done["Identifier"])["ResourceDescription"]["Properties"])
assert read["VisibilityTimeout"] == 88 and read["Arn"].endswith(":cq") and read["Tags"] == [{"Key": "app", "Value": "x"}], read
finish(c.update_resource(TypeName="AWS::SQS::Queue", Identifier=done["Identifier"], PatchDocument=json.dumps([{"op": "replace", "path": "/VisibilityTimeout", "value": 99}]))["ProgressEvent"])
assert q.get_queue_attributes(QueueUrl=done["Identifier"], AttributeNames=["VisibilityTimeout"])["Attributes"]["VisibilityTimeout"] == "99"
finish(c.delete_resource(TypeName="AWS::SQS::Queue", Identifier=done["Identifier"])["ProgressEvent"])
refused("AWS.SimpleQueueService.NonExistentQueue", q.get_queue_url, QueueName="cq")
done, _ = finish(create("AWS::Kinesis::Stream", Name="cs", ShardCount=2))
time.sleep(0.6)
assert boto3.client("kinesis", **common).describe_stream_summary(StreamName="cs")["StreamDescriptionSummary"]["OpenShardCount"] == 2
done, _ = finish(create("AWS::SNS::Topic", TopicName="ct", DisplayName="d"))
assert done["Identifier"] == "arn:aws:sns:eu-west-1:123456789012:ct", done
done, _ = finish(create("AWS::DynamoDB::Table", TableName="cdt", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}], AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}]))
assert done["Identifier"] == "cdt" and done["OperationStatus"] == "SUCCESS", done
boto3.client("dynamodb", **common).create_table(TableName="native", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}], AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}])
assert {"cdt", "native"} <= {r["Identifier"] for r in c.list_resources(TypeName="AWS::DynamoDB::Table", MaxResults=100)["ResourceDescriptions"]}
print("cloudcontrol ok")

s = boto3.client("secretsmanager", **common)
made = s.create_secret(Name="db/pass", SecretString='{"u": 1}', Tags=[{"Key": "app", "Value": "x"}])
assert s.get_secret_value(SecretId=made["ARN"])["SecretString"] == '{"u": 1}'
assert s.get_secret_value(SecretId=made["ARN"].rsplit("-", 1)[0])["Name"] == "db/pass"
refused("ResourceExistsException", s.create_secret, Name="db/pass", SecretString="x")
refused("ResourceNotFoundException", s.get_secret_value, SecretId="none")
s.put_secret_value(SecretId="db/pass", SecretString="two")
assert s.get_secret_value(SecretId="db/pass", VersionStage="AWSPREVIOUS")["SecretString"] == '{"u": 1}'
assert s.describe_secret(SecretId="db/pass")["VersionIdsToStages"][made["VersionId"]] == ["AWSPREVIOUS"]
s.delete_secret(SecretId="db/pass")
refused("InvalidRequestException", s.get_secret_value, SecretId="db/pass")
s.restore_secret(SecretId="db/pass")
print("secrets ok")

p = boto3.client("ssm", **common)
p.put_parameter(Name="/app/a", Value="1", Type="String", Tags=[{"Key": "app", "Value": "x"}])
p.put_parameter(Name="/app/b/c", Value="2", Type="SecureString")
refused("ParameterAlreadyExists", p.put_parameter, Name="/app/a", Value="1", Type="String")
assert p.put_parameter(Name="/app/a", Value="3", Overwrite=True)["Version"] == 2
assert p.get_parameter(Name="/app/a:1")["Parameter"]["Value"] == "1"
assert p.get_parameter(Name="/app/b/c")["Parameter"]["Value"] != "2"
assert p.get_parameter(Name="/app/b/c", WithDecryption=True)["Parameter"]["Value"] == "2"
assert p.get_parameters(Names=["/app/a", "none"])["InvalidParameters"] == ["none"]
assert [x["Name"] for x in p.get_parameters_by_path(Path="/app", Recursive=True)["Parameters"]] == ["/app/a", "/app/b/c"]
refused("ParameterNotFound", p.get_parameter, Name="none")
print("ssm ok")

g = boto3.client("resourcegroupstaggingapi", **common)
found = g.get_resources(TagFilters=[{"Key": "app", "Values": ["x"]}])["ResourceTagMappingList"]
arns = {r["ResourceARN"] for r in found}
assert "arn:aws:ssm:eu-west-1:123456789012:parameter/app/a" in arns and made["ARN"] in arns, arns
only = g.get_resources(ResourceTypeFilters=["secretsmanager:secret"])["ResourceTagMappingList"]
assert [r["ResourceARN"] for r in only] == [made["ARN"]]
print("tagging ok")
