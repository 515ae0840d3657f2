"""The recipes and the shell scripts that have decisions in them, run as they are. What they call (mc, kubectl, programs) is a recorder
of calls here, with answers of the tests: what MinIO and a cluster would do is not seen. Run by `./just test`."""

import concurrent.futures
import http.server
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import tempfile
import threading
import unittest
import unittest.mock

from programs import PROJECT

# Notes its arguments, and answers what stands in the file that is named after their first three, or after all of them.
RECORDER = """#!/bin/sh
here=$(dirname "$0")
[ "$1" = --quiet ] && shift
echo "$*" >> "$here/calls"
cat "$here/$1-$2-$3" 2>/dev/null || cat "$here/$*" 2>/dev/null || :
"""

# Notes itself and its arguments, each as it is.
EXACT_RECORDER = """#!/bin/sh
printf '%s\\0' "${0##*/}" "$@" >> "$CALLS"
echo >> "$CALLS"
"""
# Notes nothing, and builds recorders.
CARGO = """#!/bin/sh
mkdir -p "${CARGO_TARGET_DIR:-target}/debug"
cp "$RECORDER" "${CARGO_TARGET_DIR:-target}/debug/teiten-dev"
"""
# Installing makes the programs, and starts the service.
MACHINE_WITH_SERVICES = {
    "sudo": '"$@"',
    "apt-get": '[ "$1" != install ] || { touch "$here"/{prometheus,promtool,runs}; chmod +x "$here"/prom*; }',
    "systemctl": 'if [ "$2" = is-active ]; then [ -e "$here/runs" ]; else echo "$*" >> "$here/calls"; fi',
}
HARD_WORDS = ["Ann's yard", "", "--wifi", "pa$$word; echo `x` & \"y\" * \\ {{ z }}"]
# Builds nothing: writes a text in the place of each program that it is asked for.
COMPILER = """#!/bin/sh
while [ $# -gt 0 ]; do
  case "$1" in
    --target-dir) folder=$2 ;;
    --profile) profile=$2 ;;
    --target) targets="$targets $2" ;;
    --package) for target in $targets; do mkdir -p "$folder/$target/$profile" && echo "$PROGRAM" >"$folder/$target/$profile/$2"; done ;;
  esac
  shift
done
"""


def made_key(component, letter):
    """An access key as deploy makes it."""
    return f"{component}-"[:12].ljust(20, letter)


