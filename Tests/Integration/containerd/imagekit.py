"""The tests' images, made of Debian's busybox and a C program or two; no registry is asked for anything."""

import json
import pathlib
import subprocess
import sys
import tarfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "scripts"))
import ociimage  # noqa: E402

from daemon import PAUSE, ROOT  # noqa: E402

TOOLS = "docker.io/library/cloister-demo:latest"
#: TOOLS with a user, an entry point, a stop signal, an exposed port, a volume and a working directory of its own.
SHAPED = "docker.io/library/cloister-shaped:1"

PAUSE_SOURCE = r"""
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
/* First process of a pod: waits to be told to end, and reaps those that others left. */
static void end(int number) { (void)number; _exit(0); }
static void reap(int number) { (void)number; while (waitpid(-1, 0, WNOHANG) > 0); }
int main(void) {
    struct sigaction ends = {.sa_handler = end}, reaps = {.sa_handler = reap, .sa_flags = SA_NOCLDSTOP};
    sigaction(SIGINT, &ends, 0); sigaction(SIGTERM, &ends, 0); sigaction(SIGCHLD, &reaps, 0);
    for (;;) pause();
}
"""


def compiled(source, directory):
    """The bytes of a static program."""
    output = pathlib.Path(directory) / "program"
    subprocess.run(["gcc", "-x", "c", "-Os", "-static", "-s", "-o", output, "-"], input=source.encode(), check=True)
    return output.read_bytes()


def archives(directory):
    """Makes the archives to import; returns their paths."""
    directory = pathlib.Path(directory)
    tools, pause, shaped = (directory / f"{name}.tar" for name in ("tools", "pause", "shaped"))
    subprocess.run([ROOT / "scripts" / "make-demo-image", tools], check=True)
    image = ociimage.Image(PAUSE, config={"Entrypoint": ["/pause"]})
    image.add_layer(ociimage.Layer().file("pause", compiled(PAUSE_SOURCE, directory), 0o755).finish()).write(pause)

    with tarfile.open(tools) as archive:
        def read(digest):
            return archive.extractfile("blobs/" + digest.replace(":", "/")).read()
        index = json.load(archive.extractfile("index.json"))
        manifest = json.loads(read(index["manifests"][0]["digest"]))
        config = json.loads(read(manifest["config"]["digest"]))
        image = ociimage.Image(SHAPED, config={
            "Env": ["PATH=/bin", "FROM_IMAGE=yes"], "User": "demo:video", "Entrypoint": ["/bin/sh", "-c"],
            "Cmd": ["echo image; exec sleep 600"], "WorkingDir": "/home/demo", "StopSignal": "SIGUSR1",
            "ExposedPorts": {"8080/tcp": {}}, "Volumes": {"/from-image": {}}})
        image.layers, image.diff_ids = manifest["layers"][:], config["rootfs"]["diff_ids"][:]
        for layer in image.layers:
            image.put(read(layer["digest"]))
    layer = ociimage.Layer().directory("from-image").file("from-image/seed", "seed\n")
    image.add_layer(layer.finish()).write(shaped)
    return [tools, pause, shaped]
