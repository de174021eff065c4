"""Handlers and archives that do harm: each is bounded, and worded as Lambda words it."""
import base64, os, shutil, struct
from common import *

c = client("lambda")
role()
time.sleep(0.8)

CODE = '''
import os, signal, subprocess, sys, time

def fork(event, context):
    script = "import os, subprocess, sys, time\\nif os.fork(): os._exit(0)\\nos.setsid()\\nif os.fork(): os._exit(0)\\nopen(sys.argv[1], 'w').write(str(os.getpid()))\\ntime.sleep(300)"
    child = subprocess.Popen([sys.executable, "-c", script, event["to"]], start_new_session=True)
    child.wait()
    while not os.path.exists(event["to"]) or not open(event["to"]).read():
        time.sleep(0.02)
    if event.get("hang"):
        time.sleep(300)
    return open(event["to"]).read()

def chatter(event, context):
    while True:
        print("x" * 1000)

def gush(event, context):
    while True:
        os.write(event["to"], b"y" * 65536)

def hoard(event, context):
    kept = []
    while True:
        kept.append(b"z" * (8 << 20))
        time.sleep(0.005)

def deaf(event, context):
    for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    time.sleep(300)

def leave(event, context):
    print("leaving", end="")
    sys.exit(event["status"])

def die(event, context):
    os.kill(os.getpid(), event["signal"])
    time.sleep(300)

def shut(event, context):
    for descriptor in event["which"]:
        os.close(descriptor)
    return "shut"

def many(event, context):
    for _ in range(3000):
        if os.fork() == 0:
            time.sleep(300)
            os._exit(0)
    return "all"

def fill(event, context):
    with open(os.path.join(os.environ["TMPDIR"], "big"), "wb") as out:
        for _ in range(700):
            out.write(b"w" * (1 << 20))
            out.flush()

def deep(event, context):
    def down(n):
        return down(n + 1)
    return down(0)

def nest(event, context):
    found = []
    for _ in range(100000):
        found = [found]
    return found

def files(event, context):
    return len([open(os.devnull) for _ in range(5000)])

def fine(event, context):
    return "fine"
'''
code = archive({"app.py": CODE, "exits.py": "import sys\nsys.exit(7)\n"})


def make(name, handler, **more):
    arguments = dict(FunctionName=name, Runtime="python3.12", Role=ROLE, Handler=handler, Code={"ZipFile": code}, Timeout=10)
    c.create_function(**{**arguments, **more})
    when(lambda: c.get_function_configuration(FunctionName=name)["State"] == "Active")


def invoke(name, event=None, **more):
    given = c.invoke(FunctionName=name, Payload=json.dumps(event or {}), **more)
    return given, json.loads(given["Payload"].read())


def fails(name, kind, words, event=None):
    given, error = invoke(name, event, LogType="Tail")
    assert given["StatusCode"] == 200 and given["FunctionError"] == "Unhandled", given
    assert error["errorType"] == kind and words in error["errorMessage"], (name, error)
    tail = base64.b64decode(given["LogResult"]).decode()
    assert "END RequestId" in tail and len(tail) <= 4096, tail
    return error, tail


def alive(pid):
    return os.path.exists(f"/proc/{pid}") and open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"


