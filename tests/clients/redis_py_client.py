"""redis-py as it comes. Prints the ids of the events that it adds: SOCKET STREAM SINGLE PIPELINED."""
import sys

import redis

socket_path, stream, single, pipelined = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
client = redis.Redis(unix_socket_path=socket_path, decode_responses=True)
assert client.ping()
for n in range(single):
    print(client.xadd(stream, {"data": f"single {n}"}))
pipeline = client.pipeline(transaction=False)
for n in range(pipelined):
    pipeline.xadd(stream, {"data": f"pipelined {n}"})
for entry_id in pipeline.execute():
    print(entry_id)
