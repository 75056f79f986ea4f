// Valkey GLIDE, whose core is in Rust and which speaks RESP3. It knows no Unix sockets, so a bridge of this script's own
// leads it there. Prints the ids of the events that it adds: SOCKET STREAM SINGLE PIPELINED up|down.
import assert from "node:assert/strict";
import net from "node:net";
import { Batch, GlideClient, Logger } from "@valkey/valkey-glide";

Logger.init("error");
const [socketPath, stream, single, pipelined, redis] = process.argv.slice(2);
const bridge = net.createServer((near) => {
  const far = net.connect(socketPath);
  near.pipe(far).pipe(near);
  for (const end of [near, far]) end.on("error", () => [near, far].forEach((each) => each.destroy()));
});
await new Promise((listening) => bridge.listen(0, "127.0.0.1", listening));
const connect = (options = {}) =>
  GlideClient.createClient({
    addresses: [{ host: "127.0.0.1", port: bridge.address().port }],
    clientName: "alfred",
    requestTimeout: 5000,
    ...options,
  });
const client = await connect();
for (let n = 0; n < Number(single); n++) console.log(await client.xadd(stream, [["data", `single ${n}`]]));
const added = [];
for (let n = 0; n < Number(pipelined); n++) added.push(client.xadd(stream, [["data", `pipelined ${n}`]]));
for (const id of await Promise.all(added)) console.log(id);

const key = (suffix) => `${stream}:${suffix}`;
if (redis === "up") {
  assert.equal(await client.set(key("text"), "a"), "OK");
  assert.equal(await client.get(key("text")), "a");
  assert.equal(await client.incrBy(key("n"), 5), 5);
  assert.equal(await client.hset(key("hash"), { a: "1", b: "2" }), 2);
  const hash = await client.hgetall(key("hash"));
  assert.deepEqual(hash.map(({ field, value }) => [field, value]).sort(), [["a", "1"], ["b", "2"]]);
  assert.equal(await client.zincrby(key("board"), 2.5, "ada"), 2.5);
  assert.deepEqual(await client.zrange(key("board"), { start: 0, end: -1 }), ["ada"]);
  assert.equal(await client.expire(key("text"), 100), true);
  assert.equal(await client.type(key("board")), "zset");
  assert.deepEqual(await client.mget([key("text"), key("none")]), ["a", null]);
  assert.deepEqual(await client.exec(new Batch(true).incr(key("n")).get(key("n")), true), [6, "6"]);

  const blocked = await connect();
  const popped = blocked.blpop([key("list")], 5);
  await client.rpush(key("list"), ["x"]);
  assert.deepEqual(await popped, [key("list"), "x"]);
  blocked.close();

  let heard;
  const message = new Promise((resolve) => (heard = resolve));
  const subscriber = await connect({
    pubsubSubscriptions: {
      channelsAndPatterns: { [0]: new Set([key("channel")]) },
      callback: ({ message: text }) => heard(text),
    },
  });
  while ((await client.publish("hello", key("channel"))) === 0) await new Promise((next) => setTimeout(next, 10));
  assert.equal(await message, "hello");
  subscriber.close();
} else {
  await assert.rejects(client.get("k"), /RETRY/);
  await assert.rejects(client.zincrby("board", 1, "ada"), /RETRY/);
  await assert.rejects(client.blpop(["list"], 1), /RETRY/);
}
client.close();
bridge.close();
process.exit(0);
