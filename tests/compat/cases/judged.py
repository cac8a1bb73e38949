"""What Envoy takes and does not use, and other things that its own tests tell."""
from case import case, get

CASES = [case(f"{path} {' '.join(headers)}".strip(), "main", get(path, *headers)) for path, headers in [
    ("/plugin", []), ("/plugin/inline?q", []), ("/nowhere", []), ("/nowhere", ["x-cluster: unknown"]),
    ("/nowhere/s200", ["x-cluster: up"]), ("/again/s503", []), ("/limited/s200", []), ("/filtered", []), ("/unforwarded", []), ("/slow", []), ("/slow", ["content-type: application/grpc"]), ("/body", []),
    ("/names", ["x-in: letters"]), ("/names", [])]]
