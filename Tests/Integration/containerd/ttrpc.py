"""A small ttrpc client (containerd/ttrpc PROTOCOL.md) that takes messages as lists of (field number, value)."""

import socket
import struct


class Refused(Exception):
    """The answer is an error; its text is the server's sentence."""


def varint(number):
    result = b""
    while number > 127:
        result += bytes([number & 127 | 128])
        number >>= 7
    return result + bytes([number])


def encode(fields):
    """Strings, bytes, numbers, and nested lists."""
    result = b""
    for number, value in fields:
        if isinstance(value, int):
            result += varint(number << 3) + varint(value)
            continue
        data = encode(value) if isinstance(value, list) else value.encode() if isinstance(value, str) else value
        result += varint(number << 3 | 2) + varint(len(data)) + data
    return result


def fields(data):
    """Pairs of a field's number and its value: a number or bytes."""
    place = 0

    def read():
        nonlocal place
        number = shift = 0
        while True:
            byte = data[place]
            place, number, shift = place + 1, number | (byte & 127) << shift, shift + 7
            if byte < 128:
                return number
    while place < len(data):
        tag = read()
        if tag & 7 == 0:
            yield tag >> 3, read()
        else:
            assert tag & 7 == 2, f"wire type {tag & 7}"
            length = read()
            yield tag >> 3, data[place:place + length]
            place += length


def decode(data):
    """Field number to the last value."""
    return dict(fields(data))


class Client:
    """One connection, one call at a time."""

    def __init__(self, path, seconds=60):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(seconds)
        self.socket.connect(path)
        self.stream = 1

    def __call__(self, service, method, *request):
        return decode(self.raw(service, method, *request))

    def raw(self, service, method, *request):
        """The answer as it came."""
        body = encode([(1, service), (2, method), (3, encode(list(request)))])
        self.socket.sendall(struct.pack(">IIBB", len(body), self.stream, 1, 0) + body)
        length, stream, kind, _ = struct.unpack(">IIBB", self.receive(10))
        answer = decode(self.receive(length))
        assert (stream, kind) == (self.stream, 2)
        self.stream += 2
        if status := decode(answer.get(1, b"")):
            raise Refused(status.get(2, b"").decode())
        return answer.get(2, b"")

    def receive(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            assert more, "the connection ended"
            data += more
        return data

    def close(self):
        self.socket.close()
