"""What the scripts share: clients of the sandbox, archives, refusals that are expected."""
import io, json, sys, time, zipfile, boto3
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint = sys.argv[1]
config = Config(retries={"max_attempts": 1}, region_name="eu-west-1", inject_host_prefix=False, s3={"addressing_style": "path"})
common = dict(endpoint_url=endpoint, aws_access_key_id="a", aws_secret_access_key="b", config=config)
ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/runs"


def client(name):
    return boto3.client(name, **common)


def refused(code, words, call, *given, **arguments):
    try:
        call(*given, **arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error.response
        message = error.response["Error"].get("Message", "")
        assert words in message, message
        return error.response
    raise AssertionError(f"{code} was expected")


def archive(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name, text in files.items():
            packed.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), text)
    return out.getvalue()


def role(name="runs", service="lambda.amazonaws.com"):
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]}
    return client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]


def when(check, seconds=60):
    """Waits until a check holds; gives what it gave."""
    # A machine that is busy takes its time; nothing waits longer than it must.
    end = time.time() + max(seconds, 60)
    while True:
        found = check()
        if found:
            return found
        assert time.time() < end, "it did not come"
        time.sleep(0.05)