class Scripts(unittest.TestCase):
    """Each script in a folder of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for name in ("mc", "kubectl"):
            recorder = self.folder / name
            recorder.write_text(RECORDER)
            recorder.chmod(0o755)

    def run_script(self, script, *arguments, project=PROJECT, **environment):
        """Runs a script; returns its status and what it said."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TEITEN_"))}
        done = subprocess.run([project / script, *arguments], env={**inherited, "PATH": f"{self.folder}:{os.environ['PATH']}", **environment},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def calls(self):
        """The calls since the last time."""
        path = self.folder / "calls"
        found = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return found

    def set_up_users(self, bucket, keys, users):
        """Runs the set-up of MinIO's users for an installation, where there are `users` with their policies. Returns the calls."""
        folder = self.folder / bucket
        for component, key in keys.items():
            (folder / "keys" / component).mkdir(parents=True)
            (folder / "keys" / component / "AWS_ACCESS_KEY_ID").write_text(key)
            (folder / "keys" / component / "AWS_SECRET_ACCESS_KEY").write_text("secret")
            (folder / f"{component}.json").write_text("{}")
        (self.folder / "admin-user-list").write_text("".join(f"{'enabled':9}  {user:20}  {policy}\n" for user, policy in users.items()))
        for user, policy in users.items():
            told = f"AccessKey: {user}\nStatus: enabled\nPolicyName: {policy}\nMemberOf: []\n"
            (self.folder / f"admin user info store {user}").write_text(told)
        status, said = self.run_script("infra/base/storage-setup/minio-users.sh", AWS_ENDPOINT_URL_S3="http://storage:9000", AWS_ACCESS_KEY_ID="admin",
                                       AWS_SECRET_ACCESS_KEY="secret", TEITEN_MEDIA_BUCKET=bucket, POLICIES=str(folder), KEYS=str(folder / "keys"))
        self.assertEqual(status, 0, said)
        return self.calls()

    def test_a_user_of_other_keys_of_a_component_goes_and_nobody_else(self):
        now = {"link": made_key("link", "N"), "dead-letters": made_key("dead-letters", "N"), "clip": "an-owner's-own-name"}
        before = {made_key(component, "8"): f"teiten-media-{component}" for component in now}
        others = ["link-short", "link-O8-88888888888888", "link-8888888888888888", "link-88888-8888888888", "link8888888888888888", "teiten-link",
                  made_key("playlist", "8"), "somebody"]
        # Keys of 20 characters are told as they are.
        users = {**before, **dict.fromkeys(others, "teiten-media-link"), **{key: f"teiten-media-{component}" for component, key in now.items()}}
        calls = self.set_up_users("media", now, users)
        self.assertEqual(sorted(call for call in calls if " remove " in call), sorted(f"admin user remove store {user}" for user in before))
        for component, key in now.items():
            self.assertIn(f"admin user add store {key} secret", calls)
            self.assertIn(f"admin policy attach store teiten-media-{component} --user {key}", calls)
        # What is new is there before what is old goes.
        self.assertLess(calls.index(f"admin user add store {now['link']} secret"), calls.index(f"admin user remove store {made_key('link', '8')}"))
        self.assertEqual([call for call in calls if " detach " in call], [])

    def test_users_of_another_installation_at_the_same_minio_stay(self):
        now = made_key("link", "N")
        others = {made_key("link", "1"): "teiten-other-link", made_key("link", "2"): "teiten-link", made_key("link", "3"): "",
                  made_key("link", "4"): "teiten-media-link,readwrite"}
        calls = self.set_up_users("media", {"link": now}, {now: "teiten-media-link", **others})
        self.assertEqual([call for call in calls if " remove " in call], [])

    def test_a_policy_without_the_bucket_s_name_that_a_user_had_once_is_taken_from_it(self):
        now = made_key("link", "N")
        for bucket, policies in (("one", "teiten-link,teiten-one-link"), ("two", "teiten-two-link,teiten-link")):
            calls = self.set_up_users(bucket, {"link": now}, {now: policies})
            self.assertLess(calls.index(f"admin policy attach store teiten-{bucket}-link --user {now}"),
                            calls.index(f"admin policy detach store teiten-link --user {now}"))
            self.assertIn("admin policy remove store teiten-link", calls)

    def test_where_the_store_is_no_minio_it_is_said_what_each_user_is_to_be_allowed(self):
        policies = self.folder / "policies"
        policies.mkdir()
        for component in ("link", "dead-letters", "bridge"):
            (policies / f"{component}.json").write_text(f'{{"of": "{component}"}}')
        # Who is asked for his administration and knows none.
        (self.folder / "mc").write_text('#!/bin/sh\n[ "$2" != admin ]\n')
        for endpoint in ("http://ceph.example.org", ""):
            status, said = self.run_script("infra/base/storage-setup/minio-users.sh", AWS_ENDPOINT_URL_S3=endpoint, AWS_ACCESS_KEY_ID="admin",
                                           AWS_SECRET_ACCESS_KEY="secret", TEITEN_MEDIA_BUCKET="media", POLICIES=str(policies),
                                           KEYS=str(self.folder), TEITEN_STORAGE_PRINCIPALS="encode=arn:aws:iam:::user/e bridge=arn:aws:iam:::user/b")
            self.assertEqual(status, 0, said)
            for component in ("link", "dead-letters"):
                self.assertIn(f'rights of {component}: its user\'s own policy has to be {{"of": "{component}"}}\n', said)
            self.assertNotIn("rights of bridge", said, "the buckets' policies know it")

    def test_without_the_store_s_address_for_players_there_is_no_link_and_nobody_is_asked(self):
        status, said = self.run_script("scripts/link", "front-door")
        self.assertEqual((status, self.calls()), (1, []), said)
        self.assertIn("TEITEN_PUBLIC_URL=", said)
        self.assertIn("deploy again", said)
        # With one, what is missing next are keys.
        (self.folder / "kubectl").write_text('#!/bin/sh\necho "$*" >> "$(dirname "$0")/calls"\nexit 7\n')
        for name, value in (("TEITEN_PUBLIC_URL", "http://127.0.0.1:9"), ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9"),
                            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), ("TEITEN_OVERLAY", "production")):
            status, said = self.run_script("scripts/link", "front-door", **{name: value})
            self.assertEqual((status, len(self.calls())), (7, 1), said)

    def project_with_links(self):
        """A folder with what makes links, and the settings."""
        project = self.folder / "project"
        for name in ("scripts/link", "infra/settings/teiten.env"):
            (project / name).parent.mkdir(parents=True)
            shutil.copy(PROJECT / name, project / name)
        return project

    def test_a_store_of_before_that_stands_in_the_settings_is_none_of_the_store_that_is_brought_along(self):
        project = self.project_with_links()
        settings = project / "infra" / "settings" / "teiten.env"
        settings.write_text(re.sub("(?m)^AWS_ENDPOINT_URL_S3=.*", "AWS_ENDPOINT_URL_S3=https://old.example.org", settings.read_text()))
        status, said = self.run_script("scripts/link", "front-door", project=project)
        self.assertEqual((status, self.calls()), (1, []), said)
        self.assertIn("TEITEN_PUBLIC_URL=", said)
        program = project / "scripts" / "program"
        program.write_text('#!/bin/sh\necho "at $AWS_ENDPOINT_URL_S3"\n')
        program.chmod(0o755)
        keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "key"}
        for overlay, given, store in (("production", "", "https://old.example.org"), ("local", "http://10.0.0.2:9000", "http://10.0.0.2:9000")):
            environment = {"AWS_ENDPOINT_URL_S3": given} if given else {}
            status, said = self.run_script("scripts/link", "gate", project=project, TEITEN_OVERLAY=overlay, **environment, **keys)
            self.assertEqual((status, said), (0, f"at {store}\n"))

    def test_what_answers_inside_of_the_cluster_alone_is_no_address_for_a_link_to_the_past(self):
        project = self.project_with_links()
        for path, text in ((project / "scripts" / "program", '#!/bin/sh\necho "playback=$TEITEN_PLAYBACK_URL clip=$TEITEN_CLIP_URL"\n'),
                           (self.folder / "kubectl", '#!/bin/sh\necho "https://$5.teiten.$BELOW"\n')):
            path.write_text(text)
            path.chmod(0o755)
        keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "TEITEN_LINK_TOKEN"), "key")
        for below, told in (("svc.cluster.local", "playback= clip=\n"),
                            ("example.org", "playback=https://playback.teiten.example.org clip=https://clip.teiten.example.org\n")):
            status, said = self.run_script("scripts/link", "gate", "--from", "2026-11-23T04:00:00Z", "--to", "2026-11-23T05:00:00Z", project=project,
                                           TEITEN_PUBLIC_URL="https://store.example.org", BELOW=below, **keys)
            self.assertEqual((status, said), (0, told))

    def test_a_service_that_comes_with_a_tool_is_stopped_and_one_that_ran_before_is_not(self):
        for name in ("bash", "chmod", "env", "id", "touch"):
            (self.folder / name).symlink_to(shutil.which(name))
        for name, text in MACHINE_WITH_SERVICES.items():
            (self.folder / name).write_text(f"#!/usr/bin/env bash\nhere=${{0%/*}}\n{text}\n")
            (self.folder / name).chmod(0o755)
        for runs_before, calls in ((False, ["--quiet disable --now prometheus"]), (True, [])):
            for file in ("prometheus", "promtool", "runs"):
                (self.folder / file).unlink(missing_ok=True)
            if runs_before:
                (self.folder / "runs").touch()
            status, said = self.run_script("scripts/need", "prometheus", PATH=str(self.folder))
            self.assertEqual((status, self.calls()), (0, calls), said)
            self.assertIn("Installing Debian packages: prometheus", said)

    def test_a_link_of_another_cluster_than_the_current_one_has_the_keys_of_that(self):
        (self.folder / "cargo").symlink_to("/bin/true")
        for words in (("--context", "a cluster"), ("--context=a cluster",)):
            status, said = self.run_script("scripts/link", "gate", *words, "--from", "2026-11-23T04:00:00Z", "--to", "2026-11-23T05:00:00Z",
                                           TEITEN_PUBLIC_URL="https://store.example.org", CARGO_TARGET_DIR=str(PROJECT / "target"))
            self.assertNotIn("--context", said, "the program knows nothing of clusters")
            calls = self.calls()
            self.assertEqual({call.split(" --namespace ")[0] for call in calls}, {"--context a cluster"}, said)
            for asked in ("secret storage-link", "secret link-token", "services.serving.knative.dev playback"):
                self.assertTrue(any(f"get {asked}" in call for call in calls), calls)
        status, said = self.run_script("scripts/link", "gate", "--context")
        self.assertNotEqual(status, 0)
        self.assertIn("--context: the name of a kubectl context", said)

    def test_who_asks_a_link_for_help_gets_it_without_settings_and_keys(self):
        (self.folder / "cargo").symlink_to("/bin/true")
        for word in ("--help", "-h"):
            status, said = self.run_script("scripts/link", "front-door", word)
            self.assertEqual((status, self.calls()), (0, []), said)
            self.assertIn("Usage: teiten-link", said)

    def project(self, version=""):
        """What `scripts/images` needs of the project, where nothing is compiled."""
        project = self.folder / "project"
        shutil.copytree(PROJECT / "infra", project / "infra", ignore=shutil.ignore_patterns("src", "tests"))
        (project / "scripts").mkdir()
        for name in ("images", "static-toolchain"):
            shutil.copy(PROJECT / "scripts" / name, project / "scripts")
        shutil.copy(PROJECT / "Cargo.toml", project)
        settings = project / "infra" / "settings" / "teiten.env"
        settings.write_text(re.sub("(?m)^TEITEN_VERSION=.*", f"TEITEN_VERSION={version}", settings.read_text()))
        for path, text in ((project / "scripts" / "need", "#!/bin/sh\n"), (project / "scripts" / "cargo-auditable", COMPILER),
                           (project / "scripts" / "notices", "#!/bin/sh\necho \"$* ${NOTICES:-}\"\n"),
                           (self.folder / "buildah", RECORDER), (self.folder / "rustup", RECORDER), (self.folder / "git", RECORDER)):
            path.write_text(text)
            path.chmod(0o755)
        (self.folder / "rustup-target-list").write_text("x86_64-unknown-linux-gnu\naarch64-unknown-linux-gnu\n")
        (self.folder / "git-ls-files-*").write_text("Cargo.toml\n")
        return project

    def build(self, project, program, *options):
        """Builds images of a program; the tags that they were given."""
        architecture = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
        self.calls()
        status, said = self.run_script("scripts/images", "--arch", architecture, *options, project=project, CONTAINER_BUILDER="buildah", PROGRAM=program)
        self.assertEqual(status, 0, said)
        built = [re.search(rf"--tag dev.local/teiten/([a-z-]+):(\S+)-{architecture} ", call) for call in self.calls() if call.startswith("build ")]
        return {name: tag for name, tag in (found.groups() for found in built)}

    def test_images_have_a_tag_of_what_is_in_them_which_deploy_is_told_of_once_all_are_built(self):
        project = self.project()
        told = project / "target" / "images" / "version"
        alone = self.build(project, "one", "--only", "encode")
        self.assertEqual((list(alone), told.exists()), (["encode"], False))
        first = self.build(project, "one")
        self.assertEqual((len(first), len(set(first.values()))), (11, 1))
        self.assertRegex(first["encode"], r"^\d+\.\d+\.\d+-[0-9a-f]{12}$")
        self.assertEqual(told.read_text(), first["encode"] + "\n")
        self.assertEqual(self.build(project, "one"), first, "the same programs")
        self.assertIn(" teiten-encode teiten-link ", (project / "target" / "images" / "encode" / "NOTICES").read_text())
        with unittest.mock.patch.dict(os.environ, NOTICES="of another crate"):
            self.assertNotEqual(self.build(project, "one"), first, "the same programs with other licences")
        second = self.build(project, "another")
        self.assertNotEqual(second["encode"], first["encode"])
        self.assertEqual(told.read_text(), second["encode"] + "\n")

    def test_a_tag_that_the_settings_name_is_taken(self):
        self.assertEqual(set(self.build(self.project("mine"), "one").values()), {"mine"})

    def test_images_are_for_the_architectures_that_can_be_built_here(self):
        project = self.project("mine")
        for machine, architectures in (("aarch64", {"arm64"}), ("x86_64", {"amd64", "arm64"})):
            uname = self.folder / "uname"
            uname.write_text(f"#!/bin/sh\necho {machine}\n")
            uname.chmod(0o755)
            status, said = self.run_script("scripts/images", "--only", "encode", project=project, CONTAINER_BUILDER="buildah", PROGRAM="one")
            self.assertEqual(status, 0, said)
            built = [re.search(r"--platform linux/(\S+)", call)[1] for call in self.calls() if call.startswith("build ")]
            self.assertEqual((len(built), set(built)), (len(architectures), architectures), machine)
        uname.write_text("#!/bin/sh\necho aarch64\n")
        status, said = self.run_script("scripts/images", "--arch", "amd64,arm64", project=project, CONTAINER_BUILDER="buildah", PROGRAM="one")
        self.assertEqual(status, 2, said)
        self.assertIn("--arch arm64", said)


