"""grpcio: unary and all kinds of streaming, errors, deadlines, cancellation."""
import sys
import threading
from concurrent import futures

from grpc_side import behind_proxy


def run(peers):
    address, generated = behind_proxy(peers)
    sys.path.insert(0, generated)
    import grpc
    import echo_pb2 as pb
    import echo_pb2_grpc

    channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", 64 << 20)])
    echo = echo_pb2_grpc.EchoStub(channel)
    peers.equal(echo.Unary(pb.Say(text="hi"), timeout=5).text, "hi", "unary")
    blob = bytes(range(256)) * 4096 * 4
    peers.check(echo.Unary(pb.Say(blob=blob), timeout=20).blob == blob, "unary of 4 MiB both ways")
    heard = list(echo.Answers(pb.Say(text="a", times=500), timeout=20))
    peers.equal([h.count for h in heard], list(range(1, 501)), "server streaming, in order")
    heard = list(echo.Answers(pb.Say(times=20, blob=blob[:300_000]), timeout=20))
    peers.equal(sum(len(h.blob) for h in heard), 6_000_000, "server streaming of 6 MB")
    heard = echo.Collect((pb.Say(text=str(n)) for n in range(300)), timeout=20)
    peers.equal(heard.text, ",".join(map(str, range(300))), "client streaming")
    heard = echo.Collect((pb.Say(blob=blob[:300_000]) for _ in range(20)), timeout=20)
    peers.equal(heard.count, 6_000_000, "client streaming of 6 MB")
    ping_pong(peers, echo, pb)
    errors(peers, echo, pb, grpc)
    many_at_once(peers, echo, pb)
    cancellation(peers, echo, pb, grpc)
    retries(peers, echo, pb, grpc)
    gzip = echo.Unary(pb.Say(text="z" * 10_000), timeout=5, compression=grpc.Compression.Gzip)
    peers.equal(len(gzip.text), 10_000, "compressed unary")
    channel.close()


def ping_pong(peers, echo, pb):
    """Each message is sent only after the answer to the one before came."""
    answered, said = threading.Semaphore(1), []

    def says():
        for n in range(50):
            answered.acquire(timeout=5)
            yield pb.Say(text=str(n))

    for heard in echo.Talk(says(), timeout=20):
        said.append(heard.text)
        answered.release()
    peers.equal(said, [str(n) for n in range(50)], "bidirectional, turn by turn")
    heard = list(echo.Talk((pb.Say(text=str(n), times=3) for n in range(200)), timeout=20))
    peers.equal(len(heard), 600, "bidirectional, at full speed")


def errors(peers, echo, pb, grpc):
    for code in (3, 5, 13, 14, 16):
        try:
            echo.Unary(pb.Say(text="grüße", fail_with=code), timeout=5)
            peers.check(False, f"status {code} arrives")
        except grpc.RpcError as error:
            peers.equal((error.code().value[0], error.details()), (code, "as asked: grüße"),
                        f"status {code} and its message")
    seen = []
    try:
        for heard in echo.Answers(pb.Say(text="x", times=5, fail_with=8), timeout=5):
            seen.append(heard)
    except grpc.RpcError as error:
        peers.equal((len(seen), error.code().value[0]), (5, 8), "failure behind five answers")
    try:
        echo.Unary(pb.Say(text="sleep"), timeout=0.3)
        peers.check(False, "deadline ends the call")
    except grpc.RpcError as error:
        peers.equal(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED, "deadline ends the call")
    _, call = echo.Unary.with_call(pb.Say(text="m"), timeout=5, metadata=(("x-back", "v"),))
    peers.equal(dict(call.initial_metadata()).get("x-back"), "v", "metadata in the head")
    peers.equal(dict(call.trailing_metadata()).get("x-back-trailer"), "v", "metadata in the trailers")


def retries(peers, echo, pb, grpc):
    """The server answers the third call of a kind; the route retries on request."""
    try:
        echo.Unary(pb.Say(text="third a"), timeout=5)
        peers.check(False, "without a policy the first failure counts")
    except grpc.RpcError as error:
        peers.equal(error.code(), grpc.StatusCode.UNAVAILABLE, "without a policy the first failure counts")
    asked = (("x-retry", "1"),)
    blob = bytes(range(256)) * 1000
    heard = echo.Unary(pb.Say(text="third b", blob=blob), timeout=5, metadata=asked)
    peers.check(heard.blob == blob, "the third try answers, with the whole message")


def many_at_once(peers, echo, pb):
    with futures.ThreadPoolExecutor(16) as pool:
        texts = list(pool.map(lambda n: echo.Unary(pb.Say(text=str(n)), timeout=20).text, range(400)))
    peers.equal(texts, [str(n) for n in range(400)], "400 calls from 16 threads")


def cancellation(peers, echo, pb, grpc):
    call = echo.Answers(pb.Say(text="c", times=100_000), timeout=20)
    next(iter(call))
    call.cancel()
    try:
        for _ in call:
            pass
        peers.check(False, "a cancelled call ends")
    except grpc.RpcError as error:
        peers.equal(error.code(), grpc.StatusCode.CANCELLED, "a cancelled call ends")
    peers.equal(echo.Unary(pb.Say(text="after"), timeout=5).text, "after", "calls go on after it")