def resident():
    """What the sandbox itself holds, in MB, when this machine tells."""
    port = endpoint.rsplit(":", 1)[1]
    inodes = {line.split()[9] for line in open("/proc/net/tcp") if line.split()[3] == "0A" and line.split()[1].endswith(":%04X" % int(port))}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if any(os.readlink(f"/proc/{pid}/fd/{one}") in {f"socket:[{i}]" for i in inodes} for one in os.listdir(f"/proc/{pid}/fd")):
                return int(next(line for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS")).split()[1]) >> 10
        except (OSError, StopIteration):
            pass
    return 0


work = __import__("tempfile").mkdtemp()
# Daemons that leave group and session end with the function, or with the invocation that is too slow.
make("fork", "app.fork", Timeout=8)
pid = invoke("fork", {"to": work + "/a"})[1]
assert alive(pid)
c.delete_function(FunctionName="fork")
when(lambda: not alive(pid))
make("hang", "app.fork", Timeout=3)
error, _ = fails("hang", "Sandbox.Timedout", "Error: Task timed out after 3.00 seconds", {"to": work + "/b", "hang": True})
when(lambda: not alive(open(work + "/b").read()))

# Words without end.
before = resident()
make("chatter", "app.chatter", Timeout=2)
began = time.time()
_, tail = fails("chatter", "Sandbox.Timedout", "Task timed out after 2.00 seconds")
assert time.time() - began < 12, time.time() - began
logs = client("logs")
kept = logs.get_paginator("filter_log_events").paginate(logGroupName="/aws/lambda/chatter")
size = sum(len(event["message"]) for page in kept for event in page["events"])
assert 0 < size < 6 << 20, size
make("gush", "app.gush", Timeout=2)
for to in (1, 2):
    fails("gush", "Sandbox.Timedout", "Task timed out after 2.00 seconds", {"to": to})
given, answer = invoke("gush", {"to": 3})
assert answer["errorType"] in ("Sandbox.Timedout", "Runtime.ExitError"), answer

# Memory without end, by one process and by many.
make("hoard", "app.hoard")
began = time.time()
error, tail = fails("hoard", "Runtime.ExitError", "Runtime exited with error: signal: killed")
assert error["errorMessage"].startswith("RequestId: ") and time.time() - began < 10, error
make("many", "app.many", Timeout=20)
fails("many", "Runtime.ExitError", "Runtime exited with error: signal: killed")

# Signals that are ignored, ends of every kind.
make("deaf", "app.deaf", Timeout=1)
began = time.time()
fails("deaf", "Sandbox.Timedout", "Task timed out after 1.00 seconds")
assert time.time() - began < 8
make("leave", "app.leave")
_, tail = fails("leave", "Runtime.ExitError", "Runtime exited with error: exit status 5", {"status": 5})
assert "leaving" in tail, tail
fails("leave", "Runtime.ExitError", "Runtime exited without providing a reason", {"status": 0})
make("die", "app.die")
for number, words in ((9, "killed"), (11, "segmentation fault"), (15, "terminated"), (6, "aborted")):
    fails("die", "Runtime.ExitError", "Runtime exited with error: signal: " + words, {"signal": number})
make("shut", "app.shut", Timeout=3)
for which in ([3], [4], [2], [1], [0], [1, 2, 3, 4]):
    given, answer = invoke("shut", {"which": which})
    assert answer == "shut" or answer["errorType"] in ("Runtime.ExitError", "Sandbox.Timedout", "OSError"), (which, answer)
assert invoke("shut", {"which": []})[1] == "shut"

# What cannot be said, and what is too deep.
make("deep", "app.deep")
fails("deep", "RecursionError", "maximum recursion depth exceeded")
make("nest", "app.nest")
fails("nest", "Runtime.MarshalError", "Unable to marshal response")
make("files", "app.files")
fails("files", "OSError", "Too many open files")
make("fill", "app.fill", MemorySize=512, Timeout=30)
fails("fill", "OSError", "File too large")

# While it loads.
make("exits", "exits.handler")
fails("exits", "Runtime.ExitError", "Runtime exited with error: exit status 7")

# After all that a handler runs as ever, and the sandbox holds no more than it may.
make("fine", "app.fine")
assert invoke("fine")[1] == "fine"
after = resident()
assert after < before + 200, (before, after)

# Archives: too large, larger than they say, of too many entries, leading out, none at all.
def zeros(size):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("zeros", "w", force_zip64=size >= 1 << 31) as to:
        for _ in range(size >> 20):
            to.write(bytes(1 << 20))
    return out.getvalue()


refused("InvalidParameterValueException", "Unzipped size must be smaller than 262144000 bytes", make, "zeros", "app.fine", Code={"ZipFile": zeros(300 << 20)})
refused("InvalidParameterValueException", "Unzipped size must be smaller than 262144000 bytes", make, "zeros", "app.fine", Code={"ZipFile": zeros(5 << 30)})
lies = bytearray(zeros(300 << 20))
for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
    at = lies.find(signature)
    lies[at + offset:at + offset + 4] = struct.pack("<I", 100)
try:
    make("lies", "app.fine", Code={"ZipFile": bytes(lies)})
except ClientError as error:
    assert error.response["Error"]["Code"] == "InvalidParameterValueException", error
else:
    refused("InvalidZipFileException", "Lambda could not unzip the deployment package", c.invoke, FunctionName="lies")
refused("InvalidParameterValueException", "Could not unzip uploaded file", make, "none", "app.fine", Code={"ZipFile": b"no archive"})
refused("InvalidParameterValueException", "Could not unzip uploaded file", make, "none", "app.fine", Code={"ZipFile": code[:len(code) // 2]})
refused("InvalidParameterValueException", "Uploaded file must be a non-empty zip", make, "none", "app.fine", Code={"ZipFile": archive({})})
linked = io.BytesIO()
with zipfile.ZipFile(linked, "w") as packed:
    link = zipfile.ZipInfo("out")
    link.external_attr = 0o120777 << 16
    packed.writestr(link, "/etc")
    packed.writestr("out/passwd-of-a-test", "x")
    packed.writestr("app.py", "import os\ndef fine(e, c):\n    return [os.path.islink('out'), os.path.exists('/etc/passwd-of-a-test')]\n")
make("linked", "app.fine", Code={"ZipFile": linked.getvalue()})
assert invoke("linked")[1] == [False, False]

if shutil.which("node"):
    node = {
        "index.js": """
exports.hoard = async () => { const kept = []; for (;;) { kept.push(Buffer.alloc(8 << 20, 1)); await new Promise((r) => setTimeout(r, 5)); } };
exports.heap = async () => { const kept = []; for (;;) kept.push(new Array(100000).fill(Math.random())); };
exports.leave = async (event) => process.exit(event.status);
exports.chatter = async () => { for (;;) console.log('x'.repeat(1000)); };
exports.shut = async (event) => { require('fs').closeSync(event.which); return 'shut'; };
exports.later = async () => { setTimeout(() => { throw new Error('later'); }, 10); await new Promise((r) => setTimeout(r, 200)); };
exports.reject = async () => { Promise.reject(new RangeError('nobody')); await new Promise((r) => setTimeout(r, 200)); };
exports.circle = async () => { const a = {}; a.a = a; return a; };
exports.big = async () => 'x'.repeat(7 << 20);
exports.nan = async () => ({ a: NaN, b: undefined, c: 1n === 1n });
exports.deaf = async () => { process.on('SIGTERM', () => {}); await new Promise((r) => setTimeout(r, 300000)); };
""",
    }
    packed = archive(node)
    n = lambda name, **more: make("n" + name, "index." + name, Runtime="nodejs22.x", Code={"ZipFile": packed}, **more)
    n("hoard")
    fails("nhoard", "Runtime.ExitError", "Runtime exited with error: signal: killed")
    n("heap", Timeout=20)
    fails("nheap", "Runtime.ExitError", "Runtime exited with error: signal: ")
    n("leave")
    fails("nleave", "Runtime.ExitError", "Runtime exited with error: exit status 4", {"status": 4})
    n("chatter", Timeout=2)
    fails("nchatter", "Sandbox.Timedout", "Task timed out after 2.00 seconds")
    n("shut", Timeout=3)
    for which in (2, 3, 4):
        given, answer = invoke("nshut", {"which": which})
        assert answer == "shut" or answer["errorType"] in ("Runtime.ExitError", "Sandbox.Timedout", "Error"), (which, answer)
    n("later")
    fails("nlater", "Error", "later")
    n("reject")
    fails("nreject", "Runtime.UnhandledPromiseRejection", "RangeError: nobody")
    n("circle")
    fails("ncircle", "TypeError", "circular structure")
    n("big")
    fails("nbig", "Function.ResponseSizeTooLarge", "exceeded maximum allowed payload size (6291556 bytes)")
    n("nan")
    assert invoke("nnan")[1] == {"a": None, "c": True}
    n("deaf", Timeout=1)
    fails("ndeaf", "Sandbox.Timedout", "Task timed out after 1.00 seconds")
else:
    print("passed over: node is not installed")
print("hostile: ok")
