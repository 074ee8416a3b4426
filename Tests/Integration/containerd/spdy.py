"""What kubectl and kubelet speak to CRI's streaming server: SPDY/3.1 after an HTTP upgrade, as much of it as exec, attach and
port-forward need. https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1"""

import json
import socket
import struct
import threading
import urllib.parse
import zlib

SYN_STREAM, RST_STREAM, PING, GOAWAY = 1, 3, 6, 7
FIN = 1


class Stream:
    """One direction-less stream; what the other side sends is collected by the connection's thread."""

    def __init__(self, connection, number):
        self.connection, self.number = connection, number
        self.received, self.changed, self.ended, self.was_reset = bytearray(), threading.Condition(), False, False

    def send(self, data):
        for place in range(0, len(data), 32768):
            self.connection.send_data(self.number, data[place:place + 32768], 0)

    def close(self):
        """Half-close: end of file for the other side."""
        self.connection.send_data(self.number, b"", FIN)

    def feed(self, data, ended):
        with self.changed:
            self.received += data
            self.ended |= ended
            self.changed.notify_all()

    def wait(self, condition, seconds=60):
        """Waits for a condition on the bytes received; returns them and takes them out."""
        with self.changed:
            done = self.changed.wait_for(lambda: condition(self.received) or self.ended, seconds)
            assert done, f"nothing came in {seconds} s; had {bytes(self.received[-300:])!r}"
            data, self.received = bytes(self.received), bytearray()
            return data

    def read_to_end(self, seconds=60):
        data = b""
        while not (self.ended and not self.received):
            data += self.wait(lambda _: self.ended, seconds)
        return data

    def read_until(self, text, seconds=60):
        data = self.wait(lambda bytes: text in bytes, seconds)
        assert text in data, (text, data)
        return data


class Connection:
    """A streaming session by the URL that CRI gave."""

    def __init__(self, url, protocol):
        parts = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), 60)
        self.socket.sendall(
            f"POST {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: Upgrade\r\n"
            f"Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: {protocol}\r\nContent-Length: 0\r\n\r\n".encode())
        self.file = self.socket.makefile("rb")
        status = self.file.readline()
        headers = list(iter(self.file.readline, b"\r\n"))
        if b" 101 " not in status:
            raise ConnectionError((status, headers, self.file.read(500)))
        self.socket.settimeout(None)
        # Answers may leave the dictionary of the protocol aside, and so do our requests.
        self.compressor = zlib.compressobj()
        self.lock, self.streams, self.next = threading.Lock(), {}, 1
        threading.Thread(target=self.read, daemon=True).start()

    def open(self, **headers):
        with self.lock:
            number, self.next = self.next, self.next + 2
            stream = self.streams[number] = Stream(self, number)
            block = struct.pack(">I", len(headers))
            for word in (word for pair in headers.items() for word in pair):
                block += struct.pack(">I", len(word)) + word.encode()
            block = self.compressor.compress(block) + self.compressor.flush(zlib.Z_SYNC_FLUSH)
            self.send_control(SYN_STREAM, struct.pack(">IIH", number, 0, 0) + block)
        return stream

    def send_control(self, kind, body):
        self.socket.sendall(struct.pack(">HHI", 0x8003, kind, len(body)) + body)

    def send_data(self, number, data, flags):
        with self.lock:
            self.socket.sendall(struct.pack(">II", number, flags << 24 | len(data)) + data)

    def read(self):
        try:
            while len(head := self.file.read(8)) == 8:
                first, second = struct.unpack(">II", head)
                flags, length = second >> 24, second & 0xFFFFFF
                body = self.file.read(length)
                if not first >> 31:
                    if first in self.streams:
                        self.streams[first].feed(body, flags & FIN)
                    continue
                kind = first & 0xFFFF
                if kind == PING:
                    with self.lock:
                        self.send_control(PING, body)
                elif kind == RST_STREAM and (stream := self.streams.get(struct.unpack(">I", body[:4])[0])):
                    stream.was_reset = True
                    stream.feed(b"", True)
                elif kind == GOAWAY:
                    break
        except (OSError, ValueError):
            pass
        for stream in list(self.streams.values()):
            stream.feed(b"", True)

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


class Session:
    """An exec or attach in progress. `output` and `errors` are streams; with a terminal there are no errors."""

    def __init__(self, url, stdin=False, tty=False):
        self.connection = Connection(url, "v4.channel.k8s.io")
        self.status = self.connection.open(streamtype="error")
        self.input = self.connection.open(streamtype="stdin") if stdin else None
        self.output = self.connection.open(streamtype="stdout")
        self.errors = None if tty else self.connection.open(streamtype="stderr")
        self.resizes = self.connection.open(streamtype="resize") if tty else None

    def resize(self, columns, rows):
        self.resizes.send(json.dumps({"Width": columns, "Height": rows}).encode())

    def exit_code(self, seconds=60):
        """Of the program, once it has ended."""
        status = json.loads(self.status.read_to_end(seconds))
        if status["status"] == "Success":
            return 0
        causes = status.get("details", {}).get("causes", [])
        return next((int(cause["message"]) for cause in causes if cause["reason"] == "ExitCode"), status["message"])

    def close(self):
        self.connection.close()


class PortForward:
    """Connections to ports of a pod."""

    def __init__(self, url):
        self.connection, self.requests = Connection(url, "portforward.k8s.io"), 0

    def open(self, port):
        """Returns the stream of bytes and the stream of the error text."""
        self.requests += 1
        words = {"port": str(port), "requestid": str(self.requests)}
        errors = self.connection.open(streamtype="error", **words)
        errors.close()
        return self.connection.open(streamtype="data", **words), errors

    def close(self):
        self.connection.close()
