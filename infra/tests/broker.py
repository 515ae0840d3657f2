"""Real Mosquitto with the shipped configuration and ACL: who gets in, and who may say and hear what. And with the configuration of
docs/cameras.md, which owners of cameras copy. Run by `./just test`."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from programs import MOSQUITTO, PROGRAMS, PROJECT, free_port

SHIPPED = PROJECT / "infra" / "base" / "broker"
WAIT_SECONDS_MAX = 20


def run(*command, **options):
    """Runs a command and returns it."""
    options.setdefault("timeout", WAIT_SECONDS_MAX)
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)


def must(*command):
    """Runs a command that must succeed."""
    done = run(*command)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.stderr}")


def heard(subscribe, say):
    """What `subscribe`, a command line of mosquitto_sub, hears: whether it is retained, its topic and its payload, in order. What is said to
    it once it listens is what `say` does; `the end` is its last word, before which all else has come."""
    # Lines are wanted as they come; a pipe would have them in blocks.
    command = ["stdbuf", "-oL", *subscribe, "-q", "1", "-d", "-W", str(WAIT_SECONDS_MAX), "-F", "heard %r %t %p"]
    with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            for line in process.stdout:
                if line.startswith("Subscribed") or "SUBACK" in line:
                    break
            say()
            found = []
            for line in process.stdout:
                if line.startswith("heard "):
                    _, retained, topic, payload = line.rstrip("\n").split(" ", 3)
                    if payload == "the end":
                        return found
                    found.append((retained == "1", topic, payload))
            raise AssertionError(f"{subscribe} was cut off")
        finally:
            process.kill()


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        must("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-subj", f"/CN={name}", "-days", "2", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt")

    def issue(self, name, file=None):
        """A certificate for `name`; returns the files of certificate and key."""
        file = file or name
        certificate, key = self.folder / f"{file}.crt", self.folder / f"{file}.key"
        request, extension = self.folder / f"{file}.csr", self.folder / f"{file}.ext"
        extension.write_text("subjectAltName=DNS:localhost\n")
        must("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        must("openssl", "x509", "-req", "-in", request, "-CA", self.folder / f"{self.name}.crt",
             "-CAkey", self.folder / f"{self.name}.key", "-CAcreateserial", "-days", "2", "-extfile", extension,
             "-out", certificate)
        return certificate, key


    def revoke(self, *certificates):
        """The list of these certificates as revoked."""
        index, settings = self.folder / "index", self.folder / "ca.conf"
        index.write_text("")
        settings.write_text(f"[ca]\ndefault_ca = ours\n[ours]\ndatabase = {index}\ndefault_md = sha256\n"
                            f"certificate = {self.folder / self.name}.crt\nprivate_key = {self.folder / self.name}.key\n")
        for certificate in certificates:
            must("openssl", "ca", "-config", settings, "-revoke", certificate)
        must("openssl", "ca", "-config", settings, "-gencrl", "-crldays", "2", "-out", self.folder / "revoked.pem")


class Mosquitto:
    """A broker, which listens."""

    def __init__(self, folder, port, config):
        (folder / "mosquitto.conf").write_text(config)
        log = folder / "log"
        with open(log, "wb") as file:
            self.process = subprocess.Popen([MOSQUITTO, "-c", folder / "mosquitto.conf"], stdout=file, stderr=subprocess.STDOUT)
        until = time.monotonic() + WAIT_SECONDS_MAX
        while time.monotonic() < until and self.process.poll() is None:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        self.stop()
        raise AssertionError(f"Mosquitto does not listen:\n{log.read_text()}")

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Broker(unittest.TestCase):
    """Mosquitto as the cluster runs it, but for paths and port."""

    @classmethod
    def setUpClass(cls):
        # Mosquitto that is started by root becomes `mosquitto`: it must be able to read what is here.
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="teiten-broker-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.folder.chmod(0o755)
        authority = Authority(cls.folder, "ca")
        authority.issue("localhost", "tls")
        cls.identities = {name: authority.issue(name)
                          for name in ("front-door", "garden", "bridge.teiten", "owner.teiten")}
        cls.identities["stolen"] = authority.issue("front-door", "stolen")
        authority.revoke(cls.identities["stolen"][0])
        cls.identities["stranger"] = Authority(cls.folder, "another-ca").issue("front-door", "stranger")
        for file in cls.folder.iterdir():
            file.chmod(0o644)
        shutil.copy(SHIPPED / "acl", cls.folder / "acl")
        cls.port = free_port()
        shipped = (SHIPPED / "mosquitto.conf").read_text()
        assert "listener 8883\n" in shipped
        config = (shipped.replace("/mosquitto/tls", str(cls.folder)).replace("/mosquitto/config", str(cls.folder))
                  .replace("/mosquitto/revoked", str(cls.folder))
                  .replace("listener 8883\n", f"listener {cls.port} 127.0.0.1\n"))
        cls.mosquitto = Mosquitto(cls.folder, cls.port, config)
        cls.addClassCleanup(cls.mosquitto.stop)

    def client(self, program, who):
        """The beginning of a command line of mosquitto_pub or mosquitto_sub."""
        command = [program, "-h", "localhost", "-p", str(self.port), "--cafile", str(self.folder / "ca.crt")]
        if who is not None:
            certificate, key = self.identities[who]
            command += ["--cert", str(certificate), "--key", str(key)]
        return command

    def publish(self, who, topic, payload="x", *options):
        return run(*self.client("mosquitto_pub", who), "-q", "1", "-t", topic, "-m", payload, *options)

    def heard(self, listener, listen, said):
        """Which topics `listener` hears of those that `said` (who, topic) publishes, in order, when it asks for `listen`.

        The last word is the owner's, on a topic that everyone here may hear: what came before it was refused, not late."""
        last = "teiten/garden/control" if listener != "front-door" else "teiten/front-door/control"
        options = [option for topic in sorted({listen, last}) for option in ("-t", topic)]

        def say():
            for who, topic in said:
                self.publish(who, topic)
            self.publish("owner.teiten", last, "the end")

        return [topic for _, topic, _ in heard(self.client("mosquitto_sub", listener) + options, say)]

    def test_a_camera_is_heard_below_its_own_name_and_nowhere_else(self):
        leaves = ["frame", "status", "telemetry", "mistakes", "event", "preview", "snapshot", "control-reply", "video"]
        own = [("front-door", f"teiten/front-door/{leaf}") for leaf in leaves]
        others = [("front-door", f"teiten/garden/{leaf}") for leaf in leaves]
        forged = [("front-door", topic) for topic in (
            "teiten/front-door/stored", "teiten/front-door/control", "teiten/garden/stored", "teiten/garden/control",
            "teiten/front-door/anything", "teiten-bridge/hello", "teiten-bridge/bridge-0/status")]
        self.assertEqual(self.heard("owner.teiten", "teiten/#", others + forged + own), [topic for _, topic in own])

    def test_a_camera_announces_itself_to_home_assistant_and_no_other_camera(self):
        own, other = (f"homeassistant/device/teiten-{name}/config" for name in ("front-door", "garden"))
        said = [("front-door", other), ("front-door", own)]
        self.assertEqual(self.heard("owner.teiten", "homeassistant/#", said), [own])

    def test_a_camera_hears_what_is_said_to_it_and_nothing_else(self):
        said = [("garden", "teiten/garden/frame"), ("owner.teiten", "teiten/garden/control"),
                ("bridge.teiten", "teiten/garden/stored"), ("front-door", "teiten/front-door/frame"),
                ("bridge.teiten", "teiten/front-door/stored")]
        self.assertEqual(self.heard("front-door", "teiten/#", said), ["teiten/front-door/stored"])
        self.assertEqual(self.heard("front-door", "teiten-bridge/hello", [("bridge.teiten", "teiten-bridge/hello")]),
                         ["teiten-bridge/hello"])

    def test_no_camera_speaks_as_the_bridge(self):
        said = [("front-door", "teiten-bridge/hello"), ("bridge.teiten", "teiten-bridge/hello")]
        self.assertEqual(self.heard("front-door", "teiten-bridge/hello", said), ["teiten-bridge/hello"])
        status = "teiten-bridge/bridge-0/status"
        said = [("front-door", status), ("garden", status), ("bridge.teiten", status)]
        self.assertEqual(self.heard("owner.teiten", "teiten-bridge/+/status", said), [status])
        self.assertEqual(self.heard("front-door", "teiten-bridge/+/status", said), [])

    def test_who_has_no_certificate_of_the_authority_or_one_that_it_has_revoked_does_not_get_in(self):
        for who in (None, "stranger", "stolen"):
            with self.subTest(who=who):
                self.assertNotEqual(self.publish(who, "teiten/front-door/frame").returncode, 0)
        self.assertEqual(self.publish("front-door", "teiten/front-door/frame").returncode, 0)

    def test_a_name_that_a_client_gives_itself_counts_for_nothing(self):
        command = self.client("mosquitto_pub", "front-door") + ["-u", "garden", "-P", "x", "-i", "garden"]
        run(*command, "-q", "1", "-r", "-t", "teiten/garden/status", "-m", "offline")
        self.assertEqual(self.heard("owner.teiten", "teiten/garden/status", []), [])

    def test_the_owner_clears_the_status_of_a_camera_that_is_gone_and_says_nothing_else_for_it(self):
        status = "teiten/front-door/status"
        self.publish("front-door", status, "offline", "-r")
        self.assertEqual(self.heard("owner.teiten", status, []), [status])
        clear = ("-q", "1", "-r", "-n", "-t", status)
        run(*self.client("mosquitto_pub", "garden"), *clear)
        self.assertEqual(self.heard("owner.teiten", status, []), [status], "another camera")
        run(*self.client("mosquitto_pub", "owner.teiten"), *clear)
        self.assertEqual(self.heard("owner.teiten", status, []), [])
        leaves = ["frame", "video", "telemetry", "mistakes", "event", "control-reply", "preview", "snapshot", "stored"]
        said = [("owner.teiten", f"teiten/garden/{leaf}") for leaf in leaves]
        said += [("owner.teiten", topic) for topic in ("teiten-bridge/hello", "teiten-bridge/bridge-0/status")]
        self.assertEqual(self.heard("owner.teiten", "teiten/#", said), [])
        self.assertEqual(self.heard("owner.teiten", "teiten-bridge/#", said), [])

    def is_there(self):
        """Whether the broker passes the kubelet's probes, which ask the same."""
        text = (SHIPPED / "broker.yaml").read_text()
        self.assertEqual((text.count("Probe:"), text.count("exec: &listens\n"), text.count("exec: *listens\n")), (2, 1, 1))
        (command,) = re.findall(r"- sh\n +- -c\n +- >-\n((?:.*\n)+?) +periodSeconds", text)
        self.assertEqual(command.count(f":{8883:04X} "), 2)
        return run("sh", "-c", " ".join(command.replace(f":{8883:04X} ", f":{self.port:04X} ").split("\n"))).returncode == 0

    def logged(self, name):
        """The broker's log, once a client of this name has come and gone."""
        self.assertEqual(self.publish("garden", "teiten/garden/status", "online", "-i", name).returncode, 0)
        until = time.monotonic() + WAIT_SECONDS_MAX
        while f"Client {name} disconnected" not in (log := (self.folder / "log").read_text()):
            self.assertLess(time.monotonic(), until, log)
            time.sleep(0.02)
        return log

    def test_what_looks_whether_the_broker_is_there_leaves_nothing_in_its_log(self):
        before = self.logged("before")
        self.assertTrue(self.is_there())
        after = self.logged("after").removeprefix(before)
        self.assertEqual([line for line in after.splitlines() if "after" not in line and "New connection" not in line], [])
        self.assertEqual(after.count("New connection"), 1)

    def test_a_broker_that_takes_no_connections_any_more_is_found_out(self):
        self.mosquitto.process.send_signal(signal.SIGSTOP)
        waiting = [socket.socket() for _ in range(80)]
        try:
            for client in waiting:
                client.connect(("127.0.0.1", self.port))
            self.assertFalse(self.is_there())
        finally:
            for client in waiting:
                client.close()
            self.mosquitto.process.send_signal(signal.SIGCONT)
        self.logged("again")
        self.assertTrue(self.is_there())

    def test_plain_text_is_not_spoken(self):
        done = run("mosquitto_pub", "-h", "localhost", "-p", self.port, "-t", "teiten/front-door/frame", "-m", "x")
        self.assertNotEqual(done.returncode, 0)


