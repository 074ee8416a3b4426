"""`cloister search`: Docker Hub's search, as a small server answers it; the catalog of Debian's docker-registry; and
registries that mean harm."""

import base64
import json
import urllib.parse

import pytest

import measured
import registrykit
from registrykit import Answer, Image, SmallRegistry, certificates, docker_registry, put
from test_registry import home, refused, say, small  # noqa: F401
from test_registry_hostile import MEMORY_IN_BYTES, endless

#: More than one page of a catalog.
MANY = 130

HUB = [
    {"name": "alpine", "description": "A minimal image\nof two lines, whose description goes on and on.", "star_count": 900,
     "is_official": True, "is_automated": False, "is_trusted": False, "pull_count": 10**10},
    {"name": "some/alpine", "description": "", "star_count": 7, "is_official": False, "is_automated": True},
    {"name": "evil/one", "description": "\x1b[2Jgone\x9b1m", "star_count": 0, "is_official": False, "is_automated": False},
]


@pytest.fixture
def hub(home, small):
    """A server that is to be asked instead of Docker Hub's."""
    directory = home.home / ".config" / "cloister" / "certs.d" / "index.docker.io"
    directory.mkdir(parents=True)
    (directory / "hosts.toml").write_text(f'server = "{small.url}"\n')

    def answer(request):
        place, _, query = request.path.partition("?")
        if place != "/v1/search":
            return None
        words = urllib.parse.parse_qs(query)
        found = [each for each in HUB if words["q"][0] in each["name"]][:int(words["n"][0])]
        return Answer(body=json.dumps({"num_pages": 1, "num_results": len(found), "page_size": 25, "page": 1,
                                       "query": words["q"][0], "results": found}).encode(),
                      fields={"Content-Type": "application/json"})

    small.intercept = answer
    return small


def lines(space, *words, **options):
    return space("search", *words, check=0, **options).stdout.decode().splitlines()


def names(space, *words):
    return lines(space, "--format", "{{.Name}}", *words)


def test_docker_hub(home, hub):
    assert lines(home, "alpine") == [
        "NAME         DESCRIPTION                                    STARS  OFFICIAL",
        "alpine       A minimal image of two lines, whose descript…  900    [OK]",
        "some/alpine                                                 7"]
    assert "goes on and on." in lines(home, "--no-trunc", "alpine")[1]
    assert hub.paths() == ["/v1/search?q=alpine&n=25"] * 2
    rows = json.loads(home("search", "--format", "json", "--limit", "1", "alpine", check=0).stdout)
    assert rows == [{"index": "docker.io", "name": "alpine", "description": HUB[0]["description"], "stars": 900,
                     "official": True, "automated": False}]
    assert lines(home, "--format", "{{.Name}} {{.StarCount}} {{.IsOfficial}} {{.Index}}", "docker.io/library/alpine") \
        == ["alpine 900 [OK] docker.io", "some/alpine 7  docker.io"]
    for words, found in [(["-f", "stars=8"], ["alpine"]), (["--filter", "is-official=false"], ["some/alpine"]),
                         (["--filter", "is-official=true", "--filter", "stars=901"], []),
                         (["--filter", "is-automated=true"], ["some/alpine"])]:
        assert names(home, *words, "alpine") == found
    assert names(home, "nothing like it") == []
    assert hub.paths()[-1] == "/v1/search?q=nothing%20like%20it&n=25"
    assert json.loads(home("search", "--format", "json", "nothing", check=0).stdout) == []


def test_docker_hub_is_shown_who_one_is_when_it_asks(home, hub):
    answer = hub.intercept
    hub.intercept = lambda request: answer(request) if request.headers.get("Authorization") else Answer(
        401, b"{}", {"WWW-Authenticate": 'Basic realm="hub"'})
    refused(home, "search", "alpine", say='needs a login: "cloister login')
    (home.home / "docker").mkdir()
    entry = {"auths": {"https://index.docker.io/v1/": {"auth": base64.b64encode(b"anna:x").decode()}}}
    (home.home / "docker" / "config.json").write_text(json.dumps(entry))
    assert names(home, "alpine") == ["alpine", "some/alpine"]


def test_what_others_write_does_not_steer_the_terminal(home, hub):
    for words in ([], ["--no-trunc"], ["--format", "{{.Description}}"], ["--format", "json"], ["--format", "{{json .}}"],
                  ["--format", "table {{.Description}}"]):
        text = home("search", *words, "evil", check=0).stdout.decode()
        assert "gone" in text and all(character >= " " or character == "\n" for character in text), text
        assert not any("\x7f" <= character <= "\x9f" for character in text)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"results": 3}', b'{"results": [{}]}', b'{"results": [{"name": 1}]}', b"null"])
def test_what_is_no_answer(home, hub, body):
    hub.intercept = lambda request: Answer(body=body)
    refused(home, "search", "alpine", say="does not answer the search")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    """Debian's registry with more repositories than a page has."""
    with docker_registry(tmp_path_factory.mktemp("registry")) as address:
        image = Image([say("x")])
        for number in range(MANY):
            put(address, image, f"team{number % 2}/app{number:03}")
        for tag in ["1", "2", "latest-x"]:
            put(address, image, "tagged", tag)
        yield address


