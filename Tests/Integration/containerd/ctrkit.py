"""`ctr` with one runtime, and containerd's task service where `ctr` has no word for what is tested."""

import fcntl
import itertools
import json
import os
import pty
import select
import struct
import subprocess
import termios
import threading
import time

from imagekit import TOOLS
from streams import Streams, converse, held

RESOURCES = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources"
counter = itertools.count(1)


class Ctr:
    def __init__(self, daemon, runtime, namespace):
        self.daemon, self.runtime, self.namespace = daemon, runtime, namespace
        self.tasks = daemon.service("containerd.services.tasks.v1.Tasks", namespace)
        self.containers = daemon.service("containerd.services.containers.v1.Containers", namespace)
        self.snapshots = daemon.service("containerd.services.snapshots.v1.Snapshots", namespace)
        self.started, self.running = [], []

    def __call__(self, *words, **options):
        return self.daemon.ctr(*words, namespace=self.namespace, **options)

    def words(self, *command, flags=(), id=None, image=TOOLS):
        """A `ctr run` and the container's id. `command` is run by `sh -c` if it is one word."""
        id = id or f"t{next(counter)}"
        if len(command) == 1:
            command = ["sh", "-c", *command]
        return self.daemon.ctr_words(
            "run", "--runtime", self.runtime, "--fifo-dir", self.daemon.directory / "fifo", *flags,
            *([image] if image else []), id, *command, namespace=self.namespace), id

    def run(self, *command, flags=(), check=0, id=None, image=TOOLS, input=b"", is_held=False):
        """`ctr run --rm` to its end; returns what subprocess.run does. A script, or what `is_held`, stays until its output has
        been read, and its input has no end."""
        if len(command) == 1:
            command, is_held = held(*command), True
        words, id = self.words(*command, flags=["--rm", *flags], id=id, image=image)
        process = subprocess.Popen(words, stdin=subprocess.PIPE if is_held else subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=self.daemon.environment)
        try:
            if is_held:
                outputs = converse(process, input)
            else:
                outputs = process.communicate(timeout=90)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        result = subprocess.CompletedProcess(words, process.returncode, *outputs)
        if check is not None:
            assert result.returncode == check, (words, result.returncode, result.stdout, result.stderr)
        return result

    def run_to_the_end(self, script):
        """The exit code and the output of a container that does not wait for its reader."""
        id = f"t{next(counter)}"
        self("containers", "create", "--runtime", self.runtime, "--", TOOLS, id, "sh", "-c", script)
        self.started.append(id)
        container = self.containers.Get(id=id).container
        mounts = self.snapshots.Mounts(snapshotter=container.snapshotter, key=container.snapshot_key).mounts
        with Streams(self.daemon) as streams:
            self.tasks.Create(container_id=id, rootfs=mounts, **streams.paths)
            self.tasks.Start(container_id=id)
            code = self.tasks.Wait(container_id=id).exit_status
            self.tasks.Delete(container_id=id)
            return code, *streams.outputs()

    def sh(self, script, **options):
        """The output of a script in a container of its own, as text."""
        return self.run(script, **options).stdout.decode()

    def task(self, *command, flags=(), id=None, image=TOOLS):
        """A container that stays: `ctr run --detach --null-io`."""
        words, id = self.words(*command, flags=["--detach", "--null-io", *flags], id=id, image=image)
        self.started.append(id)
        result = subprocess.run(words, capture_output=True, timeout=90, env=self.daemon.environment)
        assert result.returncode == 0, (words, result.stderr)
        return Task(self, id)

    def open(self, *command, flags=(), id=None, image=TOOLS, **options):
        """`ctr run --rm` in the background; returns the process and the id."""
        words, id = self.words(*command, flags=["--rm", *flags], id=id, image=image)
        self.started.append(id)
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                   "env": self.daemon.environment} | options
        self.running.append(subprocess.Popen(words, **options))
        return self.running[-1], id

    def clean_up(self):
        for process in self.running:
            process.kill()
            process.wait()
        for id in self.started:
            self("tasks", "rm", "-f", id, check=None)
            self("containers", "rm", id, check=None)


