"""The gRPC server of the interop scripts, and its generated code.

    python grpc_service.py PORT GENERATED_DIR
"""
import pathlib
import sys
import threading
from concurrent import futures


def generate(target):
    """Compiles echo.proto into `target` and puts it on the path."""
    from grpc_tools import protoc
    here = pathlib.Path(__file__).resolve().parent
    status = protoc.main(["protoc", f"-I{here}", f"--python_out={target}",
                          f"--grpc_python_out={target}", str(here / "echo.proto")])
    if status:
        raise RuntimeError("protoc failed")
    sys.path.insert(0, str(target))


def service():
    import grpc
    import echo_pb2
    import echo_pb2_grpc

    codes = {code.value[0]: code for code in grpc.StatusCode}

    calls = {}

    class Echo(echo_pb2_grpc.EchoServicer):
        def _maybe_fail(self, say, context):
            for key, value in context.invocation_metadata():
                if key == "x-back":
                    context.send_initial_metadata((("x-back", value),))
                    context.set_trailing_metadata((("x-back-trailer", value),))
            if say.fail_with:
                context.abort(codes[say.fail_with], f"as asked: {say.text}")

        def Unary(self, say, context):
            if say.text == "sleep":
                threading.Event().wait(2)
            if say.text.startswith("third "):
                calls[say.text] = calls.get(say.text, 0) + 1
                if calls[say.text] < 3:
                    context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
            self._maybe_fail(say, context)
            return echo_pb2.Heard(text=say.text, count=1, blob=say.blob)

        def Answers(self, say, context):
            for n in range(say.times):
                yield echo_pb2.Heard(text=say.text, count=n + 1, blob=say.blob)
            self._maybe_fail(say, context)

        def Collect(self, says, context):
            texts, size = [], 0
            for say in says:
                self._maybe_fail(say, context)
                texts.append(say.text)
                size += len(say.blob)
            return echo_pb2.Heard(text=",".join(texts), count=size or len(texts))

        def Talk(self, says, context):
            for say in says:
                self._maybe_fail(say, context)
                for n in range(max(say.times, 1)):
                    yield echo_pb2.Heard(text=say.text, count=n + 1, blob=say.blob)

    return Echo()


def main():
    generate(pathlib.Path(sys.argv[2]))
    import grpc
    import echo_pb2_grpc
    server = grpc.server(futures.ThreadPoolExecutor(32),
                         options=[("grpc.max_receive_message_length", 64 << 20)])
    echo_pb2_grpc.add_EchoServicer_to_server(service(), server)
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
