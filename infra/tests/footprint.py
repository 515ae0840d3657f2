"""What bridge and functions need: CPU and memory while cameras send real footage (768x576, 15/s, windows of a second), and for a
request and a chore each. `./just bench` runs it; the manifests' requests follow from it. CPU is that of the processes alone, so it does
not depend on what else the machine does."""

import argparse
import contextlib
import http.client
import json
import os
import pathlib
import subprocess
import tempfile
import time
import urllib.request

from programs import MOSQUITTO, PROJECT, free_port

FUNCTIONS = ["encode", "playlist", "pictures", "reconcile", "compact", "playback", "clip", "link", "dead-letters"]
TOKEN = "0123456789abcdef0123456789abcdef"
TICKS = os.sysconf("SC_CLK_TCK")
PING = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/bench", "ce-type": "dev.knative.sources.ping",
        "content-type": "application/json"}


class Pipeline:
    """All parts as processes."""

    def __init__(self, folder, programs, stack):
        self.folder, self.programs, self.stack, self.processes = folder, programs, stack, {}
        self.ports = {name: free_port() for name in ["mqtt", "store", "router", *FUNCTIONS]}
        self.environment = {
            **os.environ, "RUST_LOG": "warn", "AWS_ENDPOINT_URL_S3": self.url("store"), "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret", "TEITEN_LINK_TOKEN": TOKEN, "K_SINK": self.url("router")}
        config = folder / "mosquitto.conf"
        config.write_text(f"listener {self.ports['mqtt']} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 2000\n"
                          "max_queued_messages 0\nmax_queued_bytes 268435456\n")
        self.start("mosquitto", MOSQUITTO, "-c", config)
        self.start("store", programs / "teiten-s3", "--dir", folder / "bucket", "--listen", f"127.0.0.1:{self.ports['store']}", "--private")
        triggers = {"teiten.batch.stored": "encode", "teiten.segment.stored": "playlist", "teiten.window.missed": "playlist"}
        self.start("router", programs / "teiten-router", "--listen", f"127.0.0.1:{self.ports['router']}",
                   *(f"--trigger={kind}={self.url(name)}" for kind, name in triggers.items()))
        for name in FUNCTIONS:
            self.start(name, programs / f"teiten-{name}", PORT=str(self.ports[name]))
        for name in FUNCTIONS:
            self.answer(name, "healthz")
        self.start("bridge", programs / "teiten-bridge", "--mqtt", f"127.0.0.1:{self.ports['mqtt']}", "--replica", "bridge-0")

    def url(self, name):
        """Where a part listens."""
        return f"http://127.0.0.1:{self.ports[name]}/"

    def start(self, name, *command, **environment):
        """Starts a part, which ends with this program."""
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen([str(word) for word in command], env={**self.environment, **environment}, stdout=log, stderr=log)
        self.stack.callback(process.kill)
        self.processes[name] = process

    def camera(self, name, footage):
        """Starts a camera."""
        spool = self.folder / "spool"
        (spool / name).mkdir(parents=True)
        config = self.folder / f"{name}.toml"
        config.write_text(f'camera = "{name}"\n[broker]\nhost = "127.0.0.1"\nport = {self.ports["mqtt"]}\n'
                          f'[source]\nkind = "footage"\npath = "{footage}"\nrate = 15.0\nrepeat = true\n'
                          f'[spool]\nkind = "directory"\npath = "{spool}"\n')
        self.start(name, self.programs / "teiten-agent", "--config", config)

    def answer(self, name, path="", body=None):
        """What a function answers, once it listens."""
        headers = PING if body is not None else {"Authorization": f"Bearer {TOKEN}"}
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(urllib.request.Request(self.url(name) + path, body, headers)) as answer:
                    return answer.read()
            except (ConnectionError, urllib.error.URLError, http.client.HTTPException) as error:
                if isinstance(error, urllib.error.HTTPError) or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def seconds(self, name):
        """The CPU time that a part has taken."""
        stat = pathlib.Path(f"/proc/{self.processes[name].pid}/stat").read_text(encoding="ascii")
        user, system = stat.rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / TICKS

    def peak(self, name):
        """The most memory that a part has had, in MiB."""
        status = pathlib.Path(f"/proc/{self.processes[name].pid}/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main():
    """Measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--profile", default="release")
    options = parser.parse_args()
    footage = PROJECT / subprocess.run([PROJECT / "scripts" / "footage"], cwd=PROJECT, check=True, capture_output=True,
                                       text=True).stdout.strip()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        pipeline = Pipeline(pathlib.Path(folder), PROJECT / "target" / options.profile, stack)
        for number in range(options.cameras):
            pipeline.camera(f"camera-{number}", footage)
        time.sleep(10)
        parts = ["bridge", *FUNCTIONS]
        before, begun = {name: pipeline.seconds(name) for name in parts}, time.time()
        while time.time() < begun + options.seconds:
            time.sleep(20)
            for chore in ("pictures", "reconcile", "compact"):
                json.loads(pipeline.answer(chore, body=b"{}"))
        took = time.time() - begun
        for name in parts:
            millicores = 1000 * (pipeline.seconds(name) - before[name]) / took
            print(f"{name:12} {millicores / options.cameras:6.1f} millicores a camera, {pipeline.peak(name):6.1f} MiB at most")
        times = [time.strftime("%FT%TZ", time.gmtime(at)) for at in (begun, begun + took)]
        for name, extension in (("playback", "m3u8"), ("clip", "mp4")):
            size = len(pipeline.answer(name, f"camera-0.{extension}?from={times[0]}&to={times[1]}"))
            print(f"{name:12} {took:.0f} s of footage: {size} bytes, {pipeline.peak(name):.1f} MiB at most")


if __name__ == "__main__":
    main()
