"""A proxy between us and Debian's docker-registry that does to every request, once, what networks do: the image arrives whole."""

import http.client
import json
import subprocess
import time

import pytest

from registrykit import Answer, SmallRegistry, digest, docker_registry
from test_registry import big, blob, expect_whole, home, layout, registry, say  # noqa: F401


class Proxy(SmallRegistry):
    """Passes everything on to a registry, except what `intercept` answers."""

    def __init__(self, upstream):
        super().__init__()
        self.upstream = upstream
        self.intercept = self.forward

    def forward(self, request):
        connection = http.client.HTTPConnection(*self.upstream.split(":"))
        fields = {name: value for name, value in request.headers.items() if name.lower() in ("accept", "range", "authorization")}
        connection.request(request.command, request.path, headers=fields)
        answer = connection.getresponse()
        kept = ("content-type", "docker-content-digest", "content-range", "location", "etag")
        result = Answer(answer.status, answer.read(), {name: value for name, value in answer.getheaders() if name.lower() in kept})
        connection.close()
        return result

    def once(self, fault):
        """Has `fault(proxy, request, its answer)` answer the first request for each thing, a HEAD and a GET being two."""
        seen = set()

        def intercept(request):
            path = request.path.split("?")[0]
            if path == "/token":
                return Answer(body=b'{"token": "t"}')
            answer, key = self.forward(request), (request.command, path)
            if key in seen or path == "/v2/":
                return answer
            seen.add(key)
            return fault(self, request, answer) or answer

        self.intercept = intercept
        return seen


def cut(proxy, request, answer):
    answer.cut = len(answer.body) // 2
    return answer


def hang_up(proxy, request, answer):
    """Nothing at all is said."""
    request.close_connection = True
    return Answer(answer.status, b"", {}, length=len(answer.body), cut=0)


def delay(proxy, request, answer):
    """In small pieces, with pauses."""
    def pieces(body=answer.body, step=max(len(answer.body) // 10, 1)):
        for start in range(0, len(body), step):
            time.sleep(0.05)
            yield body[start:start + step]
    return Answer(answer.status, pieces(), answer.fields | {"Content-Length": str(len(answer.body))})


def challenge(proxy, request, answer):
    """As to a token that has run out: nobody is logged in, so an empty one will do."""
    return Answer(401, b"{}", {"WWW-Authenticate": f'Bearer realm="{proxy.url}/token",service="test"'})


def redirect(proxy, request, answer):
    return Answer(302, b"", {"Location": f"{proxy.url}{request.path}{'&' if '?' in request.path else '?'}again"})


def status(code, **fields):
    return lambda proxy, request, answer: Answer(code, b"{}", fields)


FAULTS = {"cut": cut, "hang up": hang_up, "delay": delay, "401": challenge, "302": redirect, "429": status(429, **{"Retry-After": "0"}),
          "500": status(500), "502": status(502), "503": status(503)}


@pytest.fixture(scope="module")
def image(registry, tmp_path_factory):
    image = big(count=3, size=1 << 20)
    subprocess.run(["skopeo", "copy", "-q", "--dest-tls-verify=false", "--preserve-digests", f"dir:{layout(image, tmp_path_factory)}",
                    f"docker://{registry}/proxied:latest"], check=True)
    return image


@pytest.fixture
def proxy(registry):
    proxy = Proxy(registry)
    yield proxy
    proxy.close()


@pytest.mark.parametrize("fault", FAULTS)
def test_what_goes_wrong_once(home, proxy, image, fault):
    seen = proxy.once(FAULTS[fault])
    home("pull", f"{proxy.address}/proxied", check=0, timeout=120)
    expect_whole(home, image)
    # Manifest, configuration and three layers, each of which had it happen.
    assert len({path for _, path in seen if "/blobs/" in path or "/manifests/" in path}) >= 5


@pytest.mark.parametrize("how", ["corrupt", "truncate"])
@pytest.mark.parametrize("part", ["manifest", "configuration", "layer"])
def test_what_is_not_what_it_is_named_by(home, proxy, image, part, how):
    """Is refused, and nothing of it kept; the next pull brings it."""
    name = {"manifest": digest(image.manifest), "configuration": digest(image.config), "layer": digest(image.layers[1][0])}[part]

    def spoil(request):
        answer = proxy.forward(request)
        if name in request.path and answer.body:
            middle = len(answer.body) // 2
            rest = bytes([answer.body[middle] ^ 1]) + answer.body[middle + 1:] if how == "corrupt" else b""
            answer.body = answer.body[:middle] + rest
        return answer

    proxy.intercept = spoil
    reference = f"{proxy.address}/proxied@{digest(image.manifest)}"
    home("pull", reference, check=125, timeout=120)
    assert not blob(home, name).exists()
    assert json.loads(home("image", "list", "--format", "json", check=0).stdout) == []
    proxy.intercept = proxy.forward
    home("pull", reference, check=0)
    expect_whole(home, image)
