"""Faults on demand: throttles, conflicts and outages of Lambda, and what retries make of them."""
import urllib.request
from common import *

# No retries of the client's own.
common["config"] = config.merge(Config(retries={"total_max_attempts": 1}))
c = client("lambda")
role()
time.sleep(0.8)


def fault(operation, code, message="on demand", status=400, times=1, service="lambda"):
    body = json.dumps({"service": service, "operation": operation, "code": code, "message": message, "status": status, "times": times}).encode()
    assert urllib.request.urlopen(urllib.request.Request(endpoint + "/_tidegate/faults", data=body, method="POST")).status == 204


code = {"ZipFile": archive({"app.py": "def handler(event, context):\n    return 1\n"})}
create = dict(FunctionName="f", Runtime="python3.12", Role=ROLE, Handler="app.handler", Code=code)
fault("CreateFunction", "TooManyRequestsException", "Rate exceeded", 429, 2)
throttled = refused("TooManyRequestsException", "Rate exceeded", c.create_function, **create)
assert throttled["ResponseMetadata"]["HTTPStatusCode"] == 429, throttled
refused("TooManyRequestsException", "Rate exceeded", c.create_function, **create)
c.create_function(**create)
when(lambda: c.get_function_configuration(FunctionName="f")["State"] == "Active")

# Every operation that changes something can be made to fail, by its name.
c.publish_version(FunctionName="f")
c.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
calls = {
    "UpdateFunctionCode": lambda: c.update_function_code(FunctionName="f", **code),
    "UpdateFunctionConfiguration": lambda: c.update_function_configuration(FunctionName="f", Timeout=5),
    "PublishVersion": lambda: c.publish_version(FunctionName="f"),
    "ListVersionsByFunction": lambda: c.list_versions_by_function(FunctionName="f"),
    "GetFunction": lambda: c.get_function(FunctionName="f"),
    "GetFunctionConfiguration": lambda: c.get_function_configuration(FunctionName="f"),
    "ListFunctions": lambda: c.list_functions(),
    "UpdateAlias": lambda: c.update_alias(FunctionName="f", Name="live", Description="x"),
    "GetAlias": lambda: c.get_alias(FunctionName="f", Name="live"),
    "AddPermission": lambda: c.add_permission(FunctionName="f", StatementId="s", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"),
    "GetPolicy": lambda: c.get_policy(FunctionName="f"),
    "PutFunctionConcurrency": lambda: c.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=5),
    "GetFunctionConcurrency": lambda: c.get_function_concurrency(FunctionName="f"),
    "DeleteFunctionConcurrency": lambda: c.delete_function_concurrency(FunctionName="f"),
    "PutProvisionedConcurrencyConfig": lambda: c.put_provisioned_concurrency_config(FunctionName="f", Qualifier="live", ProvisionedConcurrentExecutions=1),
    "GetProvisionedConcurrencyConfig": lambda: c.get_provisioned_concurrency_config(FunctionName="f", Qualifier="live"),
    "DeleteProvisionedConcurrencyConfig": lambda: c.delete_provisioned_concurrency_config(FunctionName="f", Qualifier="live"),
    "PutFunctionEventInvokeConfig": lambda: c.put_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=0),
    "UpdateFunctionEventInvokeConfig": lambda: c.update_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=1),
    "GetFunctionEventInvokeConfig": lambda: c.get_function_event_invoke_config(FunctionName="f"),
    "DeleteFunctionEventInvokeConfig": lambda: c.delete_function_event_invoke_config(FunctionName="f"),
    "CreateFunctionUrlConfig": lambda: c.create_function_url_config(FunctionName="f", AuthType="NONE"),
    "UpdateFunctionUrlConfig": lambda: c.update_function_url_config(FunctionName="f", AuthType="AWS_IAM"),
    "GetFunctionUrlConfig": lambda: c.get_function_url_config(FunctionName="f"),
    "DeleteFunctionUrlConfig": lambda: c.delete_function_url_config(FunctionName="f"),
    "TagResource": lambda: c.tag_resource(Resource=f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f", Tags={"a": "b"}),
    "ListTags": lambda: c.list_tags(Resource=f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f"),
    "UntagResource": lambda: c.untag_resource(Resource=f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f", TagKeys=["a"]),
    "PublishLayerVersion": lambda: c.publish_layer_version(LayerName="l", Content=code),
    "GetLayerVersion": lambda: c.get_layer_version(LayerName="l", VersionNumber=1),
    "DeleteLayerVersion": lambda: c.delete_layer_version(LayerName="l", VersionNumber=1),
    "PutFunctionRecursionConfig": lambda: c.put_function_recursion_config(FunctionName="f", RecursiveLoop="Allow"),
    "GetAccountSettings": lambda: c.get_account_settings(),
    "Invoke": lambda: c.invoke(FunctionName="f"),
    "RemovePermission": lambda: c.remove_permission(FunctionName="f", StatementId="s"),
    "DeleteAlias": lambda: c.delete_alias(FunctionName="f", Name="live"),
}
for operation, call in calls.items():
    fault(operation, "ResourceConflictException", "The operation cannot be performed at this time. An update is in progress for resource: on demand", 409)
    conflicted = refused("ResourceConflictException", "An update is in progress", call)
    assert conflicted["ResponseMetadata"]["HTTPStatusCode"] == 409, (operation, conflicted)
    call()
    if operation.startswith("UpdateFunction"):
        when(lambda: c.get_function_configuration(FunctionName="f")["LastUpdateStatus"] == "Successful")

# boto3's own retries get through three throttles; an outage of the service is told as one.
import boto3
patient = boto3.client("lambda", **{**common, "config": config.merge(Config(retries={"mode": "standard", "total_max_attempts": 5}))})
fault(None, "TooManyRequestsException", "Rate exceeded", 429, 3)
assert json.loads(patient.invoke(FunctionName="f")["Payload"].read()) == 1
fault("GetFunction", "ServiceException", "An internal error occurred", 500)
assert refused("ServiceException", "An internal error", c.get_function, FunctionName="f")["ResponseMetadata"]["HTTPStatusCode"] == 500

# A real conflict: two updates at once, one of them is refused.
c.update_function_configuration(FunctionName="f", Timeout=7)
refused("ResourceConflictException", f"An update is in progress for resource: arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f", c.update_function_configuration, FunctionName="f", Timeout=8)

# A poller that meets throttles goes on afterwards and loses nothing.
sqs = client("sqs")
url = sqs.create_queue(QueueName="work", Attributes={"VisibilityTimeout": "9"})["QueueUrl"]
c.create_event_source_mapping(FunctionName="f", EventSourceArn=f"arn:aws:sqs:eu-west-1:{ACCOUNT}:work")
fault("ReceiveMessage", "ThrottlingException", "slow down", 400, 2, service="sqs")
refused("ThrottlingException", "slow down", sqs.receive_message, QueueUrl=url)
sqs.send_message(QueueUrl=url, MessageBody="x")
when(lambda: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]["ApproximateNumberOfMessages"] == "0", 20)

# What is no fault is refused.
for wrong in (b"", b"{}", b'{"service": "lambda", "code": "X", "status": 200}'):
    try:
        urllib.request.urlopen(urllib.request.Request(endpoint + "/_tidegate/faults", data=wrong, method="POST"))
        raise AssertionError("400 was expected")
    except urllib.error.HTTPError as error:
        assert error.code == 400, error
print("faults: ok")
