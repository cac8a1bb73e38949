"""grpcurl (grpc-go): unary, streams, an error status."""
import json

from grpc_side import behind_proxy
from peers import HERE


def run(peers):
    grpcurl = peers.tool("grpcurl")
    address, _ = behind_proxy(peers)

    def call(method, *messages):
        data = "\n".join(json.dumps(m) for m in messages).encode()
        return peers.output([grpcurl, "-plaintext", "-max-time", "10", "-import-path", HERE,
                             "-proto", "echo.proto", "-d", "@", address,
                             f"nuncio.interop.Echo/{method}"], 30, data)

    status, text = call("Unary", {"text": "hi"})
    peers.check(status == 0 and '"text": "hi"' in text, f"unary: {text}")
    status, text = call("Answers", {"text": "a", "times": 25})
    peers.equal((status, text.count('"text": "a"')), (0, 25), "server streaming")
    status, text = call("Collect", *({"text": str(n)} for n in range(10)))
    peers.check(status == 0 and "0,1,2,3,4,5,6,7,8,9" in text, f"client streaming: {text}")
    status, text = call("Talk", *({"text": str(n), "times": 2} for n in range(10)))
    peers.equal((status, text.count('"text"')), (0, 20), "bidirectional")
    status, text = call("Unary", {"text": "no", "failWith": 5})
    peers.check(status != 0 and "NotFound" in text and "as asked: no" in text, f"error: {text}")
