"""Bridges that are away or hang, and Mosquitto with the shipped configuration, over TLS.

Away, with real cameras (agents) and a real bridge: what cannot be stored waits in the cameras, not in the broker, and nothing is
lost. Run by `./just test`, with a bridge that is away for a quarter of a minute; by hand for as long as you like:
TEITEN_OUTAGE_SECONDS=600 python3 infra/tests/outage.py"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import broker
from lambda_functions import KEYS, Server
from programs import MOSQUITTO, PROGRAMS, WAIT_SECONDS_MAX, free_port

CAMERAS = ("front-door", "garden", "yard")
# How long the bridge is away, and how many pictures each camera takes meanwhile, ten a second.
OUTAGE_SECONDS = int(os.environ.get("TEITEN_OUTAGE_SECONDS", "15"))
PICTURES = 10 * OUTAGE_SECONDS
# A minute of these pictures has about 30 MiB.
SPOOL_MIB = max(128, OUTAGE_SECONDS)
PATIENCE_SECONDS = WAIT_SECONDS_MAX + 4 * OUTAGE_SECONDS


class Installation(unittest.TestCase):
    """A broker, and certificates for who comes to it."""

    def setUp(self):
        # Mosquitto that root starts becomes another user, who must come in here.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="teiten-outage-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.folder.chmod(0o755)
        authority = broker.Authority(self.folder, "ca")
        authority.issue("localhost", "tls")
        self.identities = {name: authority.issue(name) for name in (*CAMERAS, "bridge.teiten", "owner.teiten")}
        authority.revoke()
        for file in self.folder.iterdir():
            file.chmod(0o644)
        self.port = free_port()

    def start(self, name, *command, **environment):
        """Starts a program, which ends with the test at the latest."""
        log = open(self.folder / f"{name}.log", "ab")
        self.addCleanup(log.close)
        process = subprocess.Popen([str(word) for word in command], env={**os.environ, **environment},
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def start_mosquitto(self):
        """The shipped configuration but for paths and port."""
        shipped = (broker.SHIPPED / "mosquitto.conf").read_text()
        config = (shipped.replace("/mosquitto/tls", str(self.folder)).replace("/mosquitto/config", str(self.folder))
                  .replace("/mosquitto/revoked", str(self.folder))
                  .replace("listener 8883\n", f"listener {self.port} 127.0.0.1\n"))
        (self.folder / "mosquitto.conf").write_text(config)
        shutil.copy(broker.SHIPPED / "acl", self.folder / "acl")
        mosquitto = self.start("mosquitto", MOSQUITTO, "-c", self.folder / "mosquitto.conf")
        listening(self.port)
        return mosquitto

    def client(self, program, who, *options):
        """The command line of one of Mosquitto's own clients."""
        certificate, key = self.identities[who]
        return [str(word) for word in (program, "-h", "localhost", "-p", self.port, "--cafile", self.folder / "ca.crt",
                                       "--cert", certificate, "--key", key, *options)]


