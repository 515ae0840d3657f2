"""`./just deploy`, `status` and `undeploy` from beginning to end: the real kubectl and the real parts (Mosquitto, bridge, functions,
store), but no Kubernetes: in its place are a stand-in of its API server (api_server.py) and this file, which starts the programs that
are to run and says that they are ready. What a real cluster does with the manifests is not seen here. Run by `./just test`."""

import base64
import copy
import http.server
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import textwrap
import threading
import time
import unittest
import urllib.error
import urllib.request

import broker
from api_server import KINDS, KNATIVE, ApiServer
from programs import MOSQUITTO, PROGRAMS, PROJECT, WAIT_SECONDS_MAX, free_port

SHIPPED = PROJECT / "infra" / "base" / "broker"
# Of the images that are on the node.
TAG = "0.1.0-0123456789ab"
IMAGES = ("bridge", "clip", "compact", "dead-letters", "encode", "link", "pictures", "playback", "playlist", "reconcile", "storage-setup")


def images(place, tag):
    """Our images, as a node tells of them."""
    return [{"names": [f"{place}/{name}:{tag}"]} for name in IMAGES]


def decoded(secret):
    """The values of a Secret."""
    return {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}


def settings(part, server):
    """The environment that a part has from the ConfigMaps that it names; None while one of them is not there."""
    (container,) = part["spec"]["template"]["spec"]["containers"]
    names = [source["configMapRef"]["name"] for source in container.get("envFrom", []) if "configMapRef" in source]
    maps = [server.find("configmaps", name) for name in names]
    return None if None in maps else {name: value for map in maps for name, value in map["data"].items()}


