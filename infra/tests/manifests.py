"""Renders every overlay and holds its resources against Kubernetes' and Knative's schemas and against the project's
own rules. Run by `./just test` through scripts/manifest-tools."""

import copy
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import jsonschema
import kubernetes_validate
import yaml

INFRA = pathlib.Path(__file__).resolve().parent.parent
# The oldest Kubernetes that `./just deploy` takes, and the newest that the schemas know.
KUBERNETES_VERSIONS = ["1.28", "1.37"]
OVERLAYS = sorted(path.name for path in (INFRA / "overlays").iterdir() if path.is_dir())


# With which overlay each component is for.
COMPONENTS = {"kafka": "production", "rabbitmq": "production", "cert-manager": "local", "minio-notification": "local",
              "metrics": "production", "traces": "production"}
FUNCTIONS = {"clip", "compact", "dead-letters", "encode", "link", "pictures", "playback", "playlist", "reconcile"}
# What asks for the token where footage is private.
GIVE_FOOTAGE_OUT = {"link", "playback", "clip"}
# cert-manager's pod that answers for a name (HTTP-01): it is made where the certificate is.
SOLVER = {"acme.cert-manager.io/http01-solver": "true"}
# Whose schemas are not among the tests'.
WITHOUT_SCHEMA = {"Certificate"}


def render(overlay):
    """The resources of an overlay."""
    return render_folder(INFRA / "overlays" / overlay)