class Outage(Installation):
    """Three cameras of 720p, ten pictures a second."""

    def setUp(self):
        super().setUp()
        self.telemetry, self.changed = {}, threading.Condition()

    def start_bridge(self):
        """The bridge."""
        certificate, key = self.identities["bridge.teiten"]
        return self.start("bridge", PROGRAMS / "teiten-bridge", **self.store, K_SINK=f"http://{self.sink.address}/",
                          TEITEN_MQTT=f"localhost:{self.port}", TEITEN_MQTT_CA=str(self.folder / "ca.crt"),
                          TEITEN_MQTT_CERTIFICATE=str(certificate), TEITEN_MQTT_KEY=str(key))

    def start_camera(self, name):
        """An agent."""
        certificate, key = self.identities[name]
        settings = self.folder / f"{name}.toml"
        settings.write_text(f'camera = "{name}"\n[broker]\nhost = "localhost"\nport = {self.port}\nca = "{self.folder}/ca.crt"\n'
                            f'certificate = "{certificate}"\nkey = "{key}"\n[source]\nkind = "pattern"\nwidth = 1280\nheight = 720\n'
                            f'rate = 10\n[spool]\nkind = "memory"\nmebibytes_max = {SPOOL_MIB}\n')
        self.start(name, PROGRAMS / "teiten-agent", "--config", settings)

    def listen(self):
        """Keeps what cameras say of themselves."""
        command = ["stdbuf", "-oL"] + self.client("mosquitto_sub", "owner.teiten", "-t", "teiten/+/telemetry", "-F", "%t %p")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

        def read():
            for line in process.stdout:
                topic, payload = line.split(" ", 1)
                with self.changed:
                    self.telemetry[topic.split("/")[1]] = json.loads(payload)
                    self.changed.notify_all()

        threading.Thread(target=read, daemon=True).start()

    def until(self, what, condition):
        """Awaits that a condition holds of every camera's telemetry."""
        with self.changed:
            reached = self.changed.wait_for(
                lambda: all(name in self.telemetry and condition(name, self.telemetry[name]) for name in CAMERAS), PATIENCE_SECONDS)
            self.assertTrue(reached, f"{what}: {self.telemetry}")
            return json.loads(json.dumps(self.telemetry))

    def test_what_cannot_be_stored_waits_in_the_cameras_and_nothing_is_lost(self):
        mosquitto = self.start_mosquitto()
        address = f"127.0.0.1:{free_port()}"
        self.store = {**KEYS, "AWS_ENDPOINT_URL_S3": f"http://{address}"}
        self.start("store", PROGRAMS / "teiten-s3", "--dir", self.folder / "bucket", "--listen", address, **KEYS)
        self.sink = Server(lambda *_: (202, {}, b""))
        self.addCleanup(self.sink.close)
        self.listen()
        bridge = self.start_bridge()
        for name in CAMERAS:
            self.start_camera(name)
        before = self.until("all is well", lambda _, said: said["frames"]["stored"] > 20)

        status = pathlib.Path(f"/proc/{mosquitto.pid}/status")
        pathlib.Path(f"/proc/{mosquitto.pid}/clear_refs").write_text("5")
        usual = memory(status, "VmRSS")
        bridge.kill()
        bridge.wait()
        away = self.until("the bridge is away", lambda name, said:
                          said["frames"]["captured"] >= before[name]["frames"]["captured"] + PICTURES)
        kept = sum(said["spool"]["bytes"] for said in away.values())
        during = memory(status, "VmHWM") - usual
        self.start_bridge()
        after = self.until("all is made good", lambda name, said:
                           said["frames"]["stored"] >= away[name]["frames"]["captured"])
        caught_up = memory(status, "VmHWM") - usual
        pictures = sum(away[name]["frames"]["captured"] - before[name]["frames"]["captured"] for name in CAMERAS)
        print(f"{pictures} pictures while the bridge was away: the cameras kept {kept >> 20} MiB; Mosquitto grew by {during >> 10} KiB while the bridge was away, "
              f"by {caught_up >> 10} KiB at most until all was stored")
        for name, said in after.items():
            self.assertFalse(any(said["frames"]["dropped"].values()), f"{name}: {said}")
        self.assertGreater(kept, 8 << 20, "too little for a test")
        self.assertLess(during, kept / 4)
        self.assertLess(caught_up, kept)


class Hanging(Installation):
    """Bridges that hang beside one that does not, as far as the broker sees them."""

    # More than may be in flight and queued for one who listens, and half as much again.
    PICTURE_BYTES, PICTURES_AT_A_TIME, TIMES = 200_000, 100, 7
    # The broker's pod may have 512 MiB.
    MEMORY_MAX = 400 << 20

    def bridge(self):
        """Hears frames as a bridge does, and tells a line of each."""
        options = ("-q", "1", "-t", "teiten/+/frame", "-d", "-F", "heard %l")
        command = ["stdbuf", "-oL"] + self.client("mosquitto_sub", "bridge.teiten", *options)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.hears(process, "Subscribed", 1)
        return process

    def hears(self, bridge, begin, count):
        """Awaits so many lines that begin like this."""
        for line in bridge.stdout:
            count -= line.startswith(begin)
            if count == 0:
                return
        self.fail("it was cut off")

    def test_bridges_that_hang_cost_the_broker_less_memory_than_it_has_and_another_one_no_picture(self):
        mosquitto = self.start_mosquitto()
        for _ in range(3):
            self.bridge().send_signal(signal.SIGSTOP)
        well = self.bridge()
        picture = self.folder / "picture"
        picture.write_bytes(os.urandom(self.PICTURE_BYTES))
        send = self.client("mosquitto_pub", "garden", "-q", "1", "-t", "teiten/garden/frame", "-f", picture,
                           "--repeat", self.PICTURES_AT_A_TIME)
        for _ in range(self.TIMES):
            subprocess.run(send, check=True, timeout=PATIENCE_SECONDS)
            self.hears(well, f"heard {self.PICTURE_BYTES}", self.PICTURES_AT_A_TIME)
        most = memory(pathlib.Path(f"/proc/{mosquitto.pid}/status"), "VmHWM")
        print(f"{self.TIMES * self.PICTURES_AT_A_TIME} pictures beside three bridges that hang: Mosquitto had {most >> 20} MiB")
        self.assertLess(most, self.MEMORY_MAX)


def listening(port):
    """Awaits that somebody listens."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def memory(status, field):
    """A process's memory in bytes."""
    line = next(line for line in status.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) << 10


if __name__ == "__main__":
    unittest.main()
