"use strict";
// The two calls that the function makes: through the SDK where it is there, as it is in Lambda, else by hand.

let sdk = null;
try {
  sdk = {
    dynamodb: require("@aws-sdk/client-dynamodb"),
    s3: require("@aws-sdk/client-s3"),
  };
} catch {
  // Outside Lambda the SDK need not be installed.
}

exports.putItem = async (TableName, Item) => {
  if (sdk) {
    const client = new sdk.dynamodb.DynamoDBClient({});
    await client.send(new sdk.dynamodb.PutItemCommand({ TableName, Item }));
    return;
  }
  await call("POST", "/", JSON.stringify({ TableName, Item }), {
    "X-Amz-Target": "DynamoDB_20120810.PutItem",
    "Content-Type": "application/x-amz-json-1.0",
  });
};

exports.putObject = async (Bucket, Key, Body) => {
  if (sdk) {
    const client = new sdk.s3.S3Client({});
    await client.send(new sdk.s3.PutObjectCommand({ Bucket, Key, Body }));
    return;
  }
  await call("PUT", `/${Bucket}/${Key}`, Body, {});
};

// One unsigned call to the emulator that the environment names.
async function call(method, path, body, headers) {
  const answer = await fetch(process.env.AWS_ENDPOINT_URL + path, { method, body, headers });
  if (!answer.ok) {
    throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  }
}
