from case import case, get, post

LATER = True
WS = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: a", "Sec-WebSocket-Version: 13"]

CASES = [
    case("virtual cluster", "main", get("/s200", host="clusters.example")),
    case("virtual cluster not matched", "main", post("/s200", "", host="clusters.example")),
    case("upgrade answered by 200", "main", get("/ws/echo", *WS)),
    case("upgrade answered by 101", "main", get("/ws/switch", *WS), linger=0.5),
    case("reply mapped by status", "replies", get("/zzz?a=b")),
    case("reply in json", "replies", get("/rdead/x")),
    case("direct response in json", "replies", get("/direct")),
    case("malformed request in json", "replies", "GET / HTTP/1.1\r\nHost: a\r\nbad header: 1\r\n\r\n"),
]
