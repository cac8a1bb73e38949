"""Just enough HPACK (RFC 7541) to talk to a proxy: encodes plainly, decodes all.

The encoder never indexes and never compresses, so a case controls every byte.
"""

STATIC = [line.partition("=")[::2] for line in """\
:authority :method=GET :method=POST :path=/ :path=/index.html :scheme=http :scheme=https
:status=200 :status=204 :status=206 :status=304 :status=400 :status=404 :status=500
accept-charset accept-encoding=gzip,_deflate accept-language accept-ranges accept
access-control-allow-origin age allow authorization cache-control content-disposition
content-encoding content-language content-length content-location content-range content-type
cookie date etag expect expires from host if-match if-modified-since if-none-match if-range
if-unmodified-since last-modified link location max-forwards proxy-authenticate
proxy-authorization range referer refresh retry-after server set-cookie
strict-transport-security transfer-encoding user-agent vary via www-authenticate""".split()]
STATIC = [(name, value.replace("_", " ")) for name, value in STATIC]

# Bit lengths of the codes of appendix B, symbol by symbol; the code is
# canonical, so the lengths are enough to build it.
LENGTHS = [int(x) for x in """
13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28 28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28
6 10 10 12 13 6 8 11 10 10 8 11 8 6 6 6 5 5 5 6 6 6 6 6 6 6 7 8 15 6 12 10
13 6 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 8 7 8 13 19 13 14 6
15 5 6 5 6 5 6 6 6 5 7 7 6 6 6 5 6 7 6 5 5 6 7 7 7 7 7 15 11 14 13 28
20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23 24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24
22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23 21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23
26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25 19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27
20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23 26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26
30""".split()]


def canonical(lengths):
    codes, code, previous = {}, 0, 0
    for length, symbol in sorted((n, s) for s, n in enumerate(lengths)):
        code <<= length - previous
        codes[length, code] = symbol
        code, previous = code + 1, length
    return codes


CODES = canonical(LENGTHS)


def huffman(data):
    out, code, length = bytearray(), 0, 0
    for byte in data:
        for bit in range(7, -1, -1):
            code, length = code << 1 | byte >> bit & 1, length + 1
            if (length, code) in CODES:
                out.append(CODES[length, code])
                code, length = 0, 0
    return bytes(out)


def integer(value, bits, first=0):
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([first | value])
    out, value = bytearray([first | limit]), value - limit
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out + bytes([value]))


def encode(fields):
    out = b""
    for name, value in fields:
        name, value = (x if isinstance(x, bytes) else x.encode("latin-1") for x in (name, value))
        out += b"\0" + integer(len(name), 7) + name + integer(len(value), 7) + value
    return out


class Decoder:
    """One direction's dynamic table."""

    def __init__(self):
        self.table = []

    def decode(self, block):
        self.block, self.at = block, 0
        fields = []
        while self.at < len(block):
            first = block[self.at]
            if first & 0x80:
                fields.append(self._entry(self._integer(7)))
            elif first & 0x40:
                field = self._literal(6)
                self.table.insert(0, field)
                fields.append(field)
            elif first & 0x20:
                size = self._integer(5)
                if size == 0:
                    self.table.clear()
            else:
                fields.append(self._literal(4))
        self._evict()
        return fields

    def _evict(self, limit=4096):
        total = 0
        for i, (name, value) in enumerate(self.table):
            total += len(name) + len(value) + 32
            if total > limit:
                del self.table[i:]
                return

    def _entry(self, index):
        if index <= len(STATIC):
            return STATIC[index - 1]
        return self.table[index - len(STATIC) - 1]

    def _literal(self, bits):
        index = self._integer(bits)
        name = self._entry(index)[0] if index else self._string()
        return name, self._string()

    def _integer(self, bits):
        limit = (1 << bits) - 1
        value, self.at = self.block[self.at] & limit, self.at + 1
        if value < limit:
            return value
        shift = 0
        while True:
            byte, self.at = self.block[self.at], self.at + 1
            value += (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def _string(self):
        compressed = self.block[self.at] & 0x80
        size = self._integer(7)
        data, self.at = self.block[self.at:self.at + size], self.at + size
        return (huffman(data) if compressed else data).decode("latin-1")