class Notices(unittest.TestCase):
    """scripts/notices: what goes with programs to whoever gets them."""

    def notices(self, *packages, **environment):
        """Its status, what it printed, and what it complained of."""
        done = subprocess.run([PROJECT / "scripts/notices", "aarch64-unknown-linux-gnu", *packages], env={**os.environ, **environment},
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def test_a_program_s_has_the_texts_of_its_crates_its_c_libraries_and_the_compiler_s_library(self):
        status, told, complaint = self.notices("teiten-agent")
        self.assertEqual(status, 0, complaint)
        for text in ("based in part on the work of the Independent JPEG Group", "openssl", "GNU LESSER GENERAL PUBLIC LICENSE", "Rust's standard library",
                     "(libjpeg-turbo/LICENSE.md)", "(libjpeg-turbo/README.ijg)", "third_party/fiat/LICENSE"):
            self.assertIn(text.lower(), told.lower())
        listed = re.findall(r"^  (\S+) [0-9.]+: ", told, re.M)
        self.assertIn("rumqttc", listed)
        self.assertNotIn("proptest", listed, "tests' alone")
        self.assertNotIn("openh264-sys2", listed, "other programs'")
        texts = [" ".join(text.split()) for text in re.split(r"\n={100}\n", told)[2::2]]
        self.assertEqual(len(texts), len(set(texts)), "one text is told once")

    def test_a_crate_without_a_text_gets_its_licence_s_own_and_where_there_is_none_it_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            crates = {"with": ("MIT", "Copyright (c) somebody"), "without": ("MIT", None), "unusual": ("MPL-2.0", None)}
            (folder / "metadata").write_text(json.dumps({"packages": [
                {"name": name, "version": "1.2.3", "license": licence, "license_file": None, "authors": ["Ann"], "repository": "https://example.org",
                 "source": "registry", "manifest_path": str(folder / name / "Cargo.toml")} for name, (licence, _) in crates.items()]}))
            for name, (_, text) in crates.items():
                (folder / name / "tests").mkdir(parents=True)
                (folder / name / "tests" / "LICENSE").write_text("of data that is not linked")
                if text:
                    (folder / name / "LICENSE").write_text(text)
            cargo = folder / "cargo"
            cargo.write_text(f'#!/bin/sh\nif [ "$1" = tree ]; then echo "$CRATES"; else cat {folder}/metadata; fi\n')
            cargo.chmod(0o755)
            path = f"{folder}:{os.environ['PATH']}"
            status, told, complaint = self.notices("any", PATH=path, CRATES="with v1.2.3\nwithout v1.2.3 (proc-macro)")
            self.assertEqual(status, 0, complaint)
            self.assertIn("\nwith 1.2.3\n", told)
            self.assertIn("Copyright (c) somebody\n", told)
            self.assertIn("Copyright (c) Ann (https://example.org)\n", told)
            self.assertNotIn("not linked", told)
            status, told, complaint = self.notices("any", PATH=path, CRATES="with v1.2.3\nunusual v1.2.3")
            self.assertEqual((status, told), (1, ""))
            self.assertIn("unusual 1.2.3 (MPL-2.0)", complaint)


class Recipes(unittest.TestCase):
    """The justfile beside recorders of calls."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        shutil.copy(PROJECT / "justfile", self.folder)
        (self.folder / "viewer").mkdir()
        recorder = self.program("recorder", EXACT_RECORDER)
        for script in (PROJECT / "scripts").iterdir():
            self.program(f"scripts/{script.name}", EXACT_RECORDER)
        self.program("bin/npm", EXACT_RECORDER)
        self.program("bin/cargo", CARGO)
        self.environment = {**os.environ, "CALLS": str(self.folder / "calls"), "RECORDER": str(recorder),
                            "PATH": f"{self.folder}/bin:{os.environ['PATH']}"}

    def program(self, name, text):
        """An executable file."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def just(self, *arguments, **environment):
        """Runs a recipe; returns the words of its last call."""
        command = [PROJECT / "just", "--justfile", self.folder / "justfile", "--working-directory", self.folder, *arguments]
        done = subprocess.run(command, env={**self.environment, **environment}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        calls = self.folder / "calls"
        return calls.read_text().splitlines()[-1].split("\0")[:-1] if calls.exists() else done.stdout

    def test_what_a_recipe_is_told_reaches_the_program_word_for_word(self):
        told = {("camera", "add"): ["program", "owner", "camera", "add"], ("flash",): ["program", "owner", "flash"], ("link",): ["link"],
                ("deploy",): ["program", "cluster", "deploy"], ("status",): ["program", "cluster", "status"],
                ("undeploy",): ["program", "cluster", "undeploy"], ("images",): ["images"],
                ("demo", "--footage"): ["teiten-dev", "--footage"]}
        for recipe, program in told.items():
            self.assertEqual(self.just(*recipe, *HARD_WORDS), [*program, *HARD_WORDS], recipe)
        url = f"http://key:{HARD_WORDS[-1]}@127.0.0.1:9000/bucket"
        self.assertEqual(self.just("conformance", url), ["program", "conformance", url])

    def test_a_recipe_runs_what_it_has_built_wherever_else_cargo_would_put_it(self):
        told = self.just("demo", "--footage", "yard.mjpeg", CARGO_TARGET_DIR=str(self.folder / "elsewhere"))
        self.assertEqual(told, ["teiten-dev", "--footage", "yard.mjpeg"])

    def test_programs_are_built_with_the_same_features_beside_tests_and_alone(self):
        def crates(edges):
            tree = ["cargo", "tree", "--offline", "--workspace", "--prefix=none", "--format={p} {f}", f"--edges={edges}"]
            told = subprocess.run(tree, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
            return {line.removesuffix(" (*)") for line in told.splitlines()}
        self.assertEqual(crates("normal,build") - crates("normal,build,dev"), set(), "all that stands on it is built twice")

    def test_without_a_recipe_there_is_the_list_of_them(self):
        self.assertIn("demo *ARGS", self.just())


class SideBySide(unittest.TestCase):
    """scripts/side-by-side, with commands that wait for one another."""

    def run_commands(self, *commands):
        """Its status, and all that it printed after the commands' names."""
        done = subprocess.run([PROJECT / "scripts/side-by-side", *commands], capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout.splitlines()[len(commands):]

    def test_what_each_said_stands_together_and_what_failed_last(self):
        with tempfile.TemporaryDirectory() as folder:
            turn = f"until [ -e {folder}/written ]; do sleep 0.05; done"
            status, said = self.run_commands(f"echo one; {turn}; echo more of one", f"echo two; touch {folder}/written; echo more; false")
        self.assertEqual((status, said[-2:]), (1, ["two", "more"]))
        self.assertEqual([line for line in said[:-2] if not line.startswith("Failed")], ["one", "more of one"])

    def test_all_go_well_or_it_fails_however_soon_they_end(self):
        for _ in range(10):
            self.assertEqual(self.run_commands(*["echo it"] * 8), (0, ["it"] * 8))
            status, said = self.run_commands("true", "exit 3", "true")
            self.assertEqual((status, len(said)), (1, 1))

    def test_nothing_runs_on_when_it_is_ended(self):
        with tempfile.TemporaryDirectory() as folder:
            pipe = os.path.join(folder, "pipe")
            os.mkfifo(pipe)
            told = subprocess.Popen([PROJECT / "scripts/side-by-side", f"exec 3>{pipe}; sleep 600", "true"], start_new_session=True,
                                    stdout=subprocess.DEVNULL)
            # Opens once the command has it open, and ends once nobody has.
            with open(pipe, "rb") as held:
                told.terminate()
                self.assertEqual(held.read(), b"")
            self.assertNotEqual(told.wait(60), 0)


class Documents(unittest.TestCase):
    """What the documents lead to, and what leads to them."""

    @classmethod
    def setUpClass(cls):
        told = subprocess.run(["git", "grep", "-lI", "-e", "[.]md", "--or", "-e", "](#"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
        # Schemas are others' texts.
        cls.names = [name for name in told.splitlines() if not name.startswith(("infra/tests/schemas/", "infra/tests/scripts.py"))]

    @staticmethod
    def anchor(title):
        """How links name a heading."""
        return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")

    def sections(self, document):
        """A document's headings, as links name them."""
        return [self.anchor(title) for title in re.findall(r"^#+ (.+)$", document.read_text(), re.M)]

    def test_every_link_of_a_document_leads_to_something(self):
        for name in (name for name in self.names if name.endswith(".md")):
            for link in re.findall(r"\]\(([^)\s]+)\)", re.sub("`[^`]*`", "", (PROJECT / name).read_text())):
                if re.match("[a-z]+:", link):
                    continue
                path, _, section = link.partition("#")
                there = (PROJECT / name).parent / path if path else PROJECT / name
                self.assertTrue(there.exists(), f"{name}: {link}")
                if section:
                    self.assertIn(section, self.sections(there), f"{name}: {link}")

    def test_a_document_and_a_section_that_a_program_or_an_alert_names_are_there(self):
        named = 0
        for name in self.names:
            # A reference goes on in a comment's next line.
            text = re.sub(r"\n\s*(?://[/!]?|#)?\s*", " ", (PROJECT / name).read_text())
            for path, section in re.findall(r"(?<![\w./:-])((?:[\w.-]+/)*[\w-]+\.md)\b(?:, \\?\"([^\"\\]+)\\?\")?", text):
                # From the project's folder, or from where it is named.
                places = [PROJECT / re.sub(r"^(\.\./)+", "", path), (PROJECT / name).parent / path]
                there = next((place for place in places if place.exists()), places[0])
                self.assertTrue(there.exists(), f"{name}: {path}")
                if section:
                    self.assertIn(self.anchor(section), self.sections(there), f"{name}: {path}, {section}")
                    named += 1
        self.assertGreaterEqual(named, 3)

    def test_on_lambda_every_function_that_answers_requests_has_an_address_that_streams(self):
        mains = PROJECT.glob("functions/*/src/main.rs")
        names = {main.parts[-3] for main in mains if "teiten_host::run_requests(" in main.read_text()}
        told = re.findall(r"^\| ([\w-]+) \| ([^|]+) \|", (PROJECT / "infra/lambda.md").read_text(), re.M)
        sources, last = {}, ""
        for name, source in told:
            sources[name] = last = last if source.startswith("the same") else source
        self.assertEqual({name for name in names if "`RESPONSE_STREAM`" not in sources.get(name, "")}, set())
        self.assertLessEqual({"playback", "clip", "link"}, names)


class Bundles(http.server.BaseHTTPRequestHandler):
    """A server of updates. Of one it sends the beginning, and then nothing more; of another a byte now and then, for six seconds."""

    protocol_version = "HTTP/1.1"
    is_over = threading.Event()

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str({"/whole": 6, "/slow": 12, "/quiet": 7, "/large": 2 << 20}[self.path]))
        self.end_headers()
        try:
            if self.path == "/slow":
                for byte in b"slow bundle.":
                    self.wfile.write(bytes([byte]))
                    self.is_over.wait(0.5)
                return
            self.wfile.write(b"bundle" if self.path != "/large" else bytes(2 << 20))
        except OSError:
            # It is larger than the camera takes.
            return
        if self.path == "/quiet":
            self.is_over.wait()


def camera_script(name):
    """The text of a script on a camera's card."""
    return (PROJECT / "edge-image" / "overlay" / "usr" / "lib" / "teiten" / name).read_text()


def put_busybox(folder):
    """The shell of a camera's card, and the folder of its other programs, made in `folder`."""
    busybox, applets = shutil.which("busybox"), folder / "applets"
    applets.mkdir()
    subprocess.run([busybox, "--install", "-s", applets], check=True)
    return busybox, applets


class Download(unittest.TestCase):
    """How a camera fetches an update, by the shell and the programs that are on its card."""

    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bundles)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.addCleanup(Bundles.is_over.set)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def download(self, path):
        """The status of downloading, and what came."""
        with tempfile.TemporaryDirectory() as folder:
            busybox, applets = put_busybox(pathlib.Path(folder))
            (function,) = re.findall(r"^download\(\) \($.*?^\)$", camera_script("update"), re.M | re.S)
            bundle = pathlib.Path(folder) / "bundle"
            settings = {"run": folder, "bundle": str(bundle), "bundle_mebibytes_max": "1", "download_max": "300", "download_quiet_max": "3"}
            done = subprocess.run([busybox, "sh", "-c", f'{function}\ndownload "$1"', "sh", f"http://127.0.0.1:{self.server.server_port}{path}"],
                                  env={"PATH": str(applets), **settings}, stdin=subprocess.DEVNULL, capture_output=True, check=False)
            return done.returncode, bundle.read_bytes() if bundle.exists() else None

    def test_a_bundle_of_which_nothing_more_comes_is_given_up_and_one_that_comes_slowly_is_not(self):
        # As the script tells them apart: SIGHUP, and SIGXFSZ.
        expected = {"/quiet": (129, b"bundle"), "/slow": (0, b"slow bundle."), "/whole": (0, b"bundle"), "/missing": (1, None),
                    "/large": (153, bytes(1 << 20))}
        with concurrent.futures.ThreadPoolExecutor(len(expected)) as side_by_side:
            self.assertEqual(dict(zip(expected, side_by_side.map(self.download, expected))), expected)


class Slots(unittest.TestCase):
    """How a camera notes which slot is started, with folders of ours in the place of its own. Nothing is mounted."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.place = pathlib.Path(folder.name)
        self.busybox, applets = put_busybox(self.place)
        for program in ("mount", "umount"):
            (applets / program).unlink()
            (applets / program).write_text(f'#!/bin/sh\n[ ! -e "{self.place}/{program}-fails" ]\n')
            (applets / program).chmod(0o755)
        self.card = self.place / "run" / "mount" / "autoboot.txt"
        for file in (self.card, self.place / "run" / "card" / "autoboot.txt"):
            file.parent.mkdir(parents=True)
            shutil.copy(PROJECT / "edge-image" / "card" / "autoboot.txt", file)
        self.script = camera_script("slots")
        for there, here in {"/usr/sbin:/usr/bin:/sbin:/bin": applets, "/run/teiten": self.place / "run", "/proc/cmdline": self.place / "cmdline"}.items():
            self.assertIn(there, self.script)
            self.script = self.script.replace(there, str(here))

    def slots(self, running, *arguments):
        """Whether it succeeds in the slot that runs, and what it says."""
        (self.place / "cmdline").write_text(f"quiet rauc.slot={running} panic=-1\n")
        done = subprocess.run([self.busybox, "sh", "-c", self.script, "slots", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        return done.returncode == 0, done.stdout.strip()

    def test_a_confirmed_slot_is_started_from_then_on_and_so_is_the_one_after_it(self):
        first = self.card.read_text()
        for running, other, text in (("B", "A", first.translate(str.maketrans("23", "32"))), ("A", "B", first)):
            self.assertEqual(self.slots(other, "set-primary", running), (True, ""))
            self.assertEqual(self.slots(running, "set-state", running, "good"), (True, ""))
            self.assertEqual((self.card.read_text(), self.slots(running, "get-primary")), (text, (True, running)))
            (self.place / "run" / "trial").unlink()

    def test_a_slot_that_is_confirmed_again_as_its_card_did_not_come_off_stays_confirmed(self):
        (self.place / "umount-fails").touch()
        for _ in range(2):
            self.assertEqual(self.slots("B", "set-state", "B", "good"), (False, ""))
            self.assertIn("boot_partition=3\n[tryboot]\nboot_partition=2\n", self.card.read_text())
        (self.place / "umount-fails").unlink()
        self.assertEqual(self.slots("B", "set-state", "B", "good"), (True, ""))
        self.assertIn("boot_partition=3\n[tryboot]\nboot_partition=2\n", self.card.read_text())
        self.assertEqual(self.slots("B", "get-primary"), (True, "B"))


if __name__ == "__main__":
    unittest.main()
