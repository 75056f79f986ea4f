// node-redis as it comes; it pipelines what is sent in one turn. Prints the ids of the events that it adds:
// SOCKET STREAM SINGLE PIPELINED.
import { createClient } from "redis";

const [socketPath, stream, single, pipelined] = process.argv.slice(2);
const client = createClient({ socket: { path: socketPath, reconnectStrategy: false }, name: "alfred" });
await client.connect();
for (let n = 0; n < Number(single); n++) {
  console.log(await client.xAdd(stream, "*", { data: `single ${n}` }));
}
const added = [];
for (let n = 0; n < Number(pipelined); n++) added.push(client.xAdd(stream, "*", { data: `pipelined ${n}` }));
for (const id of await Promise.all(added)) console.log(id);
await client.quit();
