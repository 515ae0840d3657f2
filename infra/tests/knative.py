"""Holds every overlay and component against Knative's own code (infra/tests/knative, in Go): what its webhooks say, what SinkBindings
put into pods, and whether Pod Security lets the pods start that Serving makes. Run by `./just test-knative` through
scripts/manifest-tools."""

import copy
import pathlib
import subprocess
import unittest

import yaml

import manifests

FOLDER = pathlib.Path(__file__).resolve().parent / "knative"
PROGRAM = manifests.INFRA.parent / "target" / "knative-judge"


def judge(resources):
    """What Knative says of resources: a line for each, refusals begin with REFUSED behind the name."""
    done = subprocess.run([PROGRAM], cwd=FOLDER, input=yaml.safe_dump_all(resources), capture_output=True, text=True, check=False)
    if done.returncode > 1:
        raise AssertionError(done.stderr)
    return done.stdout.splitlines()


def refused(resources):
    """What it refuses."""
    return [line for line in judge(resources) if " REFUSED " in line]


class Knative(unittest.TestCase):
    """Every overlay, and every component with its overlay."""

    @classmethod
    def setUpClass(cls):
        PROGRAM.parent.mkdir(exist_ok=True)
        subprocess.run(["go", "build", "-o", PROGRAM, "."], cwd=FOLDER, check=True)
        cls.rendered = {overlay: manifests.render(overlay) for overlay in manifests.OVERLAYS}
        cls.rendered.update({component: manifests.render_with(f"components/{component}", overlay)
                             for component, overlay in manifests.COMPONENTS.items()})

    def test_knative_takes_everything_and_lets_every_pod_start(self):
        for name, resources in self.rendered.items():
            with self.subTest(name):
                lines = judge(resources)
                self.assertEqual([line for line in lines if " REFUSED " in line], [])
                kinds = [r for r in resources if "knative.dev" in r["apiVersion"]]
                self.assertEqual(len([line for line in lines if line.endswith(" admitted")]), len(kinds))
                bindings = [r for r in resources if r["kind"] == "SinkBinding"]
                self.assertEqual(len([line for line in lines if line.endswith(" bound")]), len(bindings))
                pods = [line for line in lines if " pod " in line]
                self.assertEqual(len(pods), len([r for r in resources if manifests.pod_of(r)]))

    def test_what_is_wrong_is_refused(self):
        def changed(kind, group, change):
            resources = copy.deepcopy(self.rendered["local"])
            change(next(r for r in resources if r["kind"] == kind and r["apiVersion"].startswith(group))["spec"])
            return refused(resources)
        for kind, group, change in [
            # More than config-defaults allow.
            ("Service", "serving", lambda spec: spec["template"]["spec"].update(timeoutSeconds=601)),
            ("Service", "serving", lambda spec: spec["template"]["spec"].update(containerConcurency=1)),
            ("Service", "serving", lambda spec: spec["template"]["spec"].update(hostNetwork=True)),
            ("Service", "serving", lambda spec: spec["template"]["spec"]["containers"][0].pop("securityContext")),
            ("Service", "serving", lambda spec: spec["template"]["metadata"]["annotations"].update(
                {"autoscaling.knative.dev/min-scale": "9", "autoscaling.knative.dev/max-scale": "1"})),
            ("Trigger", "eventing", lambda spec: spec["delivery"].update(backoffDelay="0.5s")),
            ("Trigger", "eventing", lambda spec: spec["filter"]["attributes"].update({"Chore": "x"})),
            ("PingSource", "sources", lambda spec: spec.update(schedule="* * * *")),
            ("StatefulSet", "apps", lambda spec: spec["template"]["spec"].update(hostNetwork=True)),
        ]:
            self.assertNotEqual(changed(kind, group, change), [], kind)


if __name__ == "__main__":
    unittest.main()
