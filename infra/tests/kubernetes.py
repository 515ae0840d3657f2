"""`./just deploy` and `undeploy` on Kubernetes' own API server: it judges every object (schemas, admission, Pod Security), merges what is
applied, and says what a second run changes. Needs `kube-apiserver` and `etcd` in PATH, so it is no part of `./just test`
(`./just test-kubernetes`). There are no nodes and no controllers: cluster.py's machine runs the programs, and says so in the objects' status.
Knative is there by its resource definitions alone."""

import copy
import json
import pathlib
import shutil
import ssl
import subprocess
import threading
import time
import unittest
import urllib.error
import urllib.request

import cluster
from api_server import KINDS, KNATIVE, Objects
from programs import WAIT_SECONDS_MAX, free_port

DEFINITIONS = pathlib.Path(__file__).parent / "schemas" / "knative"
TOKEN = "0123456789abcdef"
# How often the machine looks at the objects.
LOOK_SECONDS = 0.3


def now():
    """The time, as Kubernetes writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def bare_definition(api_version, plural, kind, namespaced):
    """A resource definition that takes everything."""
    group, version = api_version.split("/")
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.{group}"},
            "spec": {"group": group, "scope": "Namespaced" if namespaced else "Cluster",
                     "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
                     "versions": [{"name": version, "served": True, "storage": True, "schema": schema, "subresources": {"status": {}}}]}}


class Kubernetes(Objects):
    """An API server and its etcd in a folder."""

    def __init__(self, folder):
        super().__init__()
        self.folder, self.seen = folder, {}
        etcd, peers, self.port = free_port(), free_port(), free_port()
        subprocess.run(["openssl", "genrsa", "-out", folder / "accounts.pem", "2048"], check=True, capture_output=True)
        (folder / "tokens.csv").write_text(f"{TOKEN},admin,admin,system:masters\n")
        self.processes = [
            self.start("etcd", "--data-dir", folder / "etcd", "--listen-client-urls", f"http://127.0.0.1:{etcd}", "--advertise-client-urls",
                       f"http://127.0.0.1:{etcd}", "--listen-peer-urls", f"http://127.0.0.1:{peers}"),
            self.start("kube-apiserver", f"--etcd-servers=http://127.0.0.1:{etcd}", f"--secure-port={self.port}", "--bind-address=127.0.0.1",
                       # Of who asks from outside: nobody does.
                       "--advertise-address=192.0.2.1", f"--cert-dir={folder / 'certificates'}", "--service-cluster-ip-range=10.96.0.0/16",
                       f"--service-account-key-file={folder / 'accounts.pem'}", f"--service-account-signing-key-file={folder / 'accounts.pem'}",
                       "--service-account-issuer=https://kubernetes.default.svc", f"--token-auth-file={folder / 'tokens.csv'}"),
        ]
        self.trust = ssl.create_default_context()
        self.trust.check_hostname, self.trust.verify_mode = False, ssl.CERT_NONE
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while self.ask("GET", "/readyz")[0] != 200:
            assert time.monotonic() < deadline, (folder / "kube-apiserver.log").read_text()[-2000:]
            time.sleep(0.2)

    def start(self, program, *arguments):
        """Starts a program."""
        with open(self.folder / f"{program}.log", "wb") as log:
            return subprocess.Popen([program, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def close(self):
        """Ends both."""
        for process in reversed(self.processes):
            process.kill()
            process.wait()

    def config(self):
        """A kubeconfig."""
        server = {"server": f"https://127.0.0.1:{self.port}", "insecure-skip-tls-verify": True}
        return {"apiVersion": "v1", "kind": "Config", "current-context": "tests", "clusters": [{"name": "tests", "cluster": server}],
                "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "admin"}}],
                "users": [{"name": "admin", "user": {"token": TOKEN}}]}

    def ask(self, method, path, body=None):
        """An answer's status and body; 0 while nobody answers."""
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", method=method, data=body and json.dumps(body).encode(),
                                         headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, context=self.trust) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text.startswith(b"{") else text
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError as error:
            return 0, str(error)

    @staticmethod
    def path(api_version, plural, namespace, name=""):
        """Where objects are."""
        group = f"/api/{api_version}" if api_version == "v1" else f"/apis/{api_version}"
        return group + (f"/namespaces/{namespace}" if namespace else "") + f"/{plural}" + (f"/{name}" if name else "")

    def look(self):
        """Reads Teiten's objects."""
        objects = {}
        for api_version, plural, _, namespaced in KINDS + KNATIVE:
            status, listed = self.ask("GET", self.path(api_version, plural, "teiten" if namespaced else None))
            assert status == 200, (plural, listed)
            for item in listed["items"]:
                objects[api_version, plural, item["metadata"].get("namespace"), item["metadata"]["name"]] = item
        self.objects, self.seen = objects, copy.deepcopy(objects)

    def store(self, api_version, plural, value):
        """Makes an object, and what a test leaves out of it; one that is there stays."""
        kind, namespaced = next((kind, namespaced) for version, name, kind, namespaced in KINDS + KNATIVE if (version, name) == (api_version, plural))
        namespace = value["metadata"].setdefault("namespace", "teiten") if namespaced else None
        labels = {"app": value["metadata"]["name"]}
        more = {
            "storageclasses": {"provisioner": "tests"},
            "persistentvolumeclaims": {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}},
            "deployments": {"spec": {"replicas": 1, "selector": {"matchLabels": labels},
                                     "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "a"}]}}},
                            "status": {"replicas": 1, "readyReplicas": 1}},
        }.get(plural, {})
        value = {"apiVersion": api_version, "kind": kind, **value, **more}
        status, made = self.ask("POST", self.path(api_version, plural, namespace), value)
        assert status in (201, 409), made
        if status == 201 and "status" in value:
            made["status"] = {**made.get("status", {}), **value["status"]}
            status, answer = self.ask("PUT", self.path(api_version, plural, namespace, made["metadata"]["name"]) + "/status", made)
            assert status == 200, answer

    def tell(self):
        """Writes what the machine says in the objects' status."""
        for key, value in self.objects.items():
            api_version, plural, namespace, name = key
            before, told = self.seen[key].get("status", {}), value.get("status", {})
            if plural == "jobs":
                if before.get("succeeded"):
                    continue
                ended = [{"type": kind, "status": "True", "lastTransitionTime": now()} for kind in ("SuccessCriteriaMet", "Complete")]
                told = {"startTime": now(), "completionTime": now(), "succeeded": 1, "conditions": ended}
            elif plural in ("deployments", "statefulsets") and told:
                told = {"replicas": 1, **told}
            if all(before.get(field) == said for field, said in told.items()):
                continue
            value["status"] = {**before, **told}
            status, answer = self.ask("PUT", self.path(api_version, plural, namespace, name) + "/status", value)
            # What changed or went meanwhile is looked at again.
            assert status in (200, 404, 409), answer

    def versions(self):
        """What of Teiten there is, in which version."""
        self.look()
        return {f"{kind}/{name}": value["metadata"]["resourceVersion"] for (_, kind, namespace, name), value in self.objects.items() if namespace == "teiten"}


