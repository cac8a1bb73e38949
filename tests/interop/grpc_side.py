"""Starts the gRPC server behind a proxy, for the scripts that call it."""
import importlib.util
import os
import sys

from peers import HERE, Missing, free_port


def behind_proxy(peers):
    """The address of the proxy and the folder of the generated code."""
    for module in ("grpc", "grpc_tools"):
        if importlib.util.find_spec(module) is None:
            raise Missing(f"this Python has no {module} (grpcio, grpcio-tools)")
    generated = os.path.join(peers.scratch, "generated")
    os.makedirs(generated)
    port = free_port()
    peers.server([sys.executable, HERE / "grpc_service.py", port, generated], port)
    proxy = peers.proxy("grpc.yaml", grpc=port)
    return f"127.0.0.1:{proxy.ports['main']}", generated
