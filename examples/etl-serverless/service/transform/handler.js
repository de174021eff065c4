"use strict";
// Cleans orders: one item of the table and one raw object a record.

const { putItem, putObject } = require("./aws");

exports.handle = async (event) => {
  if (!event.Records) {
    return clean(event);
  }
  const batchItemFailures = [];
  for (const record of event.Records) {
    const data = Buffer.from(record.kinesis.data, "base64");
    try {
      const order = clean(JSON.parse(data.toString("utf8")));
      await putObject(process.env.BUCKET, `raw/${order.orderId}.json`, data);
      await putItem(process.env.TABLE, {
        orderId: { S: order.orderId },
        cents: { N: String(order.cents) },
        stage: { S: process.env.STAGE },
      });
    } catch (error) {
      console.log(`record ${record.kinesis.sequenceNumber}: ${error}`);
      batchItemFailures.push({ itemIdentifier: record.kinesis.sequenceNumber });
    }
  }
  return { batchItemFailures };
};

// An order with its amount in whole cents; one without id or amount is refused.
function clean(order) {
  const cents = Math.round(Number(order.amount) * 100);
  if (order.orderId === undefined || Number.isNaN(cents)) {
    throw new Error("an order needs orderId and amount");
  }
  return { orderId: String(order.orderId).trim(), cents };
}
