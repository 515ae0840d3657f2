"""A stand-in for Kubernetes' API server, for tests of what speaks to it through kubectl: discovery, objects, server-side apply (maps
are merged, lists replaced, fields that are applied no more are taken out). It is no Kubernetes: nothing runs because of what is in it, except what a test does in `react`. The
schemas are checked elsewhere (manifests.py)."""

import copy
import http.server
import json
import re
import threading
import time
import urllib.parse
import uuid

import yaml

# (API version, plural, kind, in namespaces)
KINDS = [
    ("v1", "namespaces", "Namespace", False), ("v1", "nodes", "Node", False), ("v1", "secrets", "Secret", True),
    ("v1", "configmaps", "ConfigMap", True), ("v1", "services", "Service", True), ("v1", "pods", "Pod", True),
    ("v1", "persistentvolumeclaims", "PersistentVolumeClaim", True),
    ("apps/v1", "deployments", "Deployment", True), ("apps/v1", "statefulsets", "StatefulSet", True),
    ("apps/v1", "daemonsets", "DaemonSet", True),
    ("batch/v1", "jobs", "Job", True), ("batch/v1", "cronjobs", "CronJob", True),
    ("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", True),
    ("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy", True),
    ("storage.k8s.io/v1", "storageclasses", "StorageClass", False),
]
KNATIVE = [
    ("serving.knative.dev/v1", "services", "Service", True),
    ("serving.knative.dev/v1beta1", "domainmappings", "DomainMapping", True),
    ("networking.internal.knative.dev/v1alpha1", "clusterdomainclaims", "ClusterDomainClaim", False),
    ("eventing.knative.dev/v1", "brokers", "Broker", True), ("eventing.knative.dev/v1", "triggers", "Trigger", True),
    ("sources.knative.dev/v1", "pingsources", "PingSource", True),
    ("sources.knative.dev/v1", "sinkbindings", "SinkBinding", True),
]
PATH = re.compile(r"^/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+/[^/]+))(?:/namespaces/(?P<namespace>[^/]+))?"
                  r"/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?$")


def merge(old, new):
    """What applying `new` makes of `old`."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: merge(old.get(key), value) for key, value in new.items()}}
    return new


def prune(value, before, now):
    """Takes out of `value` what was applied before and is not now: it belonged to who applies."""
    for field in set(before) - set(now):
        value.pop(field, None)
    for field in set(before) & set(now):
        if all(isinstance(one.get(field), dict) for one in (value, before, now)):
            prune(value[field], before[field], now[field])


class Refusal(Exception):
    """A status that the server answers."""

    def __init__(self, code, reason, message):
        super().__init__(message)
        self.code, self.body = code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                                      "reason": reason, "message": message}


class Objects:
    """What there is in a server, by API version, plural, namespace and name."""

    def __init__(self):
        self.objects = {}

    def find(self, plural, name, api_version=None):
        """An object of Teiten's namespace, or None."""
        for (version, plurals, _, named), value in self.objects.items():
            if plurals == plural and named == name and api_version in (None, version):
                return value
        return None

    def all(self, plural, api_version=None):
        """All objects of a plural."""
        return [value for (version, plurals, _, _), value in self.objects.items()
                if plurals == plural and api_version in (None, version)]


