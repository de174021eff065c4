"""Function URLs over HTTP: events, answers, who is admitted, cross-origin rules."""
import urllib.error, urllib.request
from common import *

c = client("lambda")
role()
time.sleep(0.8)
CODE = """
def handler(event, context):
    how = (event.get("queryStringParameters") or {}).get("how")
    if how == "fail":
        raise ValueError("no")
    if how == "text":
        return "plain words"
    if how == "shaped":
        return {"statusCode": 418, "headers": {"Content-Type": "text/html", "X-Own": "1"}, "cookies": ["a=1; Secure", "b=2"], "body": "<p>"}
    if how == "bytes":
        return {"statusCode": 200, "isBase64Encoded": True, "body": "AAH/", "headers": {"content-type": "application/octet-stream"}}
    return event
"""
c.create_function(FunctionName="web", Runtime="python3.12", Role=ROLE, Handler="app.handler", Code={"ZipFile": archive({"app.py": CODE})})
when(lambda: c.get_function_configuration(FunctionName="web")["State"] == "Active")
made = c.create_function_url_config(FunctionName="web", AuthType="NONE")
name = made["FunctionUrl"].split("//")[1].split(".")[0]
assert made["FunctionUrl"] == f"https://{name}.lambda-url.eu-west-1.on.aws/", made


def ask(path="/", host=None, method="GET", body=None, **headers):
    headers = {key.replace("_", "-"): value for key, value in headers.items()}
    url = endpoint + path if host else f"{endpoint}/_lambda/url/{name}{path}"
    if host:
        headers["Host"] = host
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method, data=body, headers=headers)) as given:
            return given.status, given.headers, given.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


# Nobody is admitted until the policy says so.
status, _, body = ask()
assert status == 403 and b"Forbidden" in body, (status, body)
c.add_permission(FunctionName="web", StatementId="open", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE")
status, headers, body = ask("/a%20b/c?x=1&y=2&x=3&z=%C3%BC", method="POST", body=b'{"k": 1}', Content_Type="application/json", Cookie="one=1; two=2", X_Mine="yes", User_Agent="tests")
event = json.loads(body)
assert status == 200 and headers["content-type"] == "application/json", (status, headers)
assert event["version"] == "2.0" and event["routeKey"] == "$default" and event["rawPath"] == "/a b/c" and event["rawQueryString"] == "x=1&y=2&x=3&z=%C3%BC", event
assert event["queryStringParameters"] == {"x": "1,3", "y": "2", "z": "ü"} and event["cookies"] == ["one=1", "two=2"], event
assert event["headers"]["x-mine"] == "yes" and event["headers"]["host"] == f"{name}.lambda-url.eu-west-1.on.aws" and "cookie" not in event["headers"], event
assert event["body"] == '{"k": 1}' and event["isBase64Encoded"] is False, event
context = event["requestContext"]
assert context["http"]["method"] == "POST" and context["http"]["path"] == "/a b/c" and context["http"]["userAgent"] == "tests" and context["stage"] == "$default" and context["accountId"] == "anonymous" and context["domainPrefix"] == name, context
assert context["requestId"] == headers["x-amzn-requestid"], (context, headers)
event = json.loads(ask(method="PUT", body=b"\x00\xff", Content_Type="application/octet-stream")[2])
assert event["body"] == "AP8=" and event["isBase64Encoded"] is True, event
event = json.loads(ask()[2])
assert event["rawPath"] == "/" and "body" not in event and "cookies" not in event and "queryStringParameters" not in event, event
# By its own name, whatever the domain.
assert json.loads(ask("/p", host=f"{name}.lambda-url.eu-west-1.localhost")[2])["rawPath"] == "/p"
assert json.loads(ask("/p", host=f"{name}.lambda-url.eu-west-1.on.aws")[2])["rawPath"] == "/p"

# Answers.
assert ask("?how=text")[2] == b"plain words"
status, headers, body = ask("?how=shaped")
assert status == 418 and headers["content-type"] == "text/html" and headers["x-own"] == "1" and headers.get_all("set-cookie") == ["a=1; Secure", "b=2"] and body == b"<p>", (status, headers, body)
assert ask("?how=bytes")[2] == b"\x00\x01\xff"
status, _, body = ask("?how=fail")
assert status == 502 and body == b"Internal Server Error", (status, body)
assert ask(method="POST", body=b"x" * ((6 << 20) + 1), Content_Type="text/plain")[0] == 413
c.put_function_concurrency(FunctionName="web", ReservedConcurrentExecutions=0)
assert ask()[0] == 429
c.delete_function_concurrency(FunctionName="web")

# Cross-origin rules.
c.update_function_url_config(FunctionName="web", Cors={"AllowOrigins": ["https://one.example"], "AllowMethods": ["GET", "POST"], "AllowHeaders": ["x-a"], "MaxAge": 60, "AllowCredentials": True, "ExposeHeaders": ["x-own"]})
status, headers, body = ask(method="OPTIONS", Origin="https://one.example", Access_Control_Request_Method="POST")
assert status == 200 and body == b"" and headers["access-control-allow-origin"] == "https://one.example" and headers["access-control-allow-methods"] == "GET,POST" and headers["access-control-max-age"] == "60", headers
_, headers, _ = ask("?how=shaped", Origin="https://one.example")
assert headers["access-control-allow-credentials"] == "true" and headers["access-control-expose-headers"] == "x-own" and headers["vary"] == "Origin", headers
_, headers, _ = ask("?how=shaped", Origin="https://two.example")
assert headers["access-control-allow-origin"] is None, headers

# Signed requests only.
c.update_function_url_config(FunctionName="web", AuthType="AWS_IAM")
assert ask()[0] == 403
status, _, body = ask(Authorization="AWS4-HMAC-SHA256 Credential=a/20260101/eu-west-1/lambda/aws4_request, SignedHeaders=host, Signature=00")
assert status == 200 and json.loads(body)["requestContext"]["authorizer"]["iam"]["accountId"] == ACCOUNT, body

# An alias has its own.
c.publish_version(FunctionName="web")
c.create_alias(FunctionName="web", Name="live", FunctionVersion="1")
other = c.create_function_url_config(FunctionName="web", Qualifier="live", AuthType="NONE")["FunctionUrl"]
assert other != made["FunctionUrl"]
c.add_permission(FunctionName="web", StatementId="open", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE", Qualifier="live")
assert ask("/", host=other.split("/")[2])[0] == 200
refused("ResourceConflictException", "FunctionUrlConfig exists for this Lambda function", c.create_function_url_config, FunctionName="web", AuthType="NONE")
c.delete_function_url_config(FunctionName="web")
assert ask()[0] == 404
refused("ResourceNotFoundException", "The resource you requested does not exist.", c.get_function_url_config, FunctionName="web")
c.delete_function(FunctionName="web")
assert ask("/", host=other.split("/")[2])[0] == 404
print("urls: ok")
