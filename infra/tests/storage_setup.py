"""The storage set-up against what AWS S3 refuses. AWS is not here: a stub answers as its documentation says, so nothing is proved of AWS
itself. (Real stores are tests/tests/storage.rs's affair.) Run by `./just test`."""

import http.server
import json
import os
import re
import subprocess
import threading
import unittest
import urllib.parse

from programs import PROGRAMS

FIELDS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


class Stub(http.server.BaseHTTPRequestHandler):
    """Two buckets that are there, without settings, as far as the set-up asks for them."""

    protocol_version = "HTTP/1.1"
    # Of the bucket of media: what is blocked, if anybody has said so, and its policy. And what HEAD answers of a bucket.
    block, policy, head = None, None, 200

    def log_message(self, *_):
        pass

    def answer(self, code, body=""):
        """Answers in XML, or without a body."""
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def refuse(self, code, name):
        """Answers with an error."""
        self.answer(code, f"<Error><Code>{name}</Code><Message>the stub</Message></Error>")

    def do_HEAD(self):
        self.send_response(self.head)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        state, url = type(self), urllib.parse.urlsplit(self.path)
        asked = set(urllib.parse.parse_qs(url.query, keep_blank_values=True))
        if "lifecycle" in asked:
            self.refuse(404, "NoSuchLifecycleConfiguration")
        elif "cors" in asked:
            self.refuse(404, "NoSuchCORSConfiguration")
        elif "policy" in asked:
            self.answer(200, state.policy) if state.policy and "media" in url.path else self.refuse(404, "NoSuchBucketPolicy")
        elif "publicAccessBlock" in asked:
            if state.block is None:
                self.refuse(404, "NoSuchPublicAccessBlockConfiguration")
            else:
                fields = "".join(f"<{name}>{str(value).lower()}</{name}>" for name, value in state.block.items())
                self.answer(200, f"<PublicAccessBlockConfiguration>{fields}</PublicAccessBlockConfiguration>")
        else:
            self.answer(200, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")

    def do_PUT(self):
        state, body = type(self), self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if "publicAccessBlock" in self.path:
            state.block = {name: f"<{name}>true</{name}>" in body for name in FIELDS}
        elif re.search(r"[?&]policy", self.path):
            if state.block is None or state.block["BlockPublicPolicy"]:
                self.refuse(403, "AccessDenied")
                return
            state.policy = body
        self.answer(200)


class StorageSetup(unittest.TestCase):
    """The program, with settings of its own."""

    def setUp(self):
        self.stub = type("Stub", (Stub,), {})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.stub)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.url = f"http://127.0.0.1:{server.server_port}"

    def set_up(self, access, **settings):
        """Runs it; returns its status and what it said."""
        environment = {**os.environ, "AWS_ENDPOINT_URL_S3": self.url, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
                       "AWS_REGION": "eu-central-1", "TEITEN_MEDIA_ACCESS": access, **settings}
        done = subprocess.run([PROGRAMS / "teiten-storage-setup"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def test_what_blocks_public_policies_is_lifted_where_footage_is_public_and_only_there(self):
        self.stub.block = dict.fromkeys(FIELDS, True)
        status, said = self.set_up("private")
        self.assertEqual((status, self.stub.block), (0, dict.fromkeys(FIELDS, True)), said)
        status, said = self.set_up("public")
        self.assertEqual(status, 0, said)
        self.assertIn("what blocked public policies is lifted", said)
        self.assertEqual(list(self.stub.block.values()), [True, True, False, False])
        self.assertIn("s3:GetObject", self.stub.policy)
        status, said = self.set_up("public")
        self.assertEqual((status, "lifted" in said), (0, False), said)

    def test_a_policy_that_is_refused_for_another_reason_is_told_as_refused(self):
        status, said = self.set_up("public")
        self.assertEqual(status, 1, said)
        self.assertIn("bucket media: policy: 403 AccessDenied: the stub", said)

    def test_what_each_user_is_to_be_allowed_is_told_before_there_are_keys(self):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        done = subprocess.run([PROGRAMS / "teiten-storage-setup", "--print-policies", "--frames-bucket", "batches", "--media-bucket", "footage"],
                              env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
        told = dict(line.split(": ", 1) for line in done.stdout.splitlines())
        self.assertEqual(len(told), 10)
        bridge = json.dumps(json.loads(told["bridge"])["Statement"])
        self.assertIn("arn:aws:s3:::batches/*", bridge)
        self.assertNotIn("footage", bridge)

    def test_batches_and_footage_in_one_bucket_are_refused_and_nothing_is_written(self):
        self.stub.block = dict.fromkeys(FIELDS, False)
        status, said = self.set_up("public", TEITEN_FRAMES_BUCKET="media", TEITEN_MEDIA_BUCKET="media")
        self.assertEqual((status, self.stub.policy), (1, None), said)
        self.assertIn("TEITEN_FRAMES_BUCKET and TEITEN_MEDIA_BUCKET are both media", said)

    def test_a_bucket_of_somebody_else_or_of_another_region_says_what_to_do(self):
        for code, words in ((403, "the name is taken by somebody else's bucket"), (301, "set AWS_REGION, or choose another name")):
            self.stub.head = code
            status, said = self.set_up("private")
            self.assertEqual(status, 1, said)
            self.assertIn("bucket frames: it is", said)
            self.assertIn(words, said)


if __name__ == "__main__":
    unittest.main()