class Manual(unittest.TestCase):
    """Mosquitto as docs/cameras.md has owners of cameras set it up, but for paths and port."""

    def test_mosquitto_that_is_set_up_by_the_manual_takes_a_camera_that_was_added(self):
        # Mosquitto that root starts becomes `mosquitto`, as Debian's service does. Who is not root remains who he is.
        folder = pathlib.Path(tempfile.mkdtemp(prefix="teiten-broker-"))
        self.addCleanup(shutil.rmtree, folder)
        folder.chmod(0o755)
        (folder / "infra").symlink_to(PROJECT / "infra")
        must(PROGRAMS / "teiten-owner", "--folder", folder / "cameras", "camera", "add", "front-door", "--broker", "localhost", "--wifi", "")
        blocks = [re.sub("^    ", "", block, flags=re.M).replace("/etc/mosquitto", str(folder))
                  for block in re.findall(r"\n\n((?:    .*\n)+)", (PROJECT / "docs/cameras.md").read_text())]
        (install,) = (block for block in blocks if "install -o mosquitto" in block)
        install = install.replace("sudo ", "")
        if os.geteuid() != 0:
            install = install.replace("-o mosquitto ", "")
        must("bash", "-euc", f"cd '{folder}'\n{install}")
        (settings,) = (block for block in blocks if block.startswith("listener "))
        port = free_port()
        self.addCleanup(Mosquitto(folder, port, settings.replace("8883", f"{port} 127.0.0.1")).stop)
        card = folder / "cameras" / "front-door"
        must("mosquitto_pub", "-h", "localhost", "-p", port, "--cafile", card / "ca.pem", "--cert", card / "certificate.pem",
             "--key", card / "key.pem", "-q", "1", "-t", "teiten/front-door/frame", "-m", "x")
        self.assertIn(f"crlfile {folder}/teiten/revoked.pem\n", settings)

        limits = re.findall("^(?:max_|message_size_limit).*", settings, re.M)
        self.assertEqual(len(limits), 5)
        self.assertLessEqual(set(limits), set((SHIPPED / "mosquitto.conf").read_text().splitlines()))


if __name__ == "__main__":
    unittest.main()
