// A receiver in Node, with its own modules alone: `WEBHOOK_SECRET=whsec_… node receiver.js 8080`.
const { createHmac, timingSafeEqual } = require("node:crypto");
const { createServer } = require("node:http");

const secret = process.env.WEBHOOK_SECRET ?? "";
if (!secret.startsWith("whsec_")) throw new Error("WEBHOOK_SECRET is not set: without it anybody could sign.");
const seen = new Set(); // in earnest a table with a unique column

// The signature is the last member, so the body ends in 87 bytes that are made of all before them.
function isSigned(body) {
  if (body.length <= 87) return false;
  const content = Buffer.concat([body.subarray(0, -87), Buffer.from("}")]);
  const signature = createHmac("sha256", secret).update(content).digest("hex");
  return timingSafeEqual(body.subarray(-87), Buffer.from(`,"signature":"sha256=${signature}"}`));
}

createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const body = Buffer.concat(parts);
    if (!isSigned(body)) return response.writeHead(401).end();
    const id = request.headers["webhook-id"];
    if (!seen.has(id)) { // the same message may come twice
      seen.add(id);
      const message = JSON.parse(body);
      console.log(message.event, message.data.id);
    }
    response.writeHead(204).end(); // quickly: what takes long is better queued
  });
}).listen(Number(process.argv[2]), "127.0.0.1");
