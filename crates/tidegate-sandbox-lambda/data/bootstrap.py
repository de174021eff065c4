"""Runs one handler: reads calls as lines of JSON from descriptor 4, writes what came of them to descriptor 3.

What the handler prints goes to standard error, which the sandbox keeps as the function's log; after each call a line
with the token tells that the log up to there is complete.
"""
import importlib
import json
import logging
import os
import sys
import time
import traceback

token = sys.argv[1]
del sys.argv[1:]
for descriptor in (3, 4):
    os.set_inheritable(descriptor, False)
replies = os.fdopen(3, "w", encoding="utf-8")
calls = os.fdopen(4, "r", encoding="utf-8")
sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)

root = os.environ["LAMBDA_TASK_ROOT"]
most = int(os.environ.pop("TIDEGATE_ANSWER_BYTES"))
layers = os.environ.pop("TIDEGATE_LAYERS")
sys.path[0:1] = [root]
sys.path.append(os.path.join(layers, "python"))
sys.path.append(os.path.join(layers, "python", "lib", "python%d.%d" % sys.version_info[:2], "site-packages"))
os.chdir(root)


def reply(message):
    replies.write(token + json.dumps(message) + "\n")
    replies.flush()


def mark():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    os.write(2, (token + "\n").encode())


def failure(error, skipped):
    frames = traceback.format_list(traceback.extract_tb(error.__traceback__)[skipped:])
    frames = [frame.replace(root, "/var/task") for frame in frames]
    return {"errorMessage": str(error), "errorType": type(error).__name__, "requestId": current, "stackTrace": frames}


def complain(shape):
    text = "[ERROR] %s: %s\n" % (shape["errorType"], shape["errorMessage"])
    if shape["stackTrace"]:
        text += "Traceback (most recent call last):\n" + "".join(shape["stackTrace"])
    sys.stderr.write(text)


class InitError(Exception):
    def __init__(self, kind, message):
        super().__init__(message)
        self.shape = {"errorMessage": message, "errorType": kind, "requestId": "", "stackTrace": []}


def load(name):
    module, _, attribute = name.rpartition(".")
    if not module:
        raise InitError("Runtime.MalformedHandlerName", "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % name)
    try:
        found = importlib.import_module(module.replace("/", "."))
    except ImportError as error:
        raise InitError("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module, error)) from None
    except SyntaxError as error:
        raise InitError("Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module, error)) from None
    if not hasattr(found, attribute):
        raise InitError("Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (attribute, module))
    return getattr(found, attribute)


class Fields:
    """A part of the client's context, its members as attributes."""

    def __init__(self, given):
        for name in ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"):
            setattr(self, name, given.get(name))


class ClientContext:
    def __init__(self, given):
        self.client = Fields(given["client"]) if isinstance(given.get("client"), dict) else None
        self.custom = given.get("custom")
        self.env = given.get("env")


class Identity:
    cognito_identity_id = None
    cognito_identity_pool_id = None


class Context:
    def __init__(self, call):
        self.aws_request_id = call["id"]
        self.invoked_function_arn = call["arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = Identity()
        client = call.get("client")
        self.client_context = ClientContext(client) if isinstance(client, dict) else None
        self._deadline = call["deadline"]

    def get_remaining_time_in_millis(self):
        return max(0, int(self._deadline - time.time() * 1000))

    def log(self, message):
        sys.stderr.write(str(message))


class LogHandler(logging.Handler):
    """Lines of the logging module as Lambda writes them."""

    def emit(self, record):
        sys.stderr.write(self.format(record) + "\n")


class Named(logging.Filter):
    def filter(self, record):
        record.aws_request_id = current or ""
        return True


current = ""
log = LogHandler()
log.addFilter(Named())
form = logging.Formatter("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S")
form.converter = time.gmtime
log.setFormatter(form)
logging.getLogger().addHandler(log)

try:
    handler = load(os.environ["_HANDLER"])
except InitError as error:
    complain(error.shape)
    mark()
    reply({"init": error.shape})
    os._exit(1)
except Exception as error:  # whatever the module raises while it is imported
    shape = failure(error, 2)
    complain(shape)
    mark()
    reply({"init": shape})
    os._exit(1)
reply({"ready": True})

for line in calls:
    call = json.loads(line)
    current = call["id"]
    os.environ["_X_AMZN_TRACE_ID"] = call["trace"]
    try:
        result = handler(json.loads(call["event"]), Context(call))
    except Exception as error:
        shape = failure(error, 1)
        complain(shape)
        mark()
        reply({"error": shape})
        continue
    try:
        body = json.dumps(result)
    except (TypeError, ValueError, RecursionError) as error:
        shape = {"errorMessage": "Unable to marshal response: %s" % error, "errorType": "Runtime.MarshalError", "requestId": current, "stackTrace": []}
        complain(shape)
        mark()
        reply({"error": shape})
        continue
    mark()
    reply({"ok": body} if len(body) <= most else {"large": len(body)})
