// Runs one handler: reads invocations as lines of JSON, writes what came of them as lines of JSON.
// What the handler prints goes to standard error, which the sandbox keeps as the function's log.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { existsSync, writeSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const token = process.argv[2];
process.stdout.write = process.stderr.write.bind(process.stderr);

function reply(message) {
  const bytes = Buffer.from(token + JSON.stringify(message) + "\n");
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}

function failure(error) {
  if (!(error instanceof Error)) {
    return { errorType: typeof error, errorMessage: typeof error === "string" ? error : JSON.stringify(error), trace: [] };
  }
  return { errorType: error.name, errorMessage: error.message, trace: (error.stack ?? "").split("\n") };
}

class InitError extends Error {
  constructor(kind, message) {
    super(message);
    this.shape = { errorType: kind, errorMessage: message, trace: [] };
  }
}

const root = process.env.LAMBDA_TASK_ROOT;
process.chdir(root);

async function load(name) {
  const slash = name.lastIndexOf("/");
  const dot = name.indexOf(".", slash + 1);
  if (dot < 0) throw new InitError("Runtime.MalformedHandlerName", "Bad handler");
  const module = name.slice(0, dot);
  const attributes = name.slice(dot + 1).split(".");
  const base = path.join(root, module);
  const file = [base, base + ".js", base + ".mjs", base + ".cjs"].find((one) => existsSync(one));
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
    if (error.code === "MODULE_NOT_FOUND" || error.code === "ERR_MODULE_NOT_FOUND") throw new InitError("Runtime.ImportModuleError", "Error: " + error.message);
    throw error;
  }
  let handler = found;
  for (const attribute of attributes) handler = handler?.[attribute];
  if (!handler) throw new InitError("Runtime.HandlerNotFound", `${name} is undefined or not exported`);
  if (typeof handler !== "function") throw new InitError("Runtime.HandlerNotFound", `${name} is not a function`);
  return handler;
}

function run(handler, event, context) {
  return new Promise((resolve, reject) => {
    const done = (error, result) => (error ? reject(error) : resolve(result));
    const result = handler(event, context, done);
    if (result && typeof result.then === "function") result.then(resolve, reject);
    else if (result !== undefined || handler.length < 3) resolve(result);
  });
}

let handler;
try {
  handler = await load(process.env._HANDLER);
} catch (error) {
  reply({ init: error instanceof InitError ? error.shape : failure(error) });
  process.exit(1);
}
reply({ ready: true });

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const call = JSON.parse(line);
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
    getRemainingTimeInMillis: () => Math.max(0, call.deadline - Date.now()),
  };
  try {
    const result = await run(handler, JSON.parse(call.event), context);
    reply({ ok: JSON.stringify(result) ?? "null" });
  } catch (error) {
    const shape = failure(error);
    process.stderr.write(`ERROR\tInvoke Error\t${JSON.stringify(shape)}\n`);
    reply({ error: shape });
  }
}