def test_the_catalog(home, catalog):
    everything = sorted([f"{catalog}/team{number % 2}/app{number:03}" for number in range(MANY)] + [f"{catalog}/tagged"])
    result = home("search", f"{catalog}/", check=0)
    assert [line.split()[0] for line in result.stdout.decode().splitlines()[1:]] == everything[:25]
    assert b"that is not all" in result.stderr
    result = home("search", "--limit", "1000", "--format", "{{.Name}}", f"{catalog}/", check=0)
    assert result.stdout.decode().splitlines() == everything and result.stderr == b""
    # All of them exactly: there is no more.
    assert b"not all" not in home("search", "--limit", str(MANY + 1), f"{catalog}/", check=0).stderr
    assert names(home, f"{catalog}/app12") == [name for name in everything if "app12" in name]
    # On a later page.
    assert names(home, f"{catalog}/team1/app129") == [f"{catalog}/team1/app129"]
    assert names(home, f"{catalog}/none") == []
    refused(home, "search", catalog, say=f"end its address with a slash: {catalog}/")
    refused(home, "search", f"127.0.0.1:{registrykit.free_port()}/x", say="cannot be reached")


def test_tags(home, catalog):
    title, *rows = lines(home, "--list-tags", f"{catalog}/tagged")
    # In whatever order the registry has them.
    assert title.split() == ["NAME", "TAG"]
    assert sorted(row.split() for row in rows) == [[f"{catalog}/tagged", tag] for tag in ["1", "2", "latest-x"]]
    result = home("search", "--list-tags", "--limit", "2", "--format", "{{.Tag}}", f"{catalog}/tagged", check=0)
    assert len(result.stdout.split()) == 2 and b"not all" in result.stderr
    rows = json.loads(home("search", "--list-tags", "--format", "json", f"{catalog}/tagged", check=0).stdout)
    assert sorted(row["tag"] for row in rows) == ["1", "2", "latest-x"] and rows[0]["name"] == f"{catalog}/tagged"
    home.configure(default_registry=catalog)
    assert json.loads(home("search", "--list-tags", "--format", "json", "tagged", check=0).stdout) == rows
    assert names(home, "tagged") == [f"{catalog}/tagged"]
    home.configure()
    refused(home, "search", "--list-tags", f"{catalog}/none", say=f"has no list of tags of {catalog}/none")
    refused(home, "search", "--list-tags", f"{catalog}/tagged:1", say="without tag or digest")
    refused(home, "search", "--list-tags", f"{catalog}/Bad", say="lower case")


def test_a_password_and_certificates(home, tmp_path_factory):
    directory = tmp_path_factory.mktemp("private")
    keys = certificates(tmp_path_factory.mktemp("keys"))
    with docker_registry(directory, {"anna": "secret"}, tls=keys) as address:
        refused(home, "search", f"{address}/x", say="is not trusted")
        trusted = home.home / ".config" / "cloister" / "certs.d" / address
        trusted.mkdir(parents=True)
        (trusted / "ca.crt").write_bytes((keys / "ca.crt").read_bytes())
        for words in ([f"{address}/"], [f"{address}/x"], ["--list-tags", f"{address}/x"]):
            refused(home, "search", *words, say=f'needs a login: "cloister login {address}"')
        wrong = home("login", "-u", "anna", "--password-stdin", address, input=b"wrong", check=125)
        assert b"does not take this name and password" in wrong.stderr
        home("login", "-u", "anna", "--password-stdin", address, input=b"secret", check=0)
        assert names(home, f"{address}/") == []


def test_a_token_is_for_the_list_alone(home, small):
    asked = []

    def answer(request):
        if request.path.startswith("/token"):
            asked.append(request.path)
            return Answer(body=b'{"token": "t"}')
        if request.headers.get("Authorization") != "Bearer t":
            return Answer(401, b"{}", {"WWW-Authenticate": f'Bearer realm="{small.url}/token",service="small"'})
        if request.path.startswith("/v2/_catalog"):
            return Answer(body=b'{"repositories": ["a"]}')
        return Answer(body=b'{"name": "a/b", "tags": ["1"]}')

    small.intercept = answer
    assert names(home, f"{small.address}/") == [f"{small.address}/a"]
    assert lines(home, "--list-tags", "--format", "{{.Tag}}", f"{small.address}/a/b") == ["1"]
    assert asked == ["/token?service=small&scope=registry%3Acatalog%3A%2A",
                     "/token?service=small&scope=repository%3Aa%2Fb%3Apull"]


def test_a_registry_with_dockers_search(home, hub):
    assert names(home, f"{hub.address}/alpine") == [f"{hub.address}/alpine", f"{hub.address}/some/alpine"]
    assert hub.paths("_catalog") == []


