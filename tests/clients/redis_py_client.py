"""redis-py as it comes. Prints the ids of the events that it adds: SOCKET STREAM SINGLE PIPELINED up|down."""
import sys
import threading

import redis

socket_path, stream, single, pipelined, state = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
client = redis.Redis(unix_socket_path=socket_path, decode_responses=True)
assert client.ping()
for n in range(single):
    print(client.xadd(stream, {"data": f"single {n}"}))
pipeline = client.pipeline(transaction=False)
for n in range(pipelined):
    pipeline.xadd(stream, {"data": f"pipelined {n}"})
for entry_id in pipeline.execute():
    print(entry_id)


def key(suffix):
    return f"{stream}:{suffix}"


if state == "up":
    assert client.set(key("text"), "a")
    assert client.get(key("text")) == "a"
    assert client.incrby(key("n"), 5) == 5
    assert client.hset(key("hash"), mapping={"a": "1", "b": "2"}) == 2
    assert client.hgetall(key("hash")) == {"a": "1", "b": "2"}
    assert client.zincrby(key("board"), 2.5, "ada") == 2.5
    assert client.zrange(key("board"), 0, -1, withscores=True) == [("ada", 2.5)]
    assert client.expire(key("text"), 100)
    assert client.type(key("board")) == "zset"
    assert client.mget(key("text"), key("none")) == ["a", None]
    transaction = client.pipeline(transaction=True)
    transaction.incr(key("n"))
    transaction.get(key("n"))
    assert transaction.execute() == [6, "6"]
    threading.Timer(0.1, lambda: client.rpush(key("list"), "x")).start()
    assert client.blpop(key("list"), 5) == (key("list"), "x")
    subscriber = client.pubsub(ignore_subscribe_messages=True)
    subscriber.subscribe(key("channel"))
    subscriber.get_message(timeout=5)
    client.publish(key("channel"), "hello")
    message = None
    while message is None:
        message = subscriber.get_message(timeout=5)
    assert message["data"] == "hello"
    subscriber.close()
else:
    for call in (lambda: client.get("k"), lambda: client.zincrby("board", 1, "ada"), lambda: client.blpop("list", 1)):
        try:
            call()
            sys.exit("it was answered while Redis is away")
        except redis.ResponseError as error:
            assert str(error).startswith("RETRY"), error