def render_with(component, overlay):
    """The resources of an overlay with a component, a folder below infra/."""
    (INFRA.parent / "target").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=INFRA.parent / "target") as folder:
        kustomization = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
                         "resources": [f"../../infra/overlays/{overlay}"],
                         "components": [f"../../infra/{component}"]}
        (pathlib.Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return render_folder(folder)


def render_folder(folder):
    """The resources of a kustomization."""
    environment = {**os.environ, "KUBECONFIG": os.devnull}
    done = subprocess.run(["kubectl", "kustomize", str(folder)],
                          env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{folder} does not render:\n{done.stderr}")
    return [resource for resource in yaml.safe_load_all(done.stdout) if resource]


def strict(schema):
    """A CRD's schema as JSON Schema that refuses what it does not name."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if made.pop("x-kubernetes-int-or-string", False):
        made.pop("anyOf", None)
        made["type"] = ["integer", "string"]
    if made.pop("nullable", False) is True and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    # Also where the CRD would keep unknown fields: what it names is what its controller reads.
    if made.get("properties") and made.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


def custom_schemas():
    """(apiVersion, kind) → validator, of the CRDs in tests/schemas."""
    found = {}
    for path in sorted((INFRA / "tests" / "schemas").rglob("*.yaml")):
        for crd in yaml.safe_load_all(path.read_text()):
            for version in crd["spec"]["versions"]:
                schema = strict(copy.deepcopy(version["schema"]["openAPIV3Schema"]))
                schema.setdefault("properties", {}).update(
                    {"apiVersion": {}, "kind": {}, "metadata": {"type": "object"}})
                name = (f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"])
                found[name] = jsonschema.Draft7Validator(schema)
    return found


CUSTOM = custom_schemas()


def mistakes(resource, version):
    """What is wrong with a resource."""
    custom = CUSTOM.get((resource["apiVersion"], resource["kind"]))
    if custom:
        return [f"{error.json_path}: {error.message}" for error in custom.iter_errors(resource)]
    try:
        kubernetes_validate.validate(resource, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(map(str, error.path))}: {error.message}"]
    except kubernetes_validate.SchemaNotFoundError as error:
        return [error.message]
    return []


def name_of(resource):
    """Kind and name, for messages."""
    return f"{resource['kind']}/{resource['metadata']['name']}"


def pod_of(resource):
    """The pod that a resource makes, or None."""
    kind = resource["kind"]
    if kind in ("Deployment", "StatefulSet") or resource["apiVersion"].startswith("serving.knative.dev/"):
        return resource["spec"]["template"]
    if kind == "CronJob":
        return resource["spec"]["jobTemplate"]["spec"]["template"]
    return None


class Manifests(unittest.TestCase):
    """Every overlay."""

    @classmethod
    def setUpClass(cls):
        cls.overlays = {overlay: render(overlay) for overlay in OVERLAYS}
        cls.components = {component: render_with(f"components/{component}", overlay) for component, overlay in COMPONENTS.items()}
        cls.components["observability"] = render_with("observability", "local")

    def each(self, components=False):
        """Every resource of every overlay, and of those with a component if asked for, behind its name for messages."""
        for overlay, resources in [*self.overlays.items(), *(self.components.items() if components else ())]:
            for resource in resources:
                yield f"{overlay}: {name_of(resource)}", resource

    def test_every_resource_validates_strictly(self):
        for where, resource in self.each():
            with self.subTest(where):
                for version in KUBERNETES_VERSIONS:
                    self.assertEqual(mistakes(resource, version), [])

    def test_every_component_renders_validates_and_changes_what_it_is_for(self):
        self.assertEqual(set(COMPONENTS), {path.name for path in (INFRA / "components").iterdir() if path.is_dir()})
        for component, overlay in COMPONENTS.items():
            with self.subTest(component):
                resources = self.components[component]
                self.assertNotEqual(resources, self.overlays[overlay])
                for resource in resources:
                    self.assertEqual(resource["metadata"].get("namespace", "teiten"), "teiten")
                    if resource["kind"] not in WITHOUT_SCHEMA:
                        self.assertEqual(mistakes(resource, KUBERNETES_VERSIONS[0]), [], name_of(resource))
                brokers = [r["metadata"]["annotations"]["eventing.knative.dev/broker.class"]
                           for r in resources if r["kind"] == "Broker"]
                self.assertEqual(brokers, [{"kafka": "Kafka", "rabbitmq": "RabbitMQBroker"}.get(component, "MTChannelBasedBroker")])

    def test_on_rabbitmq_an_event_of_the_live_path_that_is_refused_holds_no_other_up(self):
        """By default, one worker does each event with all its tries. More than 1000 are refused."""
        triggers = {r["metadata"]["name"]: r["metadata"].get("annotations", {}).get("rabbitmq.eventing.knative.dev/parallelism")
                    for r in self.components["rabbitmq"] if r["kind"] == "Trigger"}
        chores = dict.fromkeys(("reconcile", "pictures", "compact"))
        live = {name: int(workers or 1) for name, workers in triggers.items() if name not in chores}
        self.assertEqual({name: triggers[name] for name in chores}, chores, "these are done one after another")
        self.assertEqual(live.keys(), {"encode", "playlist-segment", "playlist-missed", "playlist-sensor"})
        for name, workers in live.items():
            self.assertIn(workers, range(100, 1001), name)

    def test_certificates_by_cert_manager_last_as_long_as_cameras_do(self):
        """Mosquitto reads its own at start alone, which may be years ago."""
        made = [r["spec"] for r in self.components["cert-manager"] if r["kind"] == "Certificate"]
        self.assertEqual({spec["secretName"] for spec in made}, {"broker-tls", "bridge-tls"})
        self.assertEqual({(spec["duration"], spec["renewBefore"]) for spec in made}, {("87600h", "8760h")})

    def test_a_misspelt_field_is_found(self):
        def first(kind, group=""):
            return copy.deepcopy(next(r for r in self.overlays["local"]
                                      if r["kind"] == kind and r["apiVersion"].startswith(group)))
        bridge = first("StatefulSet")
        bridge["spec"]["template"]["spec"]["containers"][0]["securityContexts"] = {}
        function = first("Service", "serving.knative.dev/")
        function["spec"]["template"]["spec"]["containerConcurency"] = 1
        trigger = first("Trigger")
        trigger["spec"]["delivery"]["backOffPolicy"] = "linear"
        for resource in (bridge, function, trigger):
            self.assertNotEqual(mistakes(resource, KUBERNETES_VERSIONS[0]), [], name_of(resource))

    def test_every_pod_is_restricted_with_a_read_only_root(self):
        for where, resource in self.each():
            with self.subTest(where):
                template = pod_of(resource)
                if template is None:
                    continue
                pod = template["spec"]
                outer = pod.get("securityContext", {})
                self.assertIs(pod.get("automountServiceAccountToken"), False)
                self.assertFalse({"hostNetwork", "hostPID", "hostIPC"} & pod.keys())
                for volume in pod.get("volumes", []):
                    self.assertFalse(volume.keys() - {"name", "configMap", "secret", "emptyDir"})
                for container in pod["containers"] + pod.get("initContainers", []):
                    inner = {**outer, **container["securityContext"]}
                    self.assertIs(inner["runAsNonRoot"], True)
                    self.assertNotEqual(inner["runAsUser"], 0)
                    self.assertIs(inner["readOnlyRootFilesystem"], True)
                    self.assertIs(inner["allowPrivilegeEscalation"], False)
                    self.assertEqual(inner["capabilities"], {"drop": ["ALL"]})
                    self.assertEqual(inner["seccompProfile"], {"type": "RuntimeDefault"})
                    self.assertIn("memory", container["resources"]["limits"])
                    self.assertIn("cpu", container["resources"]["requests"])

    def test_what_has_neither_a_volume_nor_a_name_of_its_own_is_made_elsewhere_when_its_node_dies(self):
        """A StatefulSet's pod is waited for, until somebody says that the node is gone; so is one that is to go, by a strategy of Recreate."""
        for where, resource in self.each():
            with self.subTest(where):
                if resource["kind"] == "StatefulSet":
                    is_named = "fieldPath: metadata.name" in yaml.safe_dump(pod_of(resource))
                    self.assertTrue(is_named or resource["spec"].get("volumeClaimTemplates"))
                elif resource["kind"] == "Deployment":
                    self.assertEqual(resource["spec"]["strategy"]["type"], "RollingUpdate")

    def test_a_bridge_has_room_for_all_that_it_may_keep_at_a_time(self):
        for where, resource in self.each(components=True):
            if (resource["kind"], resource["metadata"]["name"]) == ("StatefulSet", "bridge"):
                container = pod_of(resource)["spec"]["containers"][0]
                environment = {item["name"]: item.get("value") for item in container["env"]}
                buffer = int(environment["TEITEN_BUFFER_MIB"])
                # In MiB, by bridge/src: copies for the store (store.rs), pictures of other bridges' cameras (bridge.rs), 16
                # messages and one that is being read (mqtt.rs), 32 768 events that wait (delivery.rs), and the program.
                most = buffer + max(buffer / 4, 128) + buffer / 8 + 17 * 4 + 32 * 4 + 32
                with self.subTest(where):
                    limit = re.fullmatch(r"(\d+)(Mi|Gi)", container["resources"]["limits"]["memory"])
                    self.assertLessEqual(most, int(limit[1]) * {"Mi": 1, "Gi": 1024}[limit[2]])

    def test_the_store_s_volume_and_who_reads_it_are_as_the_settings_say_and_no_other_setting_starts_it_anew(self):
        settings = dict(line.split("=", 1) for line in (INFRA / "settings" / "teiten.env").read_text().splitlines() if re.match("[A-Z]", line))
        (store,) = [r for r in self.overlays["local"] if (r["kind"], r["metadata"]["name"]) == ("StatefulSet", "storage")]
        (volume,) = store["spec"]["volumeClaimTemplates"]
        self.assertEqual(volume["spec"]["resources"]["requests"]["storage"], settings["TEITEN_STORAGE_SIZE"])
        (container,) = pod_of(store)["spec"]["containers"]
        self.assertIn({"name": "MINIO_API_CORS_ALLOW_ORIGIN", "value": settings["TEITEN_CORS_ORIGIN"]}, container["env"])
        self.assertNotIn("configMap", yaml.safe_dump(pod_of(store)), "a ConfigMap's name changes with any value in it")

    def test_the_namespace_enforces_the_restricted_standard_but_beside_rabbitmqs_pods(self):
        found = {}
        for where, resource in self.each(components=True):
            if resource["kind"] == "Namespace":
                labels = resource["metadata"]["labels"]
                found[where.partition(":")[0]] = [labels[f"pod-security.kubernetes.io/{what}"] for what in ("enforce", "warn", "audit")]
        self.assertEqual(found, {name: ["baseline" if name == "rabbitmq" else "restricted", "restricted", "restricted"]
                                 for name in [*self.overlays, *self.components]})

    def test_everything_has_the_label_that_undeploying_goes_by(self):
        for where, resource in self.each(components=True):
            with self.subTest(where):
                self.assertEqual(resource["metadata"].get("labels", {}).get("app.kubernetes.io/part-of"), "teiten")

    def test_undeploying_asks_for_every_kind_that_is_made_and_for_no_other(self):
        text = (INFRA / "cluster" / "src" / "undeploy.rs").read_text()
        asked = re.findall(r'"([^"]+)"', re.search(r"const KINDS: [^=]+= \[(.*?)\];", text, re.DOTALL)[1])
        made = {(resource["apiVersion"].rpartition("/")[0], re.sub("y$", "ie", resource["kind"].lower()) + "s")
                for _, resource in self.each(components=True) if resource["kind"] != "Namespace"}
        # As kubectl reads them: a version behind the plural where there is no group.
        found = {(group.removeprefix("v1.") if "." in group else group, plural)
                 for plural, _, group in (kind.partition(".") for kind in asked)}
        self.assertEqual(found, made)

    def test_no_secret_is_in_a_manifest(self):
        for where, resource in self.each():
            with self.subTest(where):
                self.assertNotEqual(resource["kind"], "Secret")
                text = yaml.safe_dump(resource)
                self.assertNotIn("PRIVATE KEY", text)
                template = pod_of(resource)
                for container in template["spec"]["containers"] if template else []:
                    for variable in container.get("env", []):
                        if re.search("SECRET|PASSWORD|ACCESS_KEY", variable["name"]):
                            self.assertNotIn("value", variable)

    def test_what_no_policy_allows_is_forbidden(self):
        for overlay, resources in self.overlays.items():
            with self.subTest(overlay=overlay):
                policies = [r["spec"] for r in resources if r["kind"] == "NetworkPolicy"]
                self.assertIn({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}, policies)

    def test_names_are_answered_wherever_the_cluster_has_them_answered(self):
        """On a node too, which no selector meets."""
        for where, resource in self.each():
            if (resource["kind"], resource["metadata"]["name"]) == ("NetworkPolicy", "names"):
                with self.subTest(where):
                    self.assertEqual(resource["spec"]["podSelector"], {})
                    (rule,) = resource["spec"]["egress"]
                    self.assertNotIn("to", rule)
                    self.assertEqual([(port["port"], port["protocol"]) for port in rule["ports"]], [(53, "UDP"), (53, "TCP")])

    def test_who_gets_certificates_for_the_functions_names_is_reached_as_the_functions_are(self):
        for overlay, resources in self.overlays.items():
            with self.subTest(overlay):
                policies = {r["metadata"]["name"]: r["spec"] for r in resources if r["kind"] == "NetworkPolicy"}
                (rule,) = policies["certificates"]["ingress"]
                self.assertEqual(policies["certificates"]["podSelector"], {"matchLabels": SOLVER})
                self.assertEqual(rule, {"from": policies["functions"]["ingress"][0]["from"], "ports": [{"port": 8089, "protocol": "TCP"}]})

    def test_every_network_policy_meets_a_pod(self):
        for overlay, resources in self.overlays.items():
            pods = [pod_of(r)["metadata"]["labels"] for r in resources if pod_of(r)] + [SOLVER]
            for policy in (r for r in resources if r["kind"] == "NetworkPolicy"):
                wanted = policy["spec"]["podSelector"].get("matchLabels", {})
                with self.subTest(overlay=overlay, policy=name_of(policy)):
                    self.assertTrue(any(wanted.items() <= labels.items() for labels in pods))

    def test_images_are_where_the_settings_say(self):
        for where, resource in self.each():
            with self.subTest(where):
                template = pod_of(resource)
                spec = template["spec"] if template else {}
                for container in spec.get("containers", []) + spec.get("initContainers", []):
                    self.assertNotRegex(container["image"], r"^teiten/|:version$|teiten/.*teiten/")
                    # `./just deploy` gives ours their tag, where the settings name none.
                    self.assertRegex(container["image"], r"^(dev\.local/teiten/[^:]+:|[^:]+/[^:]+:[^:]+)$")

    def test_what_is_named_exists(self):
        for overlay, resources in self.overlays.items():
            maps = {r["metadata"]["name"] for r in resources if r["kind"] == "ConfigMap"}
            there = {(r["apiVersion"], r["kind"], r["metadata"]["name"]) for r in resources}
            for resource in resources:
                with self.subTest(overlay=overlay, resource=name_of(resource)):
                    text = yaml.safe_dump(resource)
                    for name in re.findall(r"configMap(?:Ref)?:\n\s+name: (\S+)", text):
                        self.assertIn(name, maps)
                    if "knative.dev" in resource["apiVersion"] and resource["kind"] != "Service":
                        for reference in references(resource["spec"]):
                            self.assertIn(reference, there)

    def test_every_function_on_the_live_path_stays_warm(self):
        for where, resource in self.each():
            with self.subTest(where):
                if resource["metadata"]["name"] in ("encode", "playlist") and resource["kind"] == "Service":
                    scale = resource["spec"]["template"]["metadata"]["annotations"]["autoscaling.knative.dev/min-scale"]
                    self.assertGreaterEqual(int(scale), 1)
                    self.assertGreater(resource["spec"]["template"]["spec"]["containerConcurrency"], 0)

    def test_a_ping_reaches_its_chore_and_no_other(self):
        for overlay, resources in self.overlays.items():
            with self.subTest(overlay=overlay):
                triggers = {r["metadata"]["name"]: r["spec"] for r in resources if r["kind"] == "Trigger"}
                pings = [r for r in resources if r["kind"] == "PingSource"]
                self.assertEqual({r["metadata"]["name"] for r in pings}, {"reconcile", "pictures", "compact"})
                for ping in pings:
                    name = ping["metadata"]["name"]
                    event = {"type": "dev.knative.sources.ping", **ping["spec"]["ceOverrides"]["extensions"]}
                    met = [spec["subscriber"]["ref"]["name"] for spec in triggers.values()
                           if spec["filter"]["attributes"].items() <= event.items()]
                    self.assertEqual(met, [name])

    def test_what_reconcile_sends_again_always_reaches_who_it_is_for(self):
        for name, resources in [*self.overlays.items(), *self.components.items()]:
            with self.subTest(name):
                filters = {(spec["filter"]["attributes"]["type"], spec["subscriber"]["ref"]["name"])
                           for spec in (r["spec"] for r in resources if r["kind"] == "Trigger") if len(spec["filter"]["attributes"]) == 1}
                self.assertLessEqual({("teiten.batch.stored", "encode"), ("teiten.segment.stored", "playlist")}, filters)

    def test_each_part_has_keys_of_its_own_and_the_set_up_makes_users_of_them_all(self):
        for overlay, resources in self.overlays.items():
            with self.subTest(overlay=overlay):
                (job,) = [pod_of(r)["spec"] for r in resources if r["kind"] == "CronJob"]
                secrets = {v["secret"]["secretName"] for v in job["volumes"] if "secret" in v}
                (users,) = job["containers"]
                mounted = {m["name"]: m["mountPath"] for m in users["volumeMounts"] if m["mountPath"].startswith("/keys/")}
                parts = {r["metadata"]["name"]: r for r in resources if r["apiVersion"] == "serving.knative.dev/v1"
                         or r["metadata"]["name"] == "bridge" and r["kind"] == "StatefulSet"}
                self.assertEqual(set(parts), FUNCTIONS | {"bridge"})
                self.assertEqual(mounted, {name: f"/keys/{name}" for name in parts})
                self.assertEqual(secrets, {f"storage-{name}" for name in parts})
                for name, part in parts.items():
                    named = [source["secretRef"]["name"] for source in pod_of(part)["spec"]["containers"][0]["envFrom"]
                             if "secretRef" in source]
                    gives = ["link-token"] if name in GIVE_FOOTAGE_OUT else []
                    self.assertEqual(named, [f"storage-{name}"] + gives)

    def test_only_what_players_ask_is_reached_from_outside(self):
        for where, resource in self.each():
            if resource["apiVersion"] == "serving.knative.dev/v1":
                with self.subTest(where):
                    visibility = resource["metadata"]["labels"].get("networking.knative.dev/visibility")
                    outside = resource["metadata"]["name"] in ("playback", "clip")
                    self.assertEqual(visibility, None if outside else "cluster-local")

    def test_chores_are_done_one_at_a_time_and_nobody_waits_longer_than_knative_lets(self):
        for where, resource in self.each():
            if resource["apiVersion"] == "serving.knative.dev/v1":
                with self.subTest(where):
                    template, name = resource["spec"]["template"], resource["metadata"]["name"]
                    # config-defaults: max-revision-timeout-seconds.
                    self.assertLessEqual(template["spec"]["timeoutSeconds"], 600)
                    # config-defaults: revision-response-start-timeout-seconds. A chore answers once it is done.
                    if template["spec"]["timeoutSeconds"] > 300:
                        self.assertEqual(template["spec"].get("responseStartTimeoutSeconds"), template["spec"]["timeoutSeconds"])
                    scale = template["metadata"]["annotations"]
                    if name in ("reconcile", "pictures", "compact"):
                        self.assertEqual((template["spec"]["containerConcurrency"], scale["autoscaling.knative.dev/max-scale"]), (1, "1"))
                    if name not in ("encode", "playlist"):
                        self.assertEqual(scale["autoscaling.knative.dev/min-scale"], "0")

    def test_arrows_from_functions_end_at_the_store_but_for_reconcile_s(self):
        def ends(policy):
            return [(sorted(str(peer.get("podSelector", {}).get("matchLabels")) for peer in rule["to"]),
                     [port["port"] for port in rule["ports"]]) for rule in policy.get("egress", [])]
        policies = {r["metadata"]["name"]: r["spec"] for r in self.overlays["local"] if r["kind"] == "NetworkPolicy"}
        self.assertEqual(policies["functions"]["podSelector"], {"matchLabels": {"teiten.dev/role": "function"}})
        self.assertEqual(ends(policies["functions"]), [(["{'app.kubernetes.io/name': 'storage'}"], [9000])])
        for name in FUNCTIONS - {"reconcile"}:
            self.assertFalse([policy for policy, spec in policies.items()
                              if spec["podSelector"].get("matchLabels") == {"app.kubernetes.io/name": name}], name)

    def test_nobody_asks_for_numbers_unless_the_component_lets_them(self):
        def opens(resources):
            policies = [r for r in resources if r["kind"] == "NetworkPolicy"]
            return [r["metadata"]["name"] for r in policies for rule in r["spec"].get("ingress", [])
                    if not rule.get("ports") or 9464 in [port["port"] for port in rule["ports"]]]
        for overlay, resources in self.overlays.items():
            with self.subTest(overlay):
                self.assertEqual(opens(resources), [])
        for component in ("metrics", "observability"):
            with self.subTest(component):
                self.assertEqual(opens(self.components[component]), ["metrics"])

    def test_whatever_tells_traces_may_reach_the_collector(self):
        """Bridge and host set traces up; every function runs in the host."""
        resources = self.components["traces"]
        (policy,) = [r["spec"] for r in resources if r["kind"] == "NetworkPolicy" and r["metadata"]["name"] == "traces"]
        (labels,) = policy["podSelector"]["matchExpressions"]
        self.assertEqual((labels["key"], labels["operator"]), ("app.kubernetes.io/name", "In"))
        self.assertEqual(set(labels["values"]), FUNCTIONS | {"bridge"})
        project = INFRA.parent
        self.assertIn("init_traces(", (project / "bridge" / "src" / "bridge.rs").read_text())
        for name in FUNCTIONS:
            program = (project / "functions" / name / "src" / "main.rs").read_text()
            self.assertIn("teiten_host::run", program, name)

    def test_links_are_given_inside_the_cluster_only_and_for_a_token(self):
        for where, resource in self.each():
            with self.subTest(where):
                if resource["metadata"]["name"] == "link" and resource["kind"] == "Service":
                    self.assertEqual(resource["metadata"]["labels"]["networking.knative.dev/visibility"], "cluster-local")
                    container = resource["spec"]["template"]["spec"]["containers"][0]
                    self.assertIn({"secretRef": {"name": "link-token"}}, container["envFrom"])

    def test_every_trigger_retries_with_growing_pauses_and_has_dead_letters(self):
        for where, resource in self.each():
            with self.subTest(where):
                if resource["kind"] == "Trigger":
                    delivery = resource["spec"]["delivery"]
                    self.assertEqual(delivery["backoffPolicy"], "exponential")
                    self.assertGreaterEqual(delivery["retry"], 1)
                    self.assertEqual(delivery["deadLetterSink"]["ref"]["name"], "dead-letters")


def references(value):
    """Every `ref`, `subject` and the like below a value: (apiVersion, kind, name)."""
    if isinstance(value, dict):
        if value.keys() >= {"apiVersion", "kind", "name"}:
            yield value["apiVersion"], value["kind"], value["name"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


if __name__ == "__main__":
    unittest.main()