def paged(small, pages, part="/_catalog", key="repositories", link=lambda small, path, number: f"<{path}?last={number}&n=1>"):
    """Answers a list page by page; `link` makes the address of the next one."""
    def answer(request):
        path, _, query = request.path.partition("?")
        if not path.endswith(part):
            return Answer(404, b"{}")
        number = int((urllib.parse.parse_qs(query).get("last") or ["0"])[0])
        fields = {"Link": f'{link(small, path, number + 1)}; rel="next"'} if number + 1 < len(pages) else {}
        return Answer(body=json.dumps({key: pages[number]}).encode(), fields=fields)
    small.intercept = answer


@pytest.mark.parametrize("link", [
    lambda small, path, number: f"<{path}?last={number}>", lambda small, path, number: f"<{small.url}{path}?last={number}>",
    lambda small, path, number: f"<list?last={number}>"], ids=["absolute path", "address", "relative"])
def test_pages(home, small, link):
    paged(small, [["1", "2"], None, [], ["3"]], part="/tags/list", key="tags", link=link)
    assert lines(home, "--list-tags", "--format", "{{.Tag}}", f"{small.address}/a/b") == ["1", "2", "3"]
    assert len(small.requests) == 4


def test_links_lead_nowhere_else(home, small):
    other = SmallRegistry()
    (home.home / "docker").mkdir()
    (home.home / "docker" / "config.json").write_text(json.dumps({"auths": {small.address: {"auth": "YTpi"}}}))
    port = small.address.split(":")[1]
    for target in [f"{other.url}/v2/_catalog?last=1", f"//{other.address}/v2/_catalog?last=1", f"https://{small.address}/v2/_catalog?last=1",
                   f"http://{small.address}@{other.address}/v2/_catalog?last=1", "/v2/a/tags/list?last=1", "/v2/_catalog/../../x?last=1",
                   "/v2/_catalog", "file:///etc/passwd?/_catalog", "http://[?", f"http://127.0.0.1:{port}x/v2/_catalog?last=1",
                   f"http://{small.address}\\@{other.address}/v2/_catalog?last=1", ""]:
        small.requests.clear()
        paged(small, [["a"], ["b"]], link=lambda *_: f"<{target}>")
        refused(home, "search", f"{small.address}/", say="which is somewhere else")
        assert len(small.requests) == 1, target
    assert other.requests == []
    other.close()


def hostile(space, *words):
    """Runs a search to its end, within little memory."""
    status, output, errors, peak = measured.run(space, "search", *words, seconds=60)
    assert peak < MEMORY_IN_BYTES
    return status, output, errors


def test_pages_without_end(home, small):
    # The same for ever.
    paged(small, [["a"]] * 10, link=lambda *_: "</v2/_catalog?last=5>")
    status, _, error = hostile(home, f"{small.address}/", "--limit", "1000")
    assert status == 125 and "in a circle" in error
    # Others for ever, with nothing in them.
    paged(small, [[]] * 10**6)
    small.requests.clear()
    status, output, error = hostile(home, f"{small.address}/", "--format", "{{.Name}}")
    assert (status, output) == (0, "") and "no end in sight" in error
    assert len(small.requests) == 300
    # Big ones.
    small.requests.clear()
    paged(small, [["x" * (3 << 20)]] * 10**6)
    status, output, error = hostile(home, f"{small.address}/none", "--format", "{{.Name}}")
    assert (status, output) == (0, "") and "no end in sight" in error
    assert len(small.requests) < 30


def test_answers_without_end(home, small):
    for words in ([f"{small.address}/"], [f"{small.address}/x"], ["--list-tags", f"{small.address}/x"]):
        small.intercept = lambda request: Answer(body=endless(b'{"repositories": ['))
        status, _, error = hostile(home, *words)
        assert status == 125 and "answers with more than 4 MiB" in error


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b'{"repositories": [1]}', b'{"repositories": {}}', b"[" * 10**6],
                         ids=["empty", "no JSON", "a list", "numbers", "a map", "deep"])
def test_lists_that_are_none(home, small, body):
    small.intercept = lambda request: Answer(body=body)
    refused(home, "search", f"{small.address}/", say="answers with what is no list of repositories")


def test_names_do_not_steer_the_terminal(home, small):
    small.intercept = lambda request: Answer(body=json.dumps({"repositories": ["a\x1b]0;x\x07\x9b2J"], "tags": ["\x1bc"]}).encode())
    for words in ([f"{small.address}/"], [f"{small.address}/", "--format", "{{.Name}}"], [f"{small.address}/", "--format", "json"],
                  ["--list-tags", f"{small.address}/a"]):
        text = home("search", *words, check=0).stdout.decode()
        assert all(character >= " " or character == "\n" for character in text) and "\x9b" not in text, text
    small.intercept = lambda request: Answer(
        401, json.dumps({"errors": [{"message": "\x1b[2Jno\x9b"}]}).encode())
    error = refused(home, "search", f"{small.address}/", say="no")
    assert "\x1b" not in error and "\x9b" not in error
