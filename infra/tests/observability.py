"""The component infra/observability: it renders beside an overlay, its monitors and policy meet pods that tell their
numbers, and Prometheus' own promtool takes the alerts and sees them fire. Run by `./just test` through
scripts/manifest-tools. That the numbers exist is tests/tests/observed.rs's affair."""

import copy
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import jsonschema
import yaml
from cloudcoil.models.prometheus_operator import v1 as operator

from manifests import strict

INFRA = pathlib.Path(__file__).resolve().parent.parent
PORT = "9464"


def run(*command, folder=None):
    """Runs a command that must succeed, and returns what it wrote."""
    environment = {**os.environ, "KUBECONFIG": os.devnull}
    done = subprocess.run([str(word) for word in command], cwd=folder, env=environment,
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{command}:\n{done.stdout}{done.stderr}")
    return done.stdout


def mistakes(resource):
    """What is wrong with a resource of the Prometheus operator, by its CustomResourceDefinition; every unknown field is."""
    schema = strict(getattr(operator, resource["kind"]).model_json_schema())
    return [f"{error.json_path}: {error.message}" for error in jsonschema.Draft202012Validator(schema).iter_errors(resource)]


def maps(value):
    """Every map below a value, itself included."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from maps(inner)


class Observability(unittest.TestCase):
    """The component beside the local overlay."""

    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory(dir=INFRA / "overlays") as folder:
            kustomization = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
                             "namespace": "teiten", "resources": ["../local"], "components": ["../../observability"]}
            (pathlib.Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
            text = run("kubectl", "kustomize", folder)
        cls.resources = [resource for resource in yaml.safe_load_all(text) if resource]

    def of(self, kind):
        """The resources of a kind, by name."""
        return {r["metadata"]["name"]: r for r in self.resources if r["kind"] == kind}

    def pods(self):
        """The pods of bridge and functions, by name."""
        services = [r for r in self.resources
                    if r["kind"] == "StatefulSet" or r["apiVersion"].startswith("serving.knative.dev/")]
        return {r["metadata"]["name"]: r["spec"]["template"] for r in services if r["metadata"]["name"] != "storage"}

    def test_monitors_and_alerts_validate_strictly(self):
        resources = [r for r in self.resources if r["apiVersion"] == "monitoring.coreos.com/v1"]
        self.assertEqual(sorted(r["kind"] for r in resources), ["PodMonitor", "PodMonitor", "PrometheusRule"])
        for resource in resources:
            with self.subTest(resource["metadata"]["name"]):
                self.assertEqual(mistakes(resource), [])
                for number, place in enumerate(maps(resource["spec"])):
                    # Whoever names labels and annotations is free to.
                    if place.keys() & {"severity", "description", "app.kubernetes.io/name", "teiten.dev/role"}:
                        continue
                    wrong = copy.deepcopy(resource)
                    list(maps(wrong["spec"]))[number]["misspelt"] = "1"
                    self.assertNotEqual(mistakes(wrong), [], place)

    def test_each_pod_tells_its_numbers_where_it_says(self):
        self.assertGreaterEqual(self.pods().keys(), {"bridge", "encode", "playlist", "reconcile"})
        for name, pod in self.pods().items():
            with self.subTest(name):
                annotations = pod["metadata"]["annotations"]
                self.assertEqual(annotations["prometheus.io/scrape"], "true")
                self.assertEqual(annotations["prometheus.io/port"], PORT)
                variables = {v["name"]: v.get("value") for v in pod["spec"]["containers"][0]["env"]}
                self.assertEqual(variables["TEITEN_METRICS"], f"0.0.0.0:{PORT}")

    def test_each_pod_is_met_by_a_monitor_and_let_be_asked(self):
        allowed = self.of("NetworkPolicy")["metrics"]["spec"]
        self.assertEqual([str(port["port"]) for rule in allowed["ingress"] for port in rule["ports"]], [PORT])
        (labels,) = allowed["podSelector"]["matchExpressions"]
        for name, pod in self.pods().items():
            with self.subTest(name):
                here = pod["metadata"]["labels"]
                monitors = [m for m in self.of("PodMonitor").values()
                            if m["spec"]["selector"]["matchLabels"].items() <= here.items()]
                self.assertEqual(len(monitors), 1)
                self.assertIn(here[labels["key"]], labels["values"])

    def test_the_bridge_s_port_and_probes_agree(self):
        (container,) = self.pods()["bridge"]["spec"]["containers"]
        self.assertEqual(container["ports"], [{"name": "metrics", "containerPort": int(PORT)}])
        self.assertEqual(container["livenessProbe"]["httpGet"], {"path": "/healthz", "port": "metrics"})
        self.assertEqual(container["readinessProbe"]["httpGet"], {"path": "/readyz", "port": "metrics"})

    def test_the_dashboard_comes_as_it_is(self):
        (dashboard,) = [r for name, r in self.of("ConfigMap").items() if name.startswith("teiten-dashboard")]
        self.assertEqual(dashboard["metadata"]["labels"]["grafana_dashboard"], "1")
        panels = json.loads(dashboard["data"]["teiten.json"])["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        for panel in panels:
            self.assertTrue(panel["targets"], panel["title"])

    def test_alerts_fire_when_they_should_and_say_what_to_do(self):
        rules = self.of("PrometheusRule")["teiten"]["spec"]
        for group in rules["groups"]:
            for rule in group["rules"]:
                self.assertIn(rule["labels"]["severity"], ("warning", "critical"))
                self.assertGreater(len(rule["annotations"]["description"]), 40, rule["alert"])
        tests = (INFRA / "tests" / "alerts_test.yaml").read_text()
        for group in rules["groups"]:
            for rule in group["rules"]:
                self.assertRegex(tests, rf"\b{rule['alert']}\b", "an alert that nothing makes fire")
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "alerts.rules.yaml").write_text(yaml.safe_dump(rules))
            (folder / "alerts_test.yaml").write_text(tests)
            run("promtool", "check", "rules", "alerts.rules.yaml", folder=folder)
            run("promtool", "test", "rules", "alerts_test.yaml", folder=folder)

    def test_the_dashboard_s_queries_are_understood(self):
        """promtool reads each as a recording rule."""
        text = (INFRA / "observability" / "dashboard.json").read_text()
        expressions = [target["expr"] for panel in json.loads(text)["panels"] for target in panel["targets"]]
        self.assertGreater(len(expressions), 20)
        self.assertFalse([e for e in expressions if re.search(r"\$\w", e)], "a variable that promtool does not know")
        rules = [{"record": f"dashboard:{number}", "expr": e} for number, e in enumerate(expressions)]
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "rules.yaml"
            file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
            run("promtool", "check", "rules", file)


if __name__ == "__main__":
    unittest.main()