class ApiServer(Objects):
    """The server. `react(server)` is called after every change, with the lock held."""

    def __init__(self, version, kinds, react=lambda server: None):
        super().__init__()
        self.version, self.kinds, self.react = version, kinds, react
        self.lock = threading.RLock()
        self.applied, self.revision, self.writes = {}, 0, []
        # The plurals that nobody may list.
        self.forbidden = set()
        handler = type("Handler", (Handler,), {"server_state": self})
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        """Stops answering."""
        self.http.shutdown()
        self.http.server_close()

    def kind(self, api_version, plural):
        """The kind of a plural."""
        for version, name, kind, namespaced in self.kinds:
            if (version, name) == (api_version, plural):
                return kind, namespaced
        raise Refusal(404, "NotFound", f"the server could not find the requested resource {plural}.{api_version}")

    def store(self, api_version, plural, value, status=False):
        """Stores an object, and gives it what a server gives. A status is no change of the object's generation."""
        kind, namespaced = self.kind(api_version, plural)
        metadata = value.setdefault("metadata", {})
        namespace = metadata.setdefault("namespace", "teiten") if namespaced else None
        if namespaced and ("v1", "namespaces", None, namespace) not in self.objects:
            raise Refusal(404, "NotFound", f'namespaces "{namespace}" not found')
        key = (api_version, plural, namespace, metadata["name"])
        old = self.objects.get(key)
        value = {"apiVersion": api_version, "kind": kind, **value}
        if old == value:
            return old
        self.revision += 1
        generation = metadata.get("generation", 0)
        metadata["creationTimestamp"] = metadata.get("creationTimestamp") or time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        metadata.update(resourceVersion=str(self.revision), uid=metadata.get("uid", str(uuid.uuid4())),
                        generation=generation if status and generation else generation + 1)
        self.objects[key] = value
        return value

    def write(self, what, api_version, plural, value):
        """A client's write."""
        with self.lock:
            there = self.find(plural, value["metadata"]["name"], api_version) if plural == "statefulsets" else None
            if there and there["spec"].get("volumeClaimTemplates") != value["spec"].get("volumeClaimTemplates"):
                raise Refusal(422, "Invalid", "spec: Forbidden: updates to statefulset spec for fields other than … are forbidden")
            before = self.revision
            stored = self.store(api_version, plural, value)
            if self.revision != before:
                self.writes.append(f"{what} {plural}/{stored['metadata']['name']}")
                self.react(self)
            return stored

    def discovery(self, path):
        """The answer to a question of discovery, or None."""
        versions = sorted({version for version, *_ in self.kinds})
        if path == "/version":
            major, minor = re.match(r"v(\d+)\.(\d+)", self.version).groups()
            return {"major": major, "minor": minor, "gitVersion": self.version, "platform": "linux/arm64"}
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            groups = [{"name": version.split("/")[0], "versions": [{"groupVersion": version, "version": version.split("/")[1]}],
                       "preferredVersion": {"groupVersion": version, "version": version.split("/")[1]}}
                      for version in versions if "/" in version]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        prefix, folder = ("/openapi/v3", "openapi") if path.startswith("/openapi/v3") else ("", "")
        if path == prefix and folder:
            return {"paths": {("apis/" if "/" in version else "api/") + version:
                              {"serverRelativeURL": f"/openapi/v3/{'apis' if '/' in version else 'api'}/{version}"}
                              for version in versions}}
        version = re.sub("^/apis?/", "", path.removeprefix(prefix))
        if version not in versions:
            return None
        kinds = [(plural, kind, namespaced) for group, plural, kind, namespaced in self.kinds if group == version]
        if folder:
            # As much of a schema as tells kubectl that the server checks fields itself.
            group, _, number = version.rpartition("/")
            return {"openapi": "3.0.0", "info": {"title": "stand-in", "version": "0"}, "paths": {
                f"{path.removeprefix(prefix)}/{'namespaces/{namespace}/' if namespaced else ''}{plural}/{{name}}": {"patch": {
                    "parameters": [{"name": "fieldValidation", "in": "query"}],
                    "x-kubernetes-group-version-kind": {"group": group, "version": number, "kind": kind}}}
                for plural, kind, namespaced in kinds}}
        verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": [
            {"name": plural, "singularName": kind.lower(), "kind": kind, "namespaced": namespaced, "verbs": verbs}
            for plural, kind, namespaced in kinds]}


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    server_state = None
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, body, code=200):
        """Answers in JSON, or nothing."""
        text = json.dumps(body).encode() if body else b""
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def handle_request(self):
        """Any method."""
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        try:
            known = self.server_state.discovery(url.path) if self.command == "GET" else None
            self.answer(*((known,) if known else self.act(url.path, query, body)))
        except Refusal as refusal:
            self.answer(refusal.body, refusal.code)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_request

    def act(self, path, query, body):
        """What a request does: its answer and status."""
        state, match = self.server_state, PATH.match(path)
        if path.startswith("/api/v1/namespaces/") and path.count("/") == 4:
            plural, namespace, name, version = "namespaces", None, path.split("/")[4], "v1"
        elif match:
            plural, namespace, name = match["plural"], match["namespace"], match["name"]
            version = match["core"] or match["group"]
        else:
            raise Refusal(404, "NotFound", f"the server could not find the requested resource {path}")
        kind, _ = state.kind(version, plural)
        with state.lock:
            key = (version, plural, namespace, name)
            there = state.objects.get(key)
            if self.command == "POST":
                value = yaml.safe_load(body)
                value["metadata"].setdefault("namespace", namespace)
                return copy.deepcopy(state.write("create", version, plural, value)), 201
            if "watch" in query:
                # Who watches sees nothing, and asks again.
                return None, 200
            if name is None:
                return self.list(version, plural, kind, namespace, query), 200
            if self.command == "PATCH":
                if there is None and "apply-patch" not in self.headers["Content-Type"]:
                    raise Refusal(404, "NotFound", f'{plural} "{name}" not found')
                merged, new = copy.deepcopy(there or {}), yaml.safe_load(body)
                if "apply-patch" in self.headers["Content-Type"]:
                    prune(merged, state.applied.get(key, {}), new)
                    state.applied[key] = copy.deepcopy(new)
                merged = merge(merged, new)
                return copy.deepcopy(state.write("apply", version, plural, merged)), 200
            if there is None:
                raise Refusal(404, "NotFound", f'{plural} "{name}" not found')
            if self.command == "DELETE":
                self.delete(key)
                state.writes.append(f"delete {plural}/{name}")
                state.react(state)
            return copy.deepcopy(there), 200

    def delete(self, key):
        """Deletes an object; with a namespace, all that is in it. What has finalizers is marked, and stays until somebody takes them off."""
        objects = self.server_state.objects
        inside = [other for other in objects if key[1] == "namespaces" and other[2] == key[3]]
        for other in inside:
            self.delete(other)
        if objects[key]["metadata"].get("finalizers") or objects.keys() & set(inside):
            objects[key]["metadata"]["deletionTimestamp"] = "2026-11-23T04:05:06Z"
        else:
            del objects[key]

    def list(self, version, plural, kind, namespace, query):
        """A list, of one namespace or of all."""
        if plural in self.server_state.forbidden:
            raise Refusal(403, "Forbidden", f'{plural} is forbidden: User "tester" cannot list resource "{plural}" at the cluster scope')
        wanted = dict(pair.split("=", 1) for pair in query.get("labelSelector", "").replace("==", "=").split(",") if pair)
        fields = dict(pair.split("=", 1) for pair in query.get("fieldSelector", "").split(",") if pair)
        items = [copy.deepcopy(value) for (group, plurals, place, name), value in self.server_state.objects.items()
                 if (group, plurals) == (version, plural) and namespace in (None, place)
                 and wanted.items() <= value["metadata"].get("labels", {}).items()
                 and fields.get("metadata.name") in (None, name)]
        return {"kind": f"{kind}List", "apiVersion": version, "metadata": {"resourceVersion": str(self.server_state.revision)},
                "items": items}