class Task:
    """A task that was started, by containerd's task service."""

    def __init__(self, ctr, id):
        self.ctr, self.id, self.tasks = ctr, id, ctr.tasks

    def status(self):
        process = self.tasks.Get(container_id=self.id).process
        return process.DESCRIPTOR.fields_by_name["status"].enum_type.values_by_number[process.status].name

    def ctr_exec(self, *command, check=0, **options):
        """`ctr tasks exec`, which may lose output; see `streams`."""
        if len(command) == 1:
            command = ["sh", "-c", *command]
        return self.ctr("tasks", "exec", "--exec-id", f"e{next(counter)}", "--fifo-dir",
                        self.ctr.daemon.directory / "fifo", self.id, *command, check=check, timeout=120, **options)

    def exec(self, script, check=0, input=None, **process):
        """What `ctr tasks exec` does, with all of the output; returns what subprocess.run does. `process` goes into the
        specification."""
        own = json.loads(self.ctr.containers.Get(id=self.id).container.spec.value)["process"]
        spec = json.dumps(own | {"terminal": False, "args": ["sh", "-c", script]} | process).encode()
        names = {"container_id": self.id, "exec_id": f"e{next(counter)}"}
        with Streams(self.ctr.daemon, has_input=input is not None) as streams:
            self.tasks.Exec(**names, **streams.paths, spec={
                "type_url": "types.containerd.io/opencontainers/runtime-spec/1/Process", "value": spec})
            try:
                self.tasks.Start(**names)
                if input is not None:
                    streams.write(input)
                    self.tasks.CloseIO(**names, stdin=True)
                code = self.tasks.Wait(**names).exit_status
            finally:
                self.tasks.DeleteProcess(**names)
            result = subprocess.CompletedProcess(script, code, *streams.outputs())
        if check is not None:
            assert result.returncode == check, result
        return result

    def sh(self, script):
        return self.exec(script).stdout.decode()

    def kill(self, signal, **more):
        self.tasks.Kill(container_id=self.id, signal=signal, **more)

    def wait(self, seconds=60):
        """Its exit code."""
        return self.tasks.Wait(container_id=self.id, _timeout=seconds).exit_status

    def update(self, **resources):
        self.tasks.Update(container_id=self.id,
                          resources={"type_url": RESOURCES, "value": json.dumps(resources).encode()})

    def metrics(self):
        metric, = self.tasks.Metrics(filters=[f"id=={self.id}"]).metrics
        return self.ctr.daemon.messages.unpack(metric.data)


class Events:
    """containerd's events from now on, as pairs of topic and message."""

    def __init__(self, daemon, namespace):
        self.daemon, self.seen, self.changed = daemon, [], threading.Condition()
        service = daemon.service("containerd.services.events.v1.Events", namespace)
        self.stream = service.Subscribe(filters=[f"namespace=={namespace},topic~=/tasks/"])
        threading.Thread(target=self.read, daemon=True).start()
        # Nothing says when a subscription has begun, but an event of one's own.
        sign = daemon.messages("containerd.events.TaskStart")(container_id="subscribed").SerializeToString()
        while "start" not in self.topics("subscribed"):
            service.Publish(topic="/tasks/start", event={"type_url": "containerd.events.TaskStart", "value": sign})
            time.sleep(0.02)

    def read(self):
        try:
            for envelope in self.stream:
                message = self.daemon.messages.unpack(envelope.event)
                with self.changed:
                    self.seen.append((envelope.topic, message))
                    self.changed.notify_all()
        except Exception:  # The end of the subscription.
            pass

    def topics(self, id):
        with self.changed:
            return [topic.removeprefix("/tasks/") for topic, message in self.seen if message.container_id == id]

    def wait(self, topic, id, seconds=60, **fields):
        """The first event of the topic about a container whose fields have these values."""
        def find():
            return next((message for name, message in self.seen if name == "/tasks/" + topic
                         and message.container_id == id
                         and all(getattr(message, key) == value for key, value in fields.items())), None)
        with self.changed:
            assert self.changed.wait_for(find, seconds), f"no {topic} of {id}; had {self.seen}"
            return find()

    def close(self):
        self.stream.cancel()


def resize(descriptor, rows, columns):
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, words, environment, rows=24, columns=80):
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            try:
                resize(0, rows, columns)
                os.execvpe(words[0], words, environment)
            finally:
                os._exit(127)
        self.seen = b""

    def write(self, text):
        os.write(self.descriptor, text)

    def expect(self, text, seconds=60):
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            ready, _, _ = select.select([self.descriptor], [], [], max(0, deadline - time.monotonic()))
            assert ready, (text, self.seen)
            try:
                self.seen += os.read(self.descriptor, 65536)
            except OSError:
                raise AssertionError((text, self.seen)) from None
        before, _, self.seen = self.seen.partition(text)
        return before

    def wait(self, seconds=60):
        """The command's exit code."""
        deadline = time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([self.descriptor], [], [], 0.1)
            try:
                if ready and not os.read(self.descriptor, 65536):
                    break
            except OSError:
                break
            assert time.monotonic() < deadline
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.descriptor)
        return code