class Machine:
    """What a cluster would do: runs the programs of the parts, and says in their status that they are ready."""

    def __init__(self, folder, runs=None):
        # The parts whose programs it runs; the others are ready without.
        self.folder, self.runs = folder, runs
        # An address of this machine that nobody else has, as a load balancer's: the usual ports are free there.
        pid = os.getpid()
        self.address = f"127.{64 + pid // 65536 % 128}.{pid // 256 % 256}.{pid % 256}"
        self.processes, self.environments, self.ports = {}, {}, {}
        # The names of Jobs that do not end, and of parts that do not get ready; whether load balancers give addresses, and the store is there for the outside.
        self.hanging, self.ill, self.balances, self.serves = set(), set(), True, True
        # Whether Jobs fail.
        self.fails = False

    def start(self, name, command, environment):
        """Starts a part; anew if its environment is another."""
        if self.runs is not None and name not in self.runs:
            return
        if self.environments.get(name) != environment:
            if name in self.processes:
                self.processes[name].kill()
                self.processes[name].wait()
            self.environments[name] = environment
            with open(self.folder / f"{name}.log", "ab") as log:
                self.processes[name] = subprocess.Popen([str(word) for word in command], env={**os.environ, **environment},
                                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self):
        """Ends all parts."""
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.processes.clear()
        self.environments.clear()

    def file(self, name, text):
        """A file that anybody can read: Mosquitto that root starts is somebody else."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o644)
        return path

    def react(self, server):
        """Brings the world to where the objects are."""
        secrets = {secret["metadata"]["name"]: decoded(secret) for secret in server.all("secrets")}
        for service in server.all("services", "v1"):
            if service["spec"].get("type") == "LoadBalancer" and self.balances:
                service["status"] = {"loadBalancer": {"ingress": [{"ip": self.address}]}}
        for job in server.all("jobs"):
            waits = "storage" in self.ill and "conditions" not in job.get("status", {})
            hangs = waits or job["metadata"]["name"] in self.hanging
            if hangs:
                job["status"] = {"active": 1}
            elif "conditions" not in job.get("status", {}):
                job["status"] = {"conditions": [{"type": "Failed" if self.fails else "Complete", "status": "True"}]}
        for part in server.all("statefulsets") + server.all("deployments"):
            name = part["metadata"]["name"]
            if part["metadata"]["namespace"] == "teiten" and self.run(name, secrets, settings(part, server)):
                generation = part["metadata"]["generation"]
                replicas = part["spec"].get("replicas", 1)
                ready = 0 if name in self.ill else replicas
                part["status"] = {"observedGeneration": generation, "readyReplicas": ready, "updatedReplicas": replicas}
        for version, plural, _, _ in KNATIVE:
            for part in server.all(plural, version):
                if plural != "services" or self.run(part["metadata"]["name"], secrets, settings(part, server)):
                    part["status"] = {"observedGeneration": part["metadata"]["generation"],
                                      "conditions": [{"type": "Ready", "status": "True"}],
                                      "url": f"http://{part['metadata']['name']}.teiten.svc.cluster.local"}
        for part in server.all("statefulsets"):
            for template in part["spec"].get("volumeClaimTemplates", []):
                claim = f"{template['metadata']['name']}-{part['metadata']['name']}-0"
                if server.find("persistentvolumeclaims", claim) is None:
                    spec = {**copy.deepcopy(template["spec"]), "storageClassName": "local-path"}
                    server.store("v1", "persistentvolumeclaims", {"metadata": {"name": claim, "namespace": "teiten"}, "spec": spec})

    def run(self, name, secrets, config):
        """Starts the part `name`, if its secrets are there."""
        if name == "storage":
            return self.run_storage(secrets)
        if name == "broker":
            return self.run_broker(secrets)
        keys = secrets.get(f"storage-{name}")
        if keys is None or config is None or "storage-admin" not in secrets:
            return False
        # The store of the tests has one user.
        environment = {**config, **secrets["storage-admin"], **secrets.get("link-token", {}), "K_SINK": f"http://127.0.0.1:{self.port('router')}/",
                       "AWS_ENDPOINT_URL_S3": f"http://{self.address}:9000", "PORT": str(self.port(name))}
        if name == "bridge":
            if "bridge-tls" not in secrets:
                return False
            environment["TEITEN_MQTT"] = f"{self.address}:8883"
            for variable, value in (("CA", "ca.crt"), ("CERTIFICATE", "tls.crt"), ("KEY", "tls.key")):
                environment[f"TEITEN_MQTT_{variable}"] = str(self.file(f"bridge-{value}", secrets["bridge-tls"][value]))
        program = PROGRAMS / f"teiten-{name}"
        if not program.is_file():
            raise AssertionError(f"{program} is not built")
        self.start(name, [program], environment)
        return True

    def port(self, name):
        """The port of a part on this machine."""
        return self.ports.setdefault(name, free_port())

    def run_storage(self, secrets):
        """The store."""
        if "storage-admin" not in secrets:
            return False
        if not self.serves:
            return True
        self.start("storage", [PROGRAMS / "teiten-s3", "--dir", self.folder / "bucket", "--listen", f"{self.address}:9000"],
                   secrets["storage-admin"])
        return True

    def run_broker(self, secrets):
        """Mosquitto with the shipped configuration, and the events' router, which does what Knative's Broker would."""
        if not {"broker-tls", "broker-revoked-tls"} <= secrets.keys():
            return False
        for name, text in (secrets["broker-tls"] | secrets["broker-revoked-tls"]).items():
            self.file(name, text)
        acl = self.file("acl", (SHIPPED / "acl").read_text())
        config = (SHIPPED / "mosquitto.conf").read_text()
        config = (config.replace("/mosquitto/tls", str(self.folder)).replace("/mosquitto/revoked", str(self.folder)).replace("/mosquitto/config/acl", str(acl))
                  .replace("listener 8883\n", f"listener 8883 {self.address}\n"))
        self.start("broker", [MOSQUITTO, "-c", self.file("mosquitto.conf", config)], {})
        triggers = [("teiten.batch.stored", "encode"), ("teiten.segment.stored", "playlist"), ("teiten.window.missed", "playlist"), ("teiten.sensor.changed", "playlist")]
        arguments = [f"--trigger={kind}=http://127.0.0.1:{self.port(function)}/" for kind, function in triggers]
        self.start("router", [PROGRAMS / "teiten-router", "--listen", f"127.0.0.1:{self.port('router')}", *arguments], {})
        return True


def deployment(namespace, name):
    """A Deployment of Knative's that is ready."""
    return {"metadata": {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/version": "1.21.0"}},
            "spec": {"replicas": 1}, "status": {"readyReplicas": 1}}


def furnish(server, place):
    """A cluster of one node with Knative, as k3s and Knative's release files make it."""
    for namespace in ("kube-system", "knative-serving", "knative-eventing", "kourier-system"):
        server.store("v1", "namespaces", {"metadata": {"name": namespace}})
    server.store("v1", "nodes", {"metadata": {"name": "pi"}, "status": {
        "conditions": [{"type": "Ready", "status": "True"}], "images": images(place, TAG),
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "nodeInfo": {"architecture": "arm64", "kubeletVersion": "v1.33.4+k3s1"}}})
    server.store("storage.k8s.io/v1", "storageclasses", {"metadata": {
        "name": "local-path", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}})
    server.store("v1", "configmaps", {"metadata": {"name": "config-network", "namespace": "knative-serving"},
                                      "data": {"ingress-class": "kourier.ingress.networking.knative.dev"}})
    for namespace, names in (("knative-serving", ("activator", "autoscaler", "controller", "webhook")),
                             ("knative-eventing", ("eventing-controller", "eventing-webhook", "imc-dispatcher",
                                                   "mt-broker-filter", "mt-broker-ingress")),
                             ("kourier-system", ("3scale-kourier-gateway",))):
        for name in names:
            server.store("apps/v1", "deployments", deployment(namespace, name))


class BareStore(http.server.BaseHTTPRequestHandler):
    """A store without a single object. It takes what it is given, and keeps nothing, until it is full."""

    protocol_version = "HTTP/1.1"
    is_full = False

    def log_message(self, *_):
        pass

    def answer(self, code, body=""):
        """Answers in XML."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self):
        if "list-type" in self.path:
            self.answer(200, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
        else:
            self.answer(404, "<Error><Code>NoSuchKey</Code></Error>")

    def do_DELETE(self):
        self.answer(204)

    def do_PUT(self):
        # As MinIO says it.
        full = ("<Error><Code>XMinioStorageFull</Code><Message>Storage backend has reached its minimum free drive threshold. "
                "Please delete a few objects to proceed.</Message></Error>")
        self.answer(507, full) if type(self).is_full else self.answer(200)


class Cache(BareStore):
    """What players ask, before a store: it gives out what there is, and does nothing else."""

    def do_GET(self):
        self.answer(403)

    do_PUT = do_DELETE = do_GET


class Commands(unittest.TestCase):
    """The three commands in a folder of their own."""

    def setUp(self):
        self.infra = PROJECT / "infra"
        # Mosquitto that root starts becomes another user, who must come in here.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="teiten-cluster-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.folder.chmod(0o755)
        self.tag, self.built_at = TAG, None
        self.wait_seconds_max = WAIT_SECONDS_MAX

    def serve(self, kinds, react=lambda server: None):
        """Starts a stand-in."""
        server = ApiServer("v1.33.4+k3s1", kinds, react)
        self.addCleanup(server.close)
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "stand-in",
                  "clusters": [{"name": "stand-in", "cluster": {"server": server.url}}],
                  "contexts": [{"name": "stand-in", "context": {"cluster": "stand-in", "user": "tester"}}],
                  "users": [{"name": "tester", "user": {"token": "none"}}]}
        (self.folder / "kubeconfig").write_text(json.dumps(config))
        return server

    def listen(self, address, handler):
        """Starts a server of HTTP."""
        server = http.server.ThreadingHTTPServer(address, handler)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def command(self, *arguments):
        """A command, and the environment that it runs in."""
        environment = {**os.environ, "KUBECONFIG": str(self.folder / "kubeconfig"), "HOME": str(self.folder)}
        return [PROGRAMS / "teiten-cluster", "--infra", self.infra, "--cameras", self.folder / "cameras", *arguments], environment

    def teiten(self, *arguments):
        """Runs a command; returns its status and what it said."""
        command, environment = self.command(*arguments)
        done = subprocess.run(command, cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                              timeout=2 * WAIT_SECONDS_MAX)
        return done.returncode, done.stdout + done.stderr

    def cluster(self, runs=None):
        """Starts a stand-in that has what Teiten wants, with the machine that acts for its nodes and runs what is named of the parts."""
        machine = Machine(self.folder, runs)
        self.addCleanup(machine.stop)
        server = self.serve(KINDS + KNATIVE, machine.react)
        furnish(server, "dev.local/teiten")
        return server, machine

    def deployment(self, *arguments):
        """The arguments of deploying, with a page that stands for the viewer's."""
        page = self.folder / "page"
        page.mkdir(exist_ok=True)
        (page / "index.html").write_text("<title>the viewer</title>")
        return "deploy", "--viewer", page, "--built", self.built(), "--wait", str(self.wait_seconds_max), *arguments

    def built(self):
        """What `./just images` leaves."""
        path = self.folder / "version"
        path.unlink(missing_ok=True)
        if self.tag:
            path.write_text(self.tag + "\n")
            os.utime(path, self.built_at)
        return path

    def deploy(self, *arguments):
        """Deploys."""
        return self.teiten(*self.deployment(*arguments))

    def left_in_the_store(self):
        """The objects of the test camera."""
        return [path for path in (self.folder / "bucket").rglob("*") if "test-camera" in str(path) and path.is_file()]

    def change(self, values):
        """Changes settings, in a copy of the manifests."""
        copied = self.folder / "infra"
        if self.infra != copied:
            shutil.copytree(self.infra, copied, ignore=shutil.ignore_patterns("src", "tests"))
            self.infra = copied
        path = copied / "settings" / "teiten.env"
        lines = path.read_text().splitlines()
        for name, value in values.items():
            lines = [f"{name}={value}" if line.startswith(f"{name}=") else line for line in lines]
        path.write_text("\n".join(lines) + "\n")


class WithCamera(Commands):
    """What sends a test camera through: mostly waiting, as the next one."""

    def kept_by_the_broker(self, machine):
        """The topics of the messages that the broker retains, as the owner hears them."""
        authority = self.folder / "cameras" / "ca.teiten"
        key, request, certificate = (self.folder / f"owner.{kind}" for kind in ("key", "request", "pem"))
        for command in (["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=owner.teiten", "-keyout", key, "-out", request],
                        ["x509", "-req", "-in", request, "-CA", authority / "ca.pem", "-CAkey", authority / "key.pem", "-days", "1", "-out", certificate]):
            subprocess.run(["openssl", *command], check=True, capture_output=True)
        options = ["-h", machine.address, "-p", "8883", "--cafile", authority / "ca.pem", "--cert", certificate, "--key", key, "-t"]

        def say():
            broker.must("mosquitto_pub", *options, "teiten/gate/control", "-q", "1", "-m", "the end")

        return [topic for retained, topic, _ in broker.heard(["mosquitto_sub", *options, "teiten/#"], say) if retained]

    def give_up_an_event(self, machine):
        """Posts an event to the sink of dead letters, as Knative's Broker does once a function has refused it."""
        headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/teiten/bridge", "ce-type": "teiten.batch.stored",
                   "ce-subject": "gate", "ce-knativeerrordest": "http://encode.teiten.svc.cluster.local",
                   "ce-knativeerrorcode": "422", "ce-knativeerrordata": base64.b64encode(b"no frame can be decoded\n").decode(),
                   "content-type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{machine.port('dead-letters')}/", data=b"{}", headers=headers)
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while True:
            try:
                with urllib.request.urlopen(request) as answer:
                    self.assertEqual(answer.status, 204)
                    return
            except ConnectionError:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)

    def test_deploy_sends_a_camera_through_and_again_changes_nothing_and_undeploy_keeps_the_footage(self):
        server, machine = self.cluster()

        status, said = self.deploy()
        logs = "".join(f"--- {path.name}\n{path.read_text(errors='replace')[-2000:]}" for path in self.folder.glob("*.log"))
        self.assertEqual(status, 0, said + logs)
        self.assertRegex(said, r"its pictures came through: \d+\.\d\d s from the first picture of a window to the playlist")
        self.assertIn(f"http://{machine.address}:9000/media/index.html (nobody opens it without a key", said)
        for words in ("./just link CAMERA", f"TEITEN_PUBLIC_URL=http://{machine.address}:9000 ", "set TEITEN_DOMAIN"):
            self.assertIn(words, said)
        self.assertNotIn("X-Amz-", said, "a link whose segments would not play")
        self.assertEqual([name for name, process in machine.processes.items() if process.poll() is not None], [], "ended by itself")
        for function, name in (("playback", "gate.m3u8"), ("clip", "gate.mp4")):
            with self.assertRaises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"http://127.0.0.1:{machine.port(function)}/{name}")
            self.assertEqual(refused.exception.code, 401, function)
        with urllib.request.urlopen(f"http://{machine.address}:9000/media/index.html") as page:
            self.assertEqual(page.read(), b"<title>the viewer</title>")
        keys = decoded(server.find("secrets", "storage-admin"))
        self.assertEqual(len(keys["AWS_SECRET_ACCESS_KEY"]), 40)
        self.assertNotEqual(keys, decoded(server.find("secrets", "storage-bridge")))
        self.assertEqual(self.left_in_the_store(), [], "the test camera left something behind")
        self.assertEqual(self.kept_by_the_broker(machine), [], "the test camera left something with the broker")

        before = copy.deepcopy(server.objects)
        server.writes.clear()
        status, said = self.deploy("--no-test-camera")
        self.assertEqual(status, 0, said)
        self.assertEqual(server.writes, [], said)
        self.assertEqual(server.objects, before)
        self.assertIn("the viewer: as it was", said)

        self.change({"TEITEN_PUBLIC_URL": f"http://{machine.address}:9000", "TEITEN_DOMAIN": "http://cameras.test:8000"})
        status, said = self.deploy("--no-test-camera")
        self.assertEqual(status, 0, said)
        self.assertIn("playback  http://playback.cameras.test:8000/CAMERA.m3u8?from=…&to=…", said)
        self.assertIn("clip      http://clip.cameras.test:8000/CAMERA.mp4?from=…&to=…", said)
        self.assertNotIn("note ", said)
        names = ["clip.cameras.test", "playback.cameras.test"]
        for plural in ("domainmappings", "clusterdomainclaims"):
            self.assertEqual(sorted(value["metadata"]["name"] for value in server.all(plural)), names)
        self.assertEqual(server.find("domainmappings", "clip.cameras.test")["spec"]["ref"]["name"], "clip")
        self.change({"TEITEN_DOMAIN": ""})
        status, said = self.deploy("--no-test-camera")
        self.assertEqual((status, server.all("domainmappings"), server.all("clusterdomainclaims")), (0, [], []), said)

        status, said = self.teiten("status")
        self.assertEqual(status, 0, said)
        self.assertRegex(said, r"All \d+ parts are ready")
        self.assertIn("No camera has sent a picture yet", said)
        self.assertIn("no dead letters", said)
        self.give_up_an_event(machine)
        status, said = self.teiten("status")
        self.assertEqual(status, 1, said)
        self.assertIn("1 events were given up", said)
        self.assertIn("teiten.batch.stored of gate, refused by http://encode.teiten.svc.cluster.local with 422: no frame can be decoded\n", said)
        server.find("statefulsets", "bridge")["status"]["readyReplicas"] = 0
        self.assertIn("the part bridge: 0 of 1 ready", self.teiten("status")[1])

        status, said = self.teiten("undeploy")
        self.assertEqual(status, 0, said)
        left = sorted(f"{plural}/{name}" for _, plural, namespace, name in server.objects if namespace == "teiten")
        self.assertEqual({kind.split("/")[0] for kind in left} - {"jobs"}, {"secrets", "persistentvolumeclaims", "services"}, left)
        # Their addresses are on cameras' cards, and in links.
        self.assertEqual([kind for kind in left if kind.startswith("services/")], ["services/broker", "services/storage"])
        self.assertIn("kubectl -n teiten delete service broker storage", said)
        status, said = self.deploy("--no-test-camera")
        self.assertEqual(status, 0, said)
        self.assertEqual(decoded(server.find("secrets", "storage-admin")), keys, "the footage's keys are as they were")
        status, said = self.teiten("undeploy", "--footage")
        self.assertEqual(status, 1, said)
        status, said = self.teiten("undeploy", "--footage", "--yes")
        self.assertEqual(status, 0, said)
        self.assertFalse([key for key in server.objects if key[2] == "teiten"])


