// ioredis as it comes. Prints the ids of the events that it adds: SOCKET STREAM SINGLE PIPELINED.
import { Redis } from "ioredis";

const [socketPath, stream, single, pipelined] = process.argv.slice(2);
const client = new Redis({ path: socketPath, connectionName: "alfred", retryStrategy: null });
for (let n = 0; n < Number(single); n++) {
  console.log(await client.xadd(stream, "*", "data", `single ${n}`));
}
const pipeline = client.pipeline();
for (let n = 0; n < Number(pipelined); n++) pipeline.xadd(stream, "*", "data", `pipelined ${n}`);
for (const [error, id] of await pipeline.exec()) {
  if (error) throw error;
  console.log(id);
}
await client.quit();
