// node-redis as it comes, of whatever version; it pipelines what is sent in one turn. Prints the ids of the events that
// it adds: PACKAGE SOCKET STREAM SINGLE PIPELINED up|down [RESP].
import assert from "node:assert/strict";

const [name, socketPath, stream, single, pipelined, redis, protocol] = process.argv.slice(2);
const { createClient } = await import(name);
const connect = async () => {
  const options = { socket: { path: socketPath, reconnectStrategy: false }, name: "alfred" };
  if (protocol) options.RESP = Number(protocol);
  const client = createClient(options);
  client.on("error", (error) => {
    throw error;
  });
  await client.connect();
  return client;
};
const client = await connect();
for (let n = 0; n < Number(single); n++) {
  console.log(await client.xAdd(stream, "*", { data: `single ${n}` }));
}
const added = [];
for (let n = 0; n < Number(pipelined); n++) added.push(client.xAdd(stream, "*", { data: `pipelined ${n}` }));
for (const id of await Promise.all(added)) console.log(id);

const key = (suffix) => `${stream}:${suffix}`;
if (redis === "up") {
  assert.equal(await client.set(key("text"), "a"), "OK");
  assert.equal(await client.get(key("text")), "a");
  assert.equal(await client.incrBy(key("n"), 5), 5);
  assert.equal(await client.hSet(key("hash"), { a: "1", b: "2" }), 2);
  assert.deepEqual({ ...(await client.hGetAll(key("hash"))) }, { a: "1", b: "2" });
  assert.equal(await client.zIncrBy(key("board"), 2.5, "ada"), 2.5);
  assert.deepEqual(await client.zRange(key("board"), 0, -1), ["ada"]);
  assert.equal(Number(await client.expire(key("text"), 100)), 1);
  assert.equal(await client.type(key("board")), "zset");
  assert.deepEqual(await client.mGet([key("text"), key("none")]), ["a", null]);
  assert.deepEqual(await client.multi().incr(key("n")).get(key("n")).exec(), [6, "6"]);

  const blocked = await connect();
  const popped = blocked.blPop(key("list"), 5);
  await client.rPush(key("list"), "x");
  assert.deepEqual({ ...(await popped) }, { key: key("list"), element: "x" });
  await blocked.quit();

  const subscriber = await connect();
  const message = new Promise((resolve) => subscriber.subscribe(key("channel"), (text) => resolve(text)));
  while ((await client.publish(key("channel"), "hello")) === 0) await new Promise((next) => setTimeout(next, 10));
  assert.equal(await message, "hello");
  await subscriber.unsubscribe();
  await subscriber.quit();
} else {
  await assert.rejects(client.get("k"), /RETRY/);
  await assert.rejects(client.zIncrBy("board", 1, "ada"), /RETRY/);
  await assert.rejects(client.blPop("list", 1), /RETRY/);
}
await client.quit();
