"""Runs one handler: reads invocations as lines of JSON, writes what came of them as lines of JSON.

What the handler prints goes to standard error, which the sandbox keeps as the function's log.
"""
import importlib
import json
import os
import sys
import time
import traceback

token = sys.argv[1]
replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)
sys.stdout = os.fdopen(1, "w", encoding="utf-8", buffering=1, closefd=False)

memory = int(os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"])
try:
    import resource

    # The interpreter itself needs room beside what the function was given.
    limit = (memory + 512) << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
except (ImportError, ValueError, OSError):
    pass

root = os.environ["LAMBDA_TASK_ROOT"]
layers = os.environ.get("TIDEGATE_LAYERS", "")
os.environ.pop("TIDEGATE_LAYERS", None)
sys.path[0:1] = [root]
if layers:
    sys.path.append(os.path.join(layers, "python"))
os.chdir(root)


def reply(message):
    replies.write(token + json.dumps(message) + "\n")
    replies.flush()


def failure(error):
    frames = traceback.format_list(traceback.extract_tb(error.__traceback__)[1:])
    return {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": frames}


def load(name):
    module, _, attribute = name.rpartition(".")
    if not module:
        raise_init("Runtime.MalformedHandlerName", "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % name)
    try:
        found = importlib.import_module(module.replace("/", "."))
    except ImportError as error:
        raise_init("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module, error))
    except SyntaxError as error:
        raise_init("Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module, error))
    if not hasattr(found, attribute):
        raise_init("Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (attribute, module))
    return getattr(found, attribute)


class InitError(Exception):
    def __init__(self, kind, message):
        super().__init__(message)
        self.shape = {"errorMessage": message, "errorType": kind, "requestId": "", "stackTrace": []}


def raise_init(kind, message):
    raise InitError(kind, message)


class Context:
    def __init__(self, call):
        self.aws_request_id = call["id"]
        self.invoked_function_arn = call["arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = None
        self.client_context = call.get("client")
        self._deadline = call["deadline"]

    def get_remaining_time_in_millis(self):
        return max(0, int(self._deadline - time.time() * 1000))

    def log(self, message):
        sys.stderr.write(str(message))


try:
    handler = load(os.environ["_HANDLER"])
except InitError as error:
    reply({"init": error.shape})
    sys.exit(1)
except BaseException as error:  # whatever the module raises while it is imported
    reply({"init": failure(error)})
    sys.exit(1)
reply({"ready": True})

for line in sys.stdin:
    call = json.loads(line)
    os.environ["_X_AMZN_TRACE_ID"] = call["trace"]
    try:
        result = handler(json.loads(call["event"]), Context(call))
        try:
            body = json.dumps(result)
        except (TypeError, ValueError) as error:
            reply({"error": {"errorMessage": "Unable to marshal response: %s" % error, "errorType": "Runtime.MarshalError", "requestId": call["id"], "stackTrace": []}})
            continue
        reply({"ok": body})
    except SystemExit as error:
        reply({"exit": str(error.code)})
        raise
    except BaseException as error:
        shape = failure(error)
        shape["requestId"] = call["id"]
        sys.stderr.write("[ERROR] %s: %s\n%s" % (shape["errorType"], shape["errorMessage"], traceback.format_exc()))
        sys.stderr.flush()
        reply({"error": shape})
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
