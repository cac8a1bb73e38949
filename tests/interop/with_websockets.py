"""websockets (PyPI): messages of every size, fragments, pings, closes, many at once, refusals."""
import threading
from concurrent import futures

from peers import Missing, free_port

BIG = bytes(range(256)) * 4096 * 8


def run(peers):
    try:
        from websockets.sync.server import serve
    except ImportError as missing:
        raise Missing(f"the Python package websockets is not installed: {missing}") from missing

    port = free_port()
    server = serve(answer, "127.0.0.1", port, max_size=1 << 26, subprotocols=["chat", "other"])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        proxy = peers.proxy("websocket.yaml", server=port)
        for name, path in [("HTTP/1 throughout", "/chat"), ("HTTP/2 between two proxies", "/twice")]:
            conversation(peers, f"ws://127.0.0.1:{proxy.ports['websocket']}{path}", name)
        stats = proxy.stats()
        peers.check(stats["http.websocket.downstream_cx_upgrades_total"] > 40, "upgrades are counted")
        peers.equal(stats["http.websocket.downstream_cx_upgrades_active"], 0, "none is left open")
    finally:
        server.shutdown()
        thread.join(5)


def answer(connection):
    """Echoes; a text that says so ends the connection with a code of its own."""
    from websockets.exceptions import ConnectionClosed
    try:
        for message in connection:
            if message == "leave":
                connection.close(4001, "as asked")
                return
            connection.send(message)
    except ConnectionClosed:
        pass                # with a code of the client's own


def conversation(peers, url, name):
    from websockets.exceptions import ConnectionClosed, InvalidStatus
    from websockets.sync.client import connect

    with connect(url, max_size=1 << 26, subprotocols=["chat"], compression="deflate") as ws:
        peers.equal(ws.subprotocol, "chat", f"{name}: the subprotocol")
        ws.send("grüße")
        peers.equal(ws.recv(5), "grüße", f"{name}: a text")
        ws.send(b"")
        peers.equal(ws.recv(5), b"", f"{name}: an empty message")
        ws.send(BIG)
        peers.check(ws.recv(20) == BIG, f"{name}: 8 MiB both ways")
        ws.send(piece for piece in [b"in ", b"three ", b"pieces"])
        peers.equal(ws.recv(5), b"in three pieces", f"{name}: fragments")
        peers.check(ws.ping().wait(5), f"{name}: a ping is answered")
        ws.send("leave")
        try:
            ws.recv(5)
            peers.check(False, f"{name}: the server's close arrives")
        except ConnectionClosed as closed:
            peers.equal((closed.rcvd.code, closed.rcvd.reason), (4001, "as asked"), f"{name}: the server's close")
    with connect(url, subprotocols=["chat"]) as ws:
        ws.close(4002, "client")
        peers.equal(ws.close_code, 4002, f"{name}: the client's close")
    with futures.ThreadPoolExecutor(20) as pool:
        talks = list(pool.map(lambda n: talk(connect, url, n), range(20)))
    peers.equal(talks, [True] * 20, f"{name}: 20 at once, 50 messages each")
    try:
        connect(url, additional_headers={"Connection": "close"}, subprotocols=["chat"], open_timeout=5,
                origin=None).close()
        peers.check(True, f"{name}: more of Connection than the upgrade")
    except InvalidStatus as refused:
        peers.check(False, f"{name}: more of Connection than the upgrade: {refused}")


def talk(connect, url, number):
    with connect(url, subprotocols=["chat"]) as ws:
        for turn in range(50):
            ws.send(f"{number} {turn}")
            if ws.recv(10) != f"{number} {turn}":
                return False
    return True
