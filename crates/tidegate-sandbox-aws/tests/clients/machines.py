"""Step Functions through boto3: machines, versions, aliases, executions."""
import sys, json, time, boto3
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint = sys.argv[1]
config = Config(retries={"max_attempts": 1}, region_name="eu-west-1", inject_host_prefix=False)
common = dict(endpoint_url=endpoint, aws_access_key_id="a", aws_secret_access_key="b", config=config)


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error.response
        return error.response["Error"].get("Message", "")
    raise AssertionError(f"{code} was expected")


c = boto3.client("stepfunctions", **common)
role = "arn:aws:iam::123456789012:role/r"
states = {
    "StartAt": "Wait",
    "States": {
        "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Choose"},
        "Choose": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericGreaterThan": 3, "Next": "Big"}], "Default": "Small"},
        "Big": {"Type": "Pass", "Parameters": {"was.$": "$.n", "id.$": "$$.Execution.Name"}, "End": True},
        "Small": {"Type": "Fail", "Error": "TooSmall", "Cause": "n is small"},
    },
}
refused("InvalidDefinition", c.create_state_machine, name="m", definition="{}", roleArn=role)
refused("StateMachineDoesNotExist", c.describe_state_machine, stateMachineArn="arn:aws:states:eu-west-1:123456789012:stateMachine:none")
arn = c.create_state_machine(name="m", definition=json.dumps(states), roleArn=role, tags=[{"key": "app", "value": "x"}])["stateMachineArn"]
assert arn == "arn:aws:states:eu-west-1:123456789012:stateMachine:m"
described = c.describe_state_machine(stateMachineArn=arn)
assert described["status"] == "ACTIVE" and json.loads(described["definition"]) == states


def finish(execution):
    for _ in range(100):
        seen = c.describe_execution(executionArn=execution)
        if seen["status"] != "RUNNING":
            return seen
        time.sleep(0.05)
    raise AssertionError(seen)


run = c.start_execution(stateMachineArn=arn, name="one", input='{"n": 5}')["executionArn"]
assert c.describe_execution(executionArn=run)["status"] == "RUNNING"
done = finish(run)
assert done["status"] == "SUCCEEDED" and json.loads(done["output"]) == {"was": 5, "id": "one"}, done
kinds = [e["type"] for e in c.get_execution_history(executionArn=run)["events"]]
assert kinds == ["ExecutionStarted", "WaitStateEntered", "WaitStateExited", "ChoiceStateEntered", "ChoiceStateExited", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"], kinds
failed = finish(c.start_execution(stateMachineArn=arn, input='{"n": 1}')["executionArn"])
assert failed["status"] == "FAILED" and failed["error"] == "TooSmall"
refused("ExecutionAlreadyExists", c.start_execution, stateMachineArn=arn, name="one", input='{"n": 6}')
refused("InvalidExecutionInput", c.start_execution, stateMachineArn=arn, input="{")
stopped = c.start_execution(stateMachineArn=arn, input='{"n": 9}')["executionArn"]
c.stop_execution(executionArn=stopped, error="e", cause="c")
assert c.describe_execution(executionArn=stopped)["status"] == "ABORTED"
assert len(c.list_executions(stateMachineArn=arn, statusFilter="SUCCEEDED")["executions"]) == 1
one = c.publish_state_machine_version(stateMachineArn=arn)["stateMachineVersionArn"]
assert one == arn + ":1" and c.publish_state_machine_version(stateMachineArn=arn)["stateMachineVersionArn"] == one
states["Comment"] = "two"
two = c.update_state_machine(stateMachineArn=arn, definition=json.dumps(states), publish=True)["stateMachineVersionArn"]
assert two == arn + ":2"
alias = c.create_state_machine_alias(name="live", routingConfiguration=[{"stateMachineVersionArn": one, "weight": 100}])["stateMachineAliasArn"]
assert alias == arn + ":live"
refused("ConflictException", c.delete_state_machine_version, stateMachineVersionArn=one)
c.update_state_machine_alias(stateMachineAliasArn=alias, routingConfiguration=[{"stateMachineVersionArn": one, "weight": 10}, {"stateMachineVersionArn": two, "weight": 90}])
assert len(c.describe_state_machine_alias(stateMachineAliasArn=alias)["routingConfiguration"]) == 2
assert c.describe_execution(executionArn=c.start_execution(stateMachineArn=alias, input='{"n": 9}')["executionArn"])["stateMachineAliasArn"] == alias
c.delete_state_machine_alias(stateMachineAliasArn=alias)
assert c.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "app", "value": "x"}]
task = {"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": "arn:aws:lambda:eu-west-1:123456789012:function:f", "End": True}}}
other = c.create_state_machine(name="task", definition=json.dumps(task), roleArn=role, type="EXPRESS")["stateMachineArn"]
refusal = c.start_sync_execution(stateMachineArn=other)
assert refusal["status"] == "FAILED" and "runs no tasks" in refusal["cause"], refusal
c.delete_state_machine(stateMachineArn=arn)
assert [m["name"] for m in c.list_state_machines()["stateMachines"]] == ["task"]
print("states ok")