class Deployed(cluster.Commands):
    """The commands, on a server that is one."""

    def setUp(self):
        super().setUp()
        self.server = Kubernetes(self.folder)
        self.addCleanup(self.server.close)
        (self.folder / "kubeconfig").write_text(json.dumps(self.server.config()))
        environment = self.command()[1]
        subprocess.run(["kubectl", "apply", "--server-side", "--recursive", "-f", DEFINITIONS], check=True, env=environment, stdout=subprocess.DEVNULL)
        # Of two there is no schema here; nothing of them is made, but they are asked for.
        bare = "\n---\n".join(json.dumps(bare_definition(*kind)) for kind in KNATIVE if kind[1] in ("domainmappings", "clusterdomainclaims"))
        subprocess.run(["kubectl", "apply", "--server-side", "-f", "-"], input=bare.encode(), check=True, env=environment, stdout=subprocess.DEVNULL)
        subprocess.run(["kubectl", "wait", "--for=condition=Established", "--all", "crd", "--timeout=60s"], check=True, env=environment,
                       stdout=subprocess.DEVNULL)
        self.machine = cluster.Machine(self.folder)
        self.addCleanup(self.machine.stop)
        cluster.furnish(self.server, "dev.local/teiten")

    def run_machine(self):
        """Has the machine do what a cluster would, until the result is called."""
        over, failures = threading.Event(), []

        def react():
            try:
                while not over.wait(LOOK_SECONDS):
                    self.server.look()
                    self.machine.react(self.server)
                    self.server.tell()
            except AssertionError as error:
                failures.append(error)

        thread = threading.Thread(target=react)
        thread.start()

        def stop():
            over.set()
            thread.join()
            self.assertEqual(failures, [])

        return stop

    def during(self, *command):
        """Runs a command while the machine does; what it said, if it ended well."""
        stop = self.run_machine()
        try:
            status, said = self.teiten(*command)
        finally:
            stop()
        self.assertEqual(status, 0, said)
        return said

    def test_a_camera_comes_through_again_changes_nothing_and_undeploying_leaves_the_footage_and_its_keys(self):
        self.assertIn("its pictures came through", self.during(*self.deployment()))
        before = self.server.versions()
        self.assertIn("statefulsets/bridge", before)
        self.during(*self.deployment("--no-test-camera"))
        self.assertEqual(self.server.versions(), before)
        self.assertRegex(self.during("status"), r"All \d+ parts are ready")

        self.change({"TEITEN_OVERLAY": "production", "TEITEN_MQTT": "mqtt.example.org:8883"})
        rendered = subprocess.run(["kubectl", "kustomize", self.infra / "overlays" / "production"], check=True, capture_output=True).stdout
        subprocess.run(["kubectl", "apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", "-"], input=rendered, check=True,
                       env=self.command()[1], stdout=subprocess.DEVNULL)

        self.assertIn("are still there", self.during("undeploy"))
        # The jobs go with their owner, by a controller.
        left = {name for name in self.server.versions() if not name.startswith(("jobs/", "secrets/"))}
        self.assertEqual(left, {"persistentvolumeclaims/data-storage-0", "services/broker", "services/storage"})
        self.assertEqual(self.server.find("secrets", "storage-admin")["metadata"]["resourceVersion"], before["secrets/storage-admin"])


if __name__ == "__main__":
    for needed in ("kube-apiserver", "etcd"):
        if not shutil.which(needed):
            raise SystemExit(f"put {needed} into PATH: a release of Kubernetes has it")
    unittest.main()
