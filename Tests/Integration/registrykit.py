"""Registries for tests: Debian's docker-registry, and a small one of our own that can be as wrong as a test wants."""

import contextlib
import gzip
import hashlib
import http.client
import http.server
import io
import json
import pathlib
import socket
import ssl
import subprocess
import tarfile
import threading
import time

import bcrypt

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def certificates(directory):
    """An authority, and a certificate of it for this machine: ca.crt, server.crt, server.key, client.cert, client.key."""
    directory = pathlib.Path(directory)

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test authority", "-keyout", "ca.key",
            "-out", "ca.crt")
    for name, key, out in [("localhost", "server.key", "server.crt"), ("client", "client.key", "client.cert")]:
        (directory / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", "request")
        openssl("x509", "-req", "-in", "request", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-extfile", "names", "-out", out)
    return directory


@contextlib.contextmanager
def docker_registry(directory, passwords=None, tls=None, client_authority=None):
    """Debian's registry; gives its address."""
    directory = pathlib.Path(directory)
    address = f"127.0.0.1:{free_port()}"
    configuration = {
        "version": "0.1", "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(directory / "data")}, "delete": {"enabled": True}},
        "http": {"addr": address},
    }
    if passwords:
        lines = [f"{user}:{bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode()}\n"
                 for user, word in passwords.items()]
        (directory / "htpasswd").write_text("".join(lines))
        configuration["auth"] = {"htpasswd": {"realm": "test", "path": str(directory / "htpasswd")}}
    if tls:
        configuration["http"]["tls"] = {"certificate": str(tls / "server.crt"), "key": str(tls / "server.key")}
        if client_authority:
            configuration["http"]["tls"]["clientcas"] = [str(client_authority)]
    # JSON is YAML.
    (directory / "config.yml").write_text(json.dumps(configuration))
    with open(directory / "log", "w") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", directory / "config.yml"], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        wait_for(address, process)
        yield address
    finally:
        process.kill()
        process.wait()


def wait_for(address, process):
    host, port = address.split(":")
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
            return
        except ConnectionRefusedError:
            assert process.poll() is None, "the registry ended"
            time.sleep(0.02)


def tar(files):
    """A compressed layer and its diffID."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(plain.getvalue(), mtime=0), digest(plain.getvalue())


class Image:
    """An image made of layers, as documents and blobs by digest."""

    def __init__(self, layers, **execution):
        self.layers = [tar(files) for files in layers]
        self.blobs = {digest(data): data for data, _ in self.layers}
        self.config = json.dumps({
            "architecture": "amd64", "os": "linux", "config": execution,
            "rootfs": {"type": "layers", "diff_ids": [diff for _, diff in self.layers]}}).encode()
        self.blobs[digest(self.config)] = self.config
        self.document = {
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest(self.config), "size": len(self.config)},
            "layers": [{"mediaType": LAYER, "digest": digest(data), "size": len(data)} for data, _ in self.layers]}

    def for_platform(self, architecture):
        """The same, for another machine."""
        del self.blobs[digest(self.config)]
        self.config = json.dumps(json.loads(self.config) | {"architecture": architecture}).encode()
        self.blobs[digest(self.config)] = self.config
        self.document["config"] |= {"digest": digest(self.config), "size": len(self.config)}
        return self

    @property
    def manifest(self):
        return json.dumps(self.document).encode()


class Answer:
    """What the small registry says: a status, fields, and bytes, or something that makes bytes."""

    def __init__(self, status=200, body=b"", fields=None, length=None, cut=None):
        self.status, self.body, self.fields, self.length, self.cut = status, body, fields or {}, length, cut


class SmallRegistry(http.server.ThreadingHTTPServer):
    """Serves images from memory, and does what `intercept(request)` wants first: it may return an Answer."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, tls=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.manifests, self.blobs, self.requests = {}, {}, []
        self.intercept = lambda request: None
        self.lock = threading.Lock()
        scheme = "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls / "server.crt", tls / "server.key")
            self.socket = context.wrap_socket(self.socket, server_side=True)
            scheme = "https"
        self.address = f"127.0.0.1:{self.server_address[1]}"
        self.url = f"{scheme}://{self.address}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # a client that has left

    def add(self, image, name="test/image", tag="latest"):
        self.blobs |= image.blobs
        self.add_document(image.manifest, MANIFEST, name, tag)
        return f"{self.address}/{name}:{tag}"

    def add_document(self, data, kind, name="test/image", tag="latest"):
        for reference in [tag, digest(data)]:
            self.manifests[f"/v2/{name}/manifests/{reference}"] = (data, kind)
        return f"{self.address}/{name}:{tag}"

    def paths(self, part=""):
        with self.lock:
            return [path for path, _ in self.requests if part in path]

    def close(self):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        registry = self.server
        with registry.lock:
            registry.requests.append((self.path, dict(self.headers)))
        self.reply(registry.intercept(self) or self.standard())

    do_HEAD = do_GET

    def do_POST(self):
        self.form = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.do_GET()

    def standard(self):
        registry, path = self.server, self.path.split("?")[0]
        if path == "/v2/":
            return Answer(body=b"{}")
        if path in registry.manifests:
            data, kind = registry.manifests[path]
            return Answer(body=data, fields={"Content-Type": kind, "Docker-Content-Digest": digest(data)})
        data = registry.blobs.get(path.rpartition("/")[2]) if "/blobs/" in path else None
        if data is None:
            return Answer(404, json.dumps({"errors": [{"code": "UNKNOWN", "message": "nothing of that name"}]}).encode())
        wanted = self.headers.get("Range")
        if wanted:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            return Answer(206, data[start:], {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})
        return Answer(body=data)

    def reply(self, answer):
        self.send_response(answer.status)
        for name, value in answer.fields.items():
            self.send_header(name, value)
        body = answer.body
        if isinstance(body, bytes):
            self.send_header("Content-Length", str(len(body) if answer.length is None else answer.length))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command == "HEAD":
            return
        if isinstance(body, bytes):
            self.wfile.write(body[:answer.cut])
            if answer.cut is not None or answer.length not in (None, len(body)):
                self.wfile.flush()
                self.close_connection = True
        else:
            for piece in body:
                self.wfile.write(piece)


def put(address, image, name, tag="latest", manifest=None, kind=MANIFEST):
    """Stores an image in a real registry."""
    connection = http.client.HTTPConnection(*address.split(":"))

    def ask(method, path, data=b"", fields=None):
        connection.request(method, path, data, fields or {})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status in (201, 202), (method, path, answer.status, text)
        return answer

    for name_of, data in image.blobs.items():
        place = ask("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
        place = place.removeprefix(f"http://{address}")
        ask("PUT", f"{place}{'&' if '?' in place else '?'}digest={name_of}", data,
            {"Content-Type": "application/octet-stream"})
    ask("PUT", f"/v2/{name}/manifests/{tag}", manifest or image.manifest, {"Content-Type": kind})
    return f"{address}/{name}:{tag}"
