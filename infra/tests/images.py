"""An image as `./just images` makes it: what is in it, and that it runs as the cluster runs it: as a nameless user, without
capabilities, on a root that cannot be written to. Run by `./just test-images`."""

import collections
import contextlib
import io
import json
import os
import pathlib
import platform
import shutil
import subprocess
import tarfile
import tempfile
import time
import tomllib
import unittest
import urllib.error
import urllib.request
import zlib

from programs import PROJECT, WAIT_SECONDS_MAX, free_port

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
BYTES_MAX = 20 << 20
# What a kubelet gives to a container of the restricted standard; the network is this machine's, so that it can be asked.
NAMESPACES = ["mount", "pid", "ipc", "uts"]

Image = collections.namedtuple("Image", "config layers")


def read(archive):
    """An image from an OCI archive."""
    with tarfile.open(archive) as tar:
        def blob(digest):
            return tar.extractfile("blobs/" + digest.replace(":", "/")).read()
        index = json.load(tar.extractfile("index.json"))
        manifest = json.loads(blob(index["manifests"][0]["digest"]))
        return Image(json.loads(blob(manifest["config"]["digest"])), [blob(layer["digest"]) for layer in manifest["layers"]])


class Encode(unittest.TestCase):
    """The image of `encode`."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="teiten-images-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        subprocess.run(["scripts/images", "--arch", ARCHITECTURE, "--only", "encode", "--save", cls.folder],
                       cwd=PROJECT, check=True)
        cls.image = read(cls.folder / f"encode-{ARCHITECTURE}.tar")
        cls.root = cls.folder / "bundle" / "rootfs"
        for layer in cls.image.layers:
            with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
                tar.extractall(cls.root, filter="fully_trusted")

    def test_it_holds_one_static_program_and_little_else(self):
        files = {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}
        self.assertEqual(files, {"teiten", "etc/ssl/certs/ca-certificates.crt", "licenses/NOTICES"})
        self.assertLessEqual(sum(map(len, self.image.layers)), BYTES_MAX)
        headers = subprocess.run(["readelf", "--program-headers", "--dynamic", self.root / "teiten"],
                                 check=True, capture_output=True, text=True).stdout
        self.assertIn("LOAD", headers)
        self.assertNotIn("INTERP", headers)
        self.assertNotIn("NEEDED", headers)

    def test_it_says_what_it_is(self):
        config = self.image.config["config"]
        self.assertEqual(self.image.config["architecture"], ARCHITECTURE)
        self.assertEqual((config["User"], config["Entrypoint"]), ("65532:65532", ["/teiten"]))
        package = tomllib.loads((PROJECT / "functions/encode/Cargo.toml").read_text())["package"]
        workspace = tomllib.loads((PROJECT / "Cargo.toml").read_text())["workspace"]["package"]
        label = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
        expected = {"title": "teiten-encode", "description": package["description"], "version": workspace["version"],
                    "source": workspace["repository"], "licenses": workspace["license"]}
        self.assertEqual({key: label[key] for key in expected}, expected)
        self.assertRegex(label["revision"], "^([0-9a-f]{40}|unknown)$")
        self.assertRegex(label["created"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")

    def bill(self):
        """What is in the program, by cargo-auditable: JSON, compressed, in a section of its own."""
        section = self.folder / "bill"
        subprocess.run(["objcopy", "--dump-section", f".dep-v0={section}", self.root / "teiten", os.devnull], check=True)
        return json.loads(zlib.decompress(section.read_bytes()))["packages"]

    def test_its_bill_of_materials_names_what_is_locked(self):
        listed = {(package["name"], package["version"]) for package in self.bill()}
        locked = {(package["name"], package["version"])
                  for package in tomllib.loads((PROJECT / "Cargo.lock").read_text())["package"]}
        self.assertLessEqual(listed, locked)
        names = {name for name, _ in listed}
        self.assertLessEqual({"openh264-sys2", "turbojpeg-sys", "ring", "aws-sdk-s3", "teiten-footage"}, names)
        self.assertNotIn("teiten-bridge", names)

    def test_it_trusts_the_public_authorities(self):
        bundle = (self.root / "etc/ssl/certs/ca-certificates.crt").read_text()
        self.assertGreater(bundle.count("BEGIN CERTIFICATE"), 100)

    def test_it_has_the_licences_of_what_is_in_it(self):
        notices = (self.root / "licenses/NOTICES").read_text()
        versions = {crate["name"]: crate["version"] for crate in self.bill()}
        for name in ("openh264-sys2", "turbojpeg-sys", "ring", "aws-sdk-s3"):
            self.assertIn(f"\n  {name} {versions[name]}: ", notices)
        for holder in ("Cisco Systems", "Independent JPEG Group", "Free Software Foundation", "Rust's standard library"):
            self.assertIn(holder, notices)

    @contextlib.contextmanager
    def running(self, environment):
        """The container, as the cluster runs it."""
        config = self.image.config["config"]
        user, group = map(int, config["User"].split(":"))
        variables = {**dict(pair.split("=", 1) for pair in config.get("Env", [])), **environment}
        (self.root / "proc").mkdir(exist_ok=True)
        (self.root / "dev").mkdir(exist_ok=True)
        bundle = {
            "ociVersion": "1.0.2",
            "process": {"user": {"uid": user, "gid": group}, "args": config["Entrypoint"] + config.get("Cmd", []), "cwd": "/",
                        "env": [f"{name}={value}" for name, value in variables.items()],
                        "capabilities": {}, "noNewPrivileges": True},
            "root": {"path": "rootfs", "readonly": True},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                       {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}],
            "linux": {"namespaces": [{"type": kind} for kind in NAMESPACES]},
        }
        (self.root.parent / "config.json").write_text(json.dumps(bundle))
        self.name = f"teiten-images-{os.getpid()}"
        with open(self.folder / "log", "wb") as log:
            process = subprocess.Popen([*self.runc(), "run", "--bundle", self.root.parent, self.name],
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield process
        finally:
            # The program is the container's first process, and ends in order.
            subprocess.run([*self.runc(), "kill", self.name, "TERM"], check=False)
            status = process.wait(WAIT_SECONDS_MAX)
        self.assertEqual(status, 0, (self.folder / "log").read_text())

    def runc(self):
        """The beginning of a command line. Containers without a user namespace are root's to start."""
        return [*([] if os.getuid() == 0 else ["sudo"]), "runc", "--root", self.folder / "runc"]

    def test_it_runs_without_rights_and_answers(self):
        port = free_port()
        environment = {"PORT": str(port), "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "AWS_REGION": "us-east-1",
                       "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
        with self.running(environment) as process:
            self.assertEqual(self.healthz(process, port), 200)
            state = subprocess.run([*self.runc(), "state", self.name], check=True, capture_output=True).stdout
            status = pathlib.Path(f"/proc/{json.loads(state)['pid']}/status").read_text()
            self.assertIn("Uid:\t65532\t65532\t65532\t65532\n", status)
            self.assertIn("CapBnd:\t0000000000000000\n", status)
            self.assertIn("NoNewPrivs:\t1\n", status)

    def healthz(self, process, port):
        """What the container answers, once it does."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=WAIT_SECONDS_MAX) as answer:
                    return answer.status
            except urllib.error.URLError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError((self.folder / "log").read_text()) from error
                time.sleep(0.05)


if __name__ == "__main__":
    unittest.main()
