// ioredis as it comes, of whatever version. Prints the ids of the events that it adds:
// PACKAGE SOCKET STREAM SINGLE PIPELINED up|down.
import assert from "node:assert/strict";

const [name, socketPath, stream, single, pipelined, redis] = process.argv.slice(2);
const { Redis } = await import(name);
const options = { path: socketPath, connectionName: "alfred", retryStrategy: null };
const client = new Redis(options);
for (let n = 0; n < Number(single); n++) {
  console.log(await client.xadd(stream, "*", "data", `single ${n}`));
}
const pipeline = client.pipeline();
for (let n = 0; n < Number(pipelined); n++) pipeline.xadd(stream, "*", "data", `pipelined ${n}`);
for (const [error, id] of await pipeline.exec()) {
  if (error) throw error;
  console.log(id);
}

const key = (suffix) => `${stream}:${suffix}`;
if (redis === "up") {
  assert.equal(await client.set(key("text"), "a"), "OK");
  assert.equal(await client.get(key("text")), "a");
  assert.equal(await client.incrby(key("n"), 5), 5);
  assert.equal(await client.hset(key("hash"), { a: "1", b: "2" }), 2);
  assert.deepEqual({ ...(await client.hgetall(key("hash"))) }, { a: "1", b: "2" });
  assert.equal(Number(await client.zincrby(key("board"), 2.5, "ada")), 2.5);
  assert.deepEqual((await client.zrange(key("board"), 0, -1)).map(String), ["ada"]);
  assert.equal(await client.expire(key("text"), 100), 1);
  assert.equal(await client.type(key("board")), "zset");
  assert.deepEqual(await client.mget(key("text"), key("none")), ["a", null]);
  assert.deepEqual(await client.multi().incr(key("n")).get(key("n")).exec(), [[null, 6], [null, "6"]]);

  const blocked = new Redis(options);
  const popped = blocked.blpop(key("list"), 5);
  await client.rpush(key("list"), "x");
  assert.deepEqual(await popped, [key("list"), "x"]);
  await blocked.quit();

  const subscriber = new Redis(options);
  const message = new Promise((resolve) => subscriber.on("message", (channel, text) => resolve([channel, text])));
  await subscriber.subscribe(key("channel"));
  await client.publish(key("channel"), "hello");
  assert.deepEqual(await message, [key("channel"), "hello"]);
  await subscriber.unsubscribe();
  await subscriber.quit();
} else {
  await assert.rejects(client.get("k"), /RETRY/);
  await assert.rejects(client.zincrby("board", 1, "ada"), /RETRY/);
  await assert.rejects(client.blpop("list", 1), /RETRY/);
}
await client.quit();