class AtATerminal(Commands):
    """And at a terminal."""

    def test_the_camera_sends_until_enter_or_ctrl_c_is_seen_by_a_link_and_leaves_nothing(self):
        server, machine = self.cluster()
        self.change({"TEITEN_PUBLIC_URL": f"http://{machine.address}:9000"})
        command, environment = self.command(*self.deployment())
        keyboard, terminal = pty.openpty()
        self.addCleanup(os.close, keyboard)
        with subprocess.Popen(command, cwd=PROJECT, env=environment, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True) as deploying:
            self.addCleanup(deploying.kill)
            os.close(terminal)
            said = []
            for line in deploying.stdout:
                said.append(line)
                if "until you press Enter" in line:
                    self.assertNotEqual(self.left_in_the_store(), [])
                    deploying.send_signal(signal.SIGINT)
            self.assertEqual(deploying.wait(WAIT_SECONDS_MAX), 0, "".join(said))
        self.assertIn("clearing the test camera away", "".join(said))
        key = decoded(server.find("secrets", "storage-link"))["AWS_ACCESS_KEY_ID"]
        self.assertRegex("".join(said), rf"playlist http://{machine.address}:9000/media/test-camera/live.m3u8\?.*X-Amz-Credential={key}%2F")
        self.assertEqual(self.left_in_the_store(), [])


