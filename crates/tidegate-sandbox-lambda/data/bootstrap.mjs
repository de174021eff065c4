// Runs one handler: reads calls as lines of JSON from descriptor 4, writes what came of them to descriptor 3.
// What the handler prints goes to standard error, which the sandbox keeps as the function's log; after each call a line
// with the token tells that the log up to there is complete.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { existsSync, writeSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { format } from "node:util";
import { pathToFileURL } from "node:url";

const token = process.argv[2];
process.argv.length = 1;
const root = process.env.LAMBDA_TASK_ROOT;
const most = Number(process.env.TIDEGATE_ANSWER_BYTES);
delete process.env.TIDEGATE_ANSWER_BYTES;
process.chdir(root);

function write(descriptor, text) {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(descriptor, bytes, at);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}

let id = "";
function say(level, text) {
  write(2, `${new Date().toISOString()}\t${id}\t${level}\t${text}\n`);
}
const levels = { log: "INFO", info: "INFO", debug: "DEBUG", trace: "TRACE", warn: "WARN", error: "ERROR" };
for (const [name, level] of Object.entries(levels)) console[name] = (...words) => say(level, format(...words));

function reply(message) {
  write(2, token + "\n");
  write(3, token + JSON.stringify(message) + "\n");
}

function failure(error) {
  if (!(error instanceof Error)) {
    return { errorType: typeof error, errorMessage: String(typeof error === "string" ? error : JSON.stringify(error)), trace: [] };
  }
  const trace = (error.stack ?? "").split("\n").map((line) => line.replaceAll(root, "/var/task"));
  return { errorType: error.name, errorMessage: error.message, trace };
}

class InitError extends Error {
  constructor(kind, message) {
    super(message);
    this.shape = { errorType: kind, errorMessage: message, trace: [] };
  }
}

async function load(name) {
  const slash = name.lastIndexOf("/");
  const dot = name.indexOf(".", slash + 1);
  if (dot < 0) throw new InitError("Runtime.MalformedHandlerName", "Bad handler");
  const module = name.slice(0, dot);
  const attributes = name.slice(dot + 1).split(".");
  const base = path.join(root, module);
  const file = ["", ".js", ".mjs", ".cjs"].map((end) => base + end).find((one) => existsSync(one));
  if (!file) throw new InitError("Runtime.ImportModuleError", `Error: Cannot find module '${path.basename(module)}'`);
  let found;
  try {
    if (file.endsWith(".mjs")) found = await import(pathToFileURL(file));
    else {
      try {
        found = createRequire(path.join(root, "index.js"))(file);
      } catch (error) {
        if (error.code !== "ERR_REQUIRE_ESM") throw error;
        found = await import(pathToFileURL(file));
      }
    }
  } catch (error) {
    if (error instanceof SyntaxError) throw new InitError("Runtime.UserCodeSyntaxError", "SyntaxError: " + error.message);
    if (error.code === "MODULE_NOT_FOUND" || error.code === "ERR_MODULE_NOT_FOUND") {
      throw new InitError("Runtime.ImportModuleError", "Error: " + error.message.replaceAll(root, "/var/task"));
    }
    throw error;
  }
  let handler = found;
  for (const attribute of attributes) handler = handler?.[attribute] ?? handler?.default?.[attribute];
  if (!handler) throw new InitError("Runtime.HandlerNotFound", `${name} is undefined or not exported`);
  if (typeof handler !== "function") throw new InitError("Runtime.HandlerNotFound", `${name} is not a function`);
  return handler;
}

let idle;
process.on("beforeExit", () => idle?.());

// Settles with the handler's promise, with its callback once nothing is left to wait for, or with null when it never calls back.
function run(handler, event, context) {
  return new Promise((resolve, reject) => {
    idle = () => resolve(null);
    const done = (error, result) => {
      const settle = () => (error ? reject(error) : resolve(result));
      if (context.callbackWaitsForEmptyEventLoop) idle = settle;
      else settle();
    };
    context.done = done;
    context.succeed = (result) => done(null, result);
    context.fail = (error) => done(error ?? new Error("handled"));
    const result = handler(event, context, done);
    if (result && typeof result.then === "function") result.then(resolve, reject);
  });
}

let handler;
try {
  handler = await load(process.env._HANDLER);
} catch (error) {
  const shape = error instanceof InitError ? error.shape : failure(error);
  say("ERROR", "Uncaught Exception \t" + JSON.stringify(shape));
  reply({ init: shape });
  process.exit(1);
}
write(3, token + JSON.stringify({ ready: true }) + "\n");
const crash = (kind) => (error) => {
  const shape = { ...failure(error) };
  if (kind) {
    shape.errorType = kind;
    shape.errorMessage = String(error instanceof Error ? `${error.name}: ${error.message}` : error);
  }
  say("ERROR", "Uncaught Exception \t" + JSON.stringify(shape));
  reply({ error: shape, ends: true });
  process.exit(129);
};
process.on("uncaughtException", crash(null));
process.on("unhandledRejection", crash("Runtime.UnhandledPromiseRejection"));

const calls = new net.Socket({ fd: 4, readable: true, writable: false });
calls.on("end", () => process.exit(0));
const waiting = [];
let wake;
createInterface({ input: calls, crlfDelay: Infinity }).on("line", (line) => {
  waiting.push(line);
  wake?.();
});

for (;;) {
  if (waiting.length === 0) {
    calls.ref();
    await new Promise((resolve) => (wake = resolve));
  }
  calls.unref();
  const call = JSON.parse(waiting.shift());
  id = call.id;
  process.env._X_AMZN_TRACE_ID = call.trace;
  const context = {
    awsRequestId: call.id,
    invokedFunctionArn: call.arn,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    callbackWaitsForEmptyEventLoop: true,
    clientContext: call.client ?? undefined,
    identity: undefined,
    getRemainingTimeInMillis: () => Math.max(0, call.deadline - Date.now()),
  };
  try {
    const body = JSON.stringify((await run(handler, JSON.parse(call.event), context)) ?? null) ?? "null";
    const size = Buffer.byteLength(body);
    reply(size <= most ? { ok: body } : { large: size });
  } catch (error) {
    const shape = failure(error);
    const { trace, ...rest } = shape;
    say("ERROR", "Invoke Error \t" + JSON.stringify({ ...rest, stack: trace }));
    reply({ error: shape });
  }
}