# What `deploy` itself speaks to: all that is to run where a test looks at objects and words.
STORE = {"storage"}


class WithoutCamera(Commands):
    """What sends none."""

    @classmethod
    def setUpClass(cls):
        """Deploys what is shipped, once for all tests that go on from there."""
        first = cls("deployed")
        first.setUp()
        try:
            server, _ = first.cluster(STORE)
            status, said = first.deploy("--no-test-camera")
            first.assertEqual((status, len(server.all("jobs"))), (0, 1), said)
            cls.first = copy.deepcopy((server.objects, server.applied, server.revision))
            cls.cameras = pathlib.Path(tempfile.mkdtemp(prefix="teiten-cluster-"))
            cls.addClassCleanup(shutil.rmtree, cls.cameras)
            shutil.copytree(first.folder / "cameras", cls.cameras / "cameras")
        finally:
            first.doCleanups()

    def deployed(self):
        """Starts a stand-in, and its machine, where what is shipped was deployed."""
        server, machine = self.cluster(STORE)
        shutil.copytree(self.cameras / "cameras", self.folder / "cameras")
        with server.lock:
            server.objects, server.applied, server.revision = copy.deepcopy(self.first)
            machine.react(server)
        return server, machine

    def status_of(self, url):
        """How a function answers, once it listens."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while True:
            try:
                with urllib.request.urlopen(url) as answer:
                    return answer.status
            except urllib.error.HTTPError as error:
                return error.code
            except urllib.error.URLError:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)

    def test_a_cluster_without_knative_is_told_what_it_lacks_and_left_as_it_is(self):
        server = self.serve(KINDS)
        server.store("v1", "nodes", {"metadata": {"name": "old"}, "status": {
            "conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"architecture": "arm"}}})
        status, said = self.deploy()
        self.assertEqual(status, 1, said)
        for words in ("Knative Serving", "Knative Eventing", "old (arm)", "default storage class", "Nothing was changed"):
            self.assertIn(words, said)
        self.assertEqual(server.writes, [])
        status, said = self.teiten("status")
        self.assertEqual((status, said), (1, "There is no Teiten in this cluster: ./just deploy\n"))

    def test_what_is_outside_at_a_port_that_no_policy_opens_is_told_with_what_to_change(self):
        server = self.serve(KINDS + KNATIVE)
        furnish(server, "dev.local/teiten")
        self.change({"TEITEN_OVERLAY": "production", "TEITEN_MQTT": "mqtt.example.org:8883"})
        status, said = self.deploy("--check")
        self.assertEqual(status, 0, said)
        self.change({"TEITEN_MQTT": "mqtt.example.org:1884", "AWS_ENDPOINT_URL_S3": "http://minio.example.org:9000"})
        status, said = self.deploy("--check")
        self.assertEqual(status, 1, said)
        for words in ("TEITEN_MQTT=mqtt.example.org:1884", "AWS_ENDPOINT_URL_S3=http://minio.example.org:9000",
                      "overlays/production/kustomization.yaml"):
            self.assertIn(words, said)
        overlay = self.infra / "overlays" / "production" / "kustomization.yaml"
        overlay.write_text(overlay.read_text().replace("port: 443", "port: 9000").replace("port: 8883", "port: 1884"))
        status, said = self.deploy("--check")
        self.assertEqual(status, 0, said)
        self.assertEqual(server.writes, [])

    def test_without_a_cluster_kubectls_own_words_are_shown(self):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            server = self.serve(KINDS)
            config = (self.folder / "kubeconfig").read_text().replace(server.url, f"http://127.0.0.1:{nobody.getsockname()[1]}")
            (self.folder / "kubeconfig").write_text(config)
            status, said = self.deploy()
        self.assertEqual(status, 1)
        self.assertIn("refused", said)

    def test_who_may_not_list_what_a_cluster_is_looked_over_for_is_told_what(self):
        server = self.serve(KINDS + KNATIVE)
        furnish(server, "dev.local/teiten")
        server.forbidden = {"storageclasses"}
        status, said = self.deploy("--check")
        self.assertEqual((status, server.writes), (1, []), said)
        self.assertIn('storageclasses is forbidden: User "tester" cannot list', said)

    def test_a_store_that_is_full_is_told_and_a_cluster_without_a_part_of_teiten_is_not_well(self):
        server = self.serve(KINDS + KNATIVE)
        furnish(server, "dev.local/teiten")
        address = Machine(self.folder).address
        server.store("v1", "namespaces", {"metadata": {"name": "teiten"}})
        server.store("v1", "secrets", {"metadata": {"name": "storage-admin"}, "data": dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "a2V5")})
        server.store("v1", "services", {"metadata": {"name": "storage"}, "spec": {"ports": [{"port": 9000}]},
                                        "status": {"loadBalancer": {"ingress": [{"ip": address}]}}})
        store = self.listen((address, 9000), type("Store", (BareStore,), {}))
        status, said = self.teiten("status")
        self.assertEqual((status, "FULL" in said), (1, False), said)
        self.assertIn("No part of Teiten is in the cluster", said)
        store.RequestHandlerClass.is_full = True
        status, said = self.teiten("status")
        self.assertEqual(status, 1, said)
        self.assertIn("The store is FULL", said)
        self.assertIn("TEITEN_STORAGE_SIZE", said)

    def test_a_kind_that_the_cluster_does_not_know_is_told_and_the_others_are_looked_at(self):
        server = self.serve(KINDS + [kind for kind in KNATIVE if kind[1] != "pingsources"])
        server.store("v1", "namespaces", {"metadata": {"name": "teiten"}})
        server.store("apps/v1", "statefulsets", {"metadata": {"name": "bridge"}, "spec": {"replicas": 1},
                                                 "status": {"observedGeneration": 1, "readyReplicas": 0}})
        status, said = self.teiten("status")
        self.assertEqual(status, 1, said)
        self.assertIn("does not know pingsources.sources.knative.dev", said)
        self.assertIn("the part bridge: 0 of 1 ready", said)

    def test_the_store_s_volume_grows_where_it_can_and_keeps_no_deploy_from_going_on_where_it_cannot(self):
        server, _ = self.deployed()

        def size():
            return server.find("persistentvolumeclaims", "data-storage-0")["spec"]["resources"]["requests"]["storage"]

        self.assertEqual(size(), "300Gi")
        self.change({"TEITEN_STORAGE_SIZE": "400Gi"})
        status, said = self.deploy("--no-test-camera")
        self.assertEqual((status, size()), (0, "300Gi"), said)
        self.assertIn("data-storage-0 stays at 300Gi", said)
        server.find("storageclasses", "local-path")["allowVolumeExpansion"] = True
        status, said = self.deploy("--no-test-camera")
        self.assertEqual((status, size()), (0, "400Gi"), said)
        # The same, in bytes.
        self.change({"TEITEN_STORAGE_SIZE": "429496729600"})
        status, said = self.deploy("--no-test-camera")
        self.assertEqual((status, size()), (0, "400Gi"), said)

    def test_images_that_were_built_anew_have_to_be_there_and_then_run_and_others_stay(self):
        server, _ = self.deployed()

        def named():
            parts = [part["spec"]["template"] for plural in ("statefulsets", "services") for part in server.all(plural) if "template" in part["spec"]]
            parts += [cron["spec"]["jobTemplate"]["spec"]["template"] for cron in server.all("cronjobs")]
            found = [container["image"] for part in parts for kind in ("containers", "initContainers") for container in part["spec"].get(kind, [])]
            return [image for image in found if image.startswith("dev.local/")]

        self.assertEqual({image.split("/")[-1] for image in named()}, {f"{name}:{TAG}" for name in IMAGES})
        self.tag = "0.1.0-ba9876543210"
        server.writes.clear()
        status, said = self.deploy("--no-test-camera")
        self.assertEqual((status, server.writes), (1, []), said)
        self.assertIn(f"dev.local/teiten/…:{self.tag}", said)
        on_the_node = server.find("nodes", "pi")["status"]["images"]
        on_the_node += images("dev.local/teiten", self.tag)
        status, said = self.deploy("--no-test-camera")
        self.assertEqual((status, {image.split(":")[1] for image in named()}), (0, {self.tag}), said)
        self.assertIn(f"images: {self.tag} (running: {TAG})", said)
        self.assertNotIn("was changed since the images were built", said)
        self.assertEqual(len(server.all("jobs")), 2, "the new set-up of the store has run")
        # As a kubelet does it that needs room: what does not run goes.
        on_the_node.remove({"names": [f"dev.local/teiten/clip:{self.tag}"]})
        self.built_at = (0, 0)
        status, said = self.deploy("--check")
        self.assertEqual(status, 1, said)
        self.assertIn("on pi (clip)", said)
        self.assertRegex(said, r"note    \S+ was changed since the images were built")
        # From a clone where none were built, those that run go on.
        on_the_node += images("dev.local/teiten", self.tag)
        server.writes.clear()
        self.tag = None
        status, said = self.deploy("--no-test-camera")
        self.assertEqual((status, server.writes), (0, []), said)

    def test_who_changes_to_a_store_of_his_own_is_asked_for_its_keys_though_those_of_the_old_one_are_there_and_then_runs_with_it(self):
        server, machine = self.deployed()
        server.writes.clear()
        # What `local` has left is a store and a broker like any other.
        self.change({"TEITEN_OVERLAY": "production", "TEITEN_MQTT": f"{machine.address}:8883", "AWS_ENDPOINT_URL_S3": f"http://{machine.address}:9000"})
        overlay = self.infra / "overlays" / "production" / "kustomization.yaml"
        overlay.write_text(overlay.read_text().replace("port: 443", "port: 9000"))
        for arguments, of_components in (((), True), (("--make-keys",), False)):
            status, said = self.deploy("--no-test-camera", *arguments)
            self.assertEqual((status, server.writes), (1, []), said)
            self.assertIn("your store's keys are missing", said)
            self.assertEqual("create secret generic storage-bridge" in said, of_components, said)
            self.assertRegex(said, r"delete secret .*storage-admin")
        command = re.search(r"scripts/program (storage-setup) (--print-policies .*)", said)
        done = subprocess.run([PROGRAMS / f"teiten-{command[1]}", *command[2].split()], capture_output=True, text=True, check=True)
        self.assertEqual({f"storage-{line.split(':')[0]}" for line in done.stdout.splitlines()} | {"storage-admin"},
                         {secret["metadata"]["name"] for secret in server.all("secrets") if secret["metadata"]["name"].startswith("storage-")})

        for secret in server.all("secrets"):
            if secret["metadata"]["name"].startswith("storage-"):
                secret["metadata"].update(labels={}, annotations={})
        del server.objects["v1", "secrets", "teiten", "bridge-tls"]
        status, said = self.deploy("--no-test-camera")
        self.assertEqual(status, 0, said)
        self.assertIn(f"{machine.address}:8883 has to trust that certificate's authority", said)
        self.assertIn("Still there, though these settings do without", said)
        self.assertIn("delete deployment/broker service/broker statefulset/storage service/storage ", said)

    def test_a_secret_that_is_deleted_comes_back_with_other_keys_which_the_store_and_who_reads_them_get(self):
        server, _ = self.deployed()
        keys = decoded(server.find("secrets", "storage-link"))
        for name, secret in (("link-00001-deployment-1", "storage-link"), ("clip-00001-deployment-1", "storage-clip")):
            server.store("v1", "pods", {"metadata": {"name": name, "creationTimestamp": server.find("secrets", secret)["metadata"]["creationTimestamp"]},
                                        "spec": {"containers": [{"name": "one", "envFrom": [{"secretRef": {"name": secret}}]}]}})
        del server.objects["v1", "secrets", "teiten", "storage-link"]
        status, said = self.deploy("--no-test-camera")
        self.assertEqual(status, 0, said)
        self.assertNotEqual(decoded(server.find("secrets", "storage-link")), keys)
        self.assertEqual(len(server.all("jobs")), 2, said)
        self.assertEqual([pod["metadata"]["name"] for pod in server.all("pods")], ["clip-00001-deployment-1"], said)

    def test_cameras_that_are_revoked_are_told_to_the_broker_which_is_started_anew_though_a_deploy_was_cut_off_before_it_was(self):
        server, machine = self.deployed()
        for name, is_put in (("gate", False), ("yard", True)):
            for arguments in (("add", name, "--broker", machine.address, "--wifi", ""), ("revoke", name)):
                subprocess.run([PROGRAMS / "teiten-owner", "--folder", self.folder / "cameras", "camera", *arguments], check=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            revoked = (self.folder / "cameras" / "broker.teiten" / "revoked.pem").read_text()
            if is_put:
                server.find("secrets", "broker-revoked-tls")["data"]["revoked.pem"] = base64.b64encode(revoked.encode()).decode()
            before = server.find("deployments", "broker")["spec"]["template"]
            status, said = self.deploy("--no-test-camera")
            self.assertEqual(status, 0, said)
            self.assertEqual(decoded(server.find("secrets", "broker-revoked-tls")), {"revoked.pem": revoked})
            self.assertNotEqual(server.find("deployments", "broker")["spec"]["template"], before, said)

    def test_a_broker_at_an_ipv6_address_has_brackets_where_a_port_follows_and_nowhere_else(self):
        self.deployed()
        self.change({"TEITEN_BROKER_HOSTS": "2001:db8::7"})
        status, said = self.deploy("--no-test-camera")
        self.assertEqual(status, 0, said)
        self.assertIn("broker    [2001:db8::7]:8883 (./just camera add NAME --broker 2001:db8::7 --port 8883)\n", said)

    def test_a_set_up_of_earlier_settings_that_hangs_is_ended_and_not_waited_for(self):
        server, machine = self.deployed()
        (earlier,) = server.all("jobs")
        machine.hanging = {earlier["metadata"]["name"]}
        machine.react(server)
        self.assertEqual(earlier["status"], {"active": 1})
        self.change({"TEITEN_MEDIA_RETENTION_DAYS": "9"})
        status, said = self.deploy("--no-test-camera")
        self.assertEqual(status, 0, said)
        (job,) = server.all("jobs")
        self.assertNotIn(job["metadata"]["name"], machine.hanging)
        self.assertIn(f"job {earlier['metadata']['name']}: ended", said)

    def test_a_set_up_of_the_store_that_fails_is_told_with_where_its_words_are_and_not_started_again(self):
        server, machine = self.deployed()
        machine.fails = True
        self.change({"TEITEN_MEDIA_RETENTION_DAYS": "9"})
        status, said = self.deploy("--no-test-camera")
        self.assertEqual((status, said.count("setting the store up")), (1, 1), said)
        failed = [job["metadata"]["name"] for job in server.all("jobs") if job["status"]["conditions"][0]["type"] == "Failed"]
        self.assertIn(f"failed: kubectl -n teiten logs -l batch.kubernetes.io/job-name={' '.join(failed)} ", said)

    def test_a_broker_that_was_a_statefulset_goes_before_there_is_another_which_is_started_once(self):
        server, _ = self.deployed()
        broker = server.objects.pop(("apps/v1", "deployments", "teiten", "broker"))
        server.applied.pop(("apps/v1", "deployments", "teiten", "broker"))
        before = broker["spec"]["template"]
        server.store("apps/v1", "statefulsets", {"metadata": broker["metadata"], "spec": broker["spec"]})
        server.writes.clear()
        status, said = self.deploy("--no-test-camera")
        self.assertEqual(status, 0, said)
        self.assertIsNone(server.find("statefulsets", "broker"))
        self.assertEqual(server.find("deployments", "broker")["spec"]["template"], before)
        self.assertLess(server.writes.index("delete statefulsets/broker"), server.writes.index("apply deployments/broker"))
        server.writes.clear()
        self.assertEqual((self.deploy("--no-test-camera")[0], server.writes), (0, []))

    def test_what_cannot_go_while_knative_is_ill_is_told_and_keeps_nothing_else_from_going(self):
        server, _ = self.deployed()
        binding = server.find("sinkbindings", "bridge")
        binding["metadata"]["finalizers"] = ["sinkbindings.sources.knative.dev"]
        status, said = self.teiten("undeploy", "--wait", "1")
        self.assertEqual(status, 1, said)
        self.assertIn("taking out sinkbindings.sources.knative.dev: bridge reconcile\n", said)
        self.assertIn("sinkbindings/bridge", said.partition("not all of it is gone")[2])
        for plural in ("statefulsets", "triggers", "cronjobs", "networkpolicies"):
            self.assertEqual(server.all(plural), [], plural)
        status, said = self.teiten("undeploy", "--footage", "--yes", "--wait", "1")
        self.assertEqual(status, 1, said)
        self.assertIn("namespaces/teiten", said.partition("not all of it is gone")[2])
        del binding["metadata"]["finalizers"]
        # With settings that are half written, too: nothing of them is needed.
        self.change({"TEITEN_WINDOW": "7s"})
        status, said = self.teiten("undeploy", "--footage", "--yes")
        self.assertEqual(status, 0, said)
        self.assertFalse([key for key in server.objects if key[2] == "teiten"])

    def test_a_store_that_does_not_start_is_told_of_while_its_set_up_is_waited_for(self):
        server, machine = self.cluster(STORE)
        machine.ill = {"storage"}
        server.store("v1", "namespaces", {"metadata": {"name": "teiten"}})
        # As MinIO ends on a processor that is too old for it.
        server.store("v1", "pods", {"metadata": {"name": "storage-0", "labels": {"app.kubernetes.io/name": "storage"}}, "status": {"containerStatuses": [
            {"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 127, "reason": "Error"}}}]}})
        self.wait_seconds_max = 3
        status, said = self.deploy("--no-test-camera")
        self.assertEqual(status, 1, said)
        words = "the part storage: it ended 3 times, last with status 127: kubectl -n teiten logs storage-0 --previous"
        self.assertIn(f"waiting for the store's set-up: {words}\n", said)
        self.assertIn(f"the store was not set up within 3 s ({words}): kubectl -n teiten describe pod storage-0", said)

    def test_where_kourier_has_a_balancers_address_those_of_the_store_and_the_broker_are_waited_for_and_then_for_the_store_to_answer(self):
        server, machine = self.cluster(STORE)
        server.store("v1", "services", {"metadata": {"name": "kourier", "namespace": "kourier-system"}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
                                        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}})
        # A cloud's balancer has a name, which resolves later: nobody answers there yet.
        machine.balances, machine.serves = False, False
        command, environment = self.command(*self.deployment("--no-test-camera"))
        with subprocess.Popen(command, cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True) as deploying:
            self.addCleanup(deploying.kill)
            said = []
            for line in deploying.stdout:
                said.append(line)
                if "waiting up to 5 minutes for a load balancer to give an address: broker, storage" in line:
                    with server.lock:
                        machine.balances = True
                        machine.react(server)
                if f"waiting up to 5 minutes for http://{machine.address}:9000 to answer" in line:
                    with server.lock:
                        machine.serves = True
                        machine.react(server)
            self.assertEqual((deploying.wait(WAIT_SECONDS_MAX), machine.balances, machine.serves), (0, True, True), "".join(said))
        self.assertIn(f"broker    {machine.address}:8883", said[-1])

    def test_a_prometheus_that_would_not_find_our_monitors_is_told_of_until_they_have_its_label(self):
        server = self.serve(KINDS + KNATIVE + [("monitoring.coreos.com/v1", "prometheuses", "Prometheus", True)])
        furnish(server, "dev.local/teiten")
        release = {"matchLabels": {"release": "kube-prometheus-stack"}}
        server.store("v1", "namespaces", {"metadata": {"name": "monitoring"}})
        server.store("monitoring.coreos.com/v1", "prometheuses", {"metadata": {"name": "prometheus", "namespace": "monitoring"},
                                                                  "spec": {"podMonitorSelector": release, "ruleSelector": release}})
        self.change({})
        self.assertNotIn("Prometheus", self.deploy("--check")[1])
        readme = (self.infra / "observability" / "README.md").read_text()
        component, patch = (textwrap.dedent(re.search(rf"(?m)^    {start}.*\n(?:    .*\n)*", readme)[0])
                            for start in (r"components: \[../../settings, ../../observability\]", "patches:"))
        overlay = self.infra / "overlays" / "local" / "kustomization.yaml"
        without = overlay.read_text().replace("components: [../../settings, addresses]", component.replace("]", ", addresses]"))
        for text, told in ((without, True), (without + patch, False)):
            overlay.write_text(text)
            status, said = self.deploy("--check")
            self.assertEqual((status, "no Prometheus here looks for our PodMonitors" in said), (0, told), said)

    def test_without_the_folder_of_the_brokers_authority_nothing_is_changed_unless_a_new_one_is_wanted(self):
        server, _ = self.deployed()
        (self.folder / "cameras").rename(self.folder / "elsewhere")
        authority = (self.folder / "elsewhere" / "ca.teiten" / "ca.pem").read_text()
        server.writes.clear()
        for arguments in ((), ("--check",)):
            status, said = self.deploy("--no-test-camera", *arguments)
            self.assertEqual(status, 1, said)
            for words in (f"another authority than {self.folder / 'cameras'} here", "--cameras", "--new-authority"):
                self.assertIn(words, said)
        self.assertEqual(server.writes, [])
        self.assertFalse((self.folder / "cameras").exists(), "a new authority was made")

        status, said = self.deploy("--no-test-camera", "--new-authority")
        self.assertEqual(status, 0, said)
        for name in ("broker-tls", "bridge-tls"):
            self.assertNotEqual(decoded(server.find("secrets", name))["ca.crt"], authority)
        shutil.rmtree(self.folder / "cameras")
        (self.folder / "elsewhere").rename(self.folder / "cameras")
        server.writes.clear()
        self.assertEqual((self.deploy("--no-test-camera")[0], server.writes), (1, []), "another folder's authority")

    def test_where_footage_is_public_the_page_is_told_where_the_past_is_and_nobody_needs_a_token(self):
        _, machine = self.cluster({"playback", "clip", *STORE})
        cache = self.listen(("127.0.0.1", 0), Cache)
        domain = {"playback": "http://playback.cameras.test:8000", "clip": "http://clip.cameras.test:8000"}
        for access, name, told, status in (("public", "http://cameras.test:8000", domain, 404), ("public", "", {}, 404),
                                           ("private", "http://cameras.test:8000", {}, 401)):
            with self.subTest(access=access, domain=name):
                self.change({"TEITEN_MEDIA_ACCESS": access, "TEITEN_DOMAIN": name,
                             "TEITEN_PUBLIC_URL": f"http://127.0.0.1:{cache.server_port}"})
                code, said = self.deploy("--no-test-camera")
                self.assertEqual(code, 0, said)
                self.assertIn(f"http://127.0.0.1:{cache.server_port}/media/index.html", said)
                with urllib.request.urlopen(f"http://{machine.address}:9000/media/teiten.json") as answer:
                    self.assertEqual(json.load(answer), told)
                    self.assertEqual(answer.headers["Cache-Control"], "no-cache")
                hour = "from=2026-11-23T04:00:00Z&to=2026-11-23T05:00:00Z"
                for function, kind in (("playback", "m3u8"), ("clip", "mp4")):
                    url = f"http://127.0.0.1:{machine.port(function)}/gate.{kind}?{hour}"
                    self.assertEqual(self.status_of(url), status, function)

    def test_a_node_whose_disk_is_full_is_told_with_what_to_do(self):
        server = self.serve(KINDS + KNATIVE)
        furnish(server, "dev.local/teiten")
        server.store("v1", "namespaces", {"metadata": {"name": "teiten"}})
        conditions = server.find("nodes", "pi")["status"]["conditions"]
        conditions.append({"type": "DiskPressure", "status": "False"})
        self.assertNotIn("DiskPressure", self.teiten("status")[1])
        conditions[-1]["status"] = "True"
        status, said = self.teiten("status")
        self.assertEqual(status, 1, said)
        self.assertIn("The disk of node pi is FULL", said)
        self.assertIn("infra/overlays/local/README.md", said)


if __name__ == "__main__":
    unittest.main()
