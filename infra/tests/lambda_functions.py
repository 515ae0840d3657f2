"""The functions' programs on AWS Lambda: each runs as a `bootstrap` would, behind a stand-in of Lambda's Runtime API, and is invoked with
what S3 sends. The way of a frame is real: agent, Mosquitto, bridge, store. Run by `./just test`; infra/lambda.md has the set-up."""

import http.server
import json
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

from programs import MOSQUITTO, PROGRAMS, WAIT_SECONDS_MAX, free_port

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
BATCHES = 8


class Listener(http.server.ThreadingHTTPServer):
    """Listens, to programs that are stopped while they wait for an answer, too."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Server:
    """An HTTP server of one function: (method, path, headers, body) → (status, headers, body)."""

    def __init__(self, answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            """One request."""

            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_request(self):
                """Any method."""
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, text = answer(self.command, self.path, self.headers, body)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(text))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = handle_request

        self.http = Listener(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        """Stops answering."""
        self.http.shutdown()
        self.http.server_close()


class Lambda:
    """A stand-in of Lambda's Runtime API for one function (AWS's documentation, "Using the Lambda runtime API")."""

    def __init__(self):
        self.invocations, self.results = queue.Queue(), queue.Queue()
        self.server = Server(self.answer)

    def answer(self, method, path, _headers, body):
        """The Runtime API."""
        if method == "GET" and path == "/2018-06-01/runtime/invocation/next":
            event = self.invocations.get()
            return 200, {"Content-Type": "application/json", "Lambda-Runtime-Aws-Request-Id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
                         "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + 60_000),
                         "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:123456789012:function:teiten"}, event
        kind = path.rsplit("/", 1)[1]
        self.results.put((kind, json.loads(body or b"null")))
        return 202, {}, b""

    def invoke(self, event):
        """What becomes of an invocation."""
        self.invocations.put(json.dumps(event).encode())
        return self.results.get(timeout=WAIT_SECONDS_MAX)


def notification(bucket, key):
    """What S3 sends about a new object."""
    return {"Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1", "eventTime": "2026-11-23T04:05:02.000Z",
        "eventName": "ObjectCreated:Put", "s3": {"s3SchemaVersion": "1.0", "configurationId": "teiten",
                                                 "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
                                                 "object": {"key": key, "size": 1, "sequencer": "0055AED6DCD90281E5"}}}]}


def event_bridge(bucket, key):
    """The same by way of EventBridge."""
    return {"version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103", "detail-type": "Object Created", "source": "aws.s3",
            "account": "123456789012", "time": "2026-11-23T04:05:02Z", "region": "us-east-1", "resources": [f"arn:aws:s3:::{bucket}"],
            "detail": {"version": "0", "bucket": {"name": bucket}, "object": {"key": key, "size": 1}, "reason": "PutObject"}}


class WithCamera(unittest.TestCase):
    """A camera, a bridge and a store."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="teiten-lambda-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.folder.chmod(0o755)
        self.store = f"127.0.0.1:{free_port()}"
        self.environment = {**KEYS, "AWS_ENDPOINT_URL_S3": f"http://{self.store}"}

    def start(self, name, command, **environment):
        """Starts a program, which ends with the test."""
        log = open(self.folder / f"{name}.log", "wb")
        self.addCleanup(log.close)
        process = subprocess.Popen([str(word) for word in command], env={**os.environ, **self.environment, **environment},
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

    def batches(self):
        """Keys of batches that a camera and the bridge make, as they come."""
        keys = queue.Queue()

        def sink(_method, _path, _headers, body):
            data = json.loads(body)
            if "key" in data:
                keys.put((data["bucket"], data["key"]))
            return 202, {}, b""

        events = Server(sink)
        self.addCleanup(events.close)
        self.film(events.address)
        return keys

    def film(self, sink):
        """Starts all of it, with a bridge that tells `sink`; answers the MQTT broker's port."""
        self.start("store", [PROGRAMS / "teiten-s3", "--dir", self.folder / "bucket", "--listen", self.store])
        port = free_port()
        config = self.folder / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmessage_size_limit 1114112\n")
        self.start("mosquitto", [MOSQUITTO, "-c", config])
        self.start("bridge", [PROGRAMS / "teiten-bridge"], TEITEN_MQTT=f"127.0.0.1:{port}", K_SINK=f"http://{sink}/")
        settings = self.folder / "camera.toml"
        settings.write_text(f'camera = "gate"\n[broker]\nhost = "127.0.0.1"\nport = {port}\n[source]\nkind = "pattern"\nrate = 5\n')
        self.start("camera", [PROGRAMS / "teiten-agent", "--config", settings])
        return port


class Functions(WithCamera):
    """encode and playlist."""

    def function(self, name, **environment):
        """A function, deployed."""
        runtime = Lambda()
        self.addCleanup(runtime.server.close)
        task = self.folder / name
        task.mkdir()
        shutil.copy(PROGRAMS / f"teiten-{name}", task / "bootstrap")
        self.start(name, [task / "bootstrap"], AWS_LAMBDA_RUNTIME_API=runtime.server.address, AWS_LAMBDA_FUNCTION_NAME=name,
                   AWS_LAMBDA_FUNCTION_MEMORY_SIZE="256", AWS_LAMBDA_FUNCTION_VERSION="$LATEST", LAMBDA_TASK_ROOT=str(task),
                   _HANDLER="bootstrap", **environment)
        return runtime

    def test_s3_invokes_encode_and_then_playlist_and_footage_plays(self):
        keys = self.batches()
        encode, playlist = self.function("encode"), self.function("playlist")
        segments, told = [], 0
        for number in range(BATCHES):
            bucket, key = keys.get(timeout=WAIT_SECONDS_MAX)
            made = [notification, event_bridge][number % 2](bucket, key)
            kind, reply = encode.invoke(made)
            self.assertEqual((kind, reply["type"]), ("response", "teiten.segment.stored"), reply)
            segments.append(reply["data"]["key"])
            # S3 tells of the segment, and of what playlist has no use for, too.
            kind, reply = playlist.invoke(notification("media", segments[-1]))
            # Answers, if any, tell that something began or ended to move: the picture is a clock.
            self.assertTrue(kind == "response" and (reply is None or reply["type"].startswith("teiten.motion.")), reply)
            told += reply is not None
            live = segments[-1].split("/")[0] + "/live.m3u8"
            self.assertEqual(playlist.invoke(notification("media", live)), ("response", None))
        self.assertGreater(told, 0, "nothing was told to move")
        with urllib.request.urlopen(f"http://{self.store}/media/gate/live.m3u8") as answer:
            listed = answer.read().decode()
        for key in segments[-2:]:
            self.assertIn(key.removeprefix("gate/"), listed)

    def test_an_invocation_is_answered_once_the_collector_has_its_spans(self):
        told = queue.Queue()

        def collector(_method, path, _headers, body):
            told.put((path, body))
            return 200, {"Content-Type": "application/x-protobuf"}, b""

        traces = Server(collector)
        self.addCleanup(traces.close)
        keys = self.batches()
        encode = self.function("encode", OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{traces.address}")
        self.assertTrue(told.empty())
        kind, reply = encode.invoke(notification(*keys.get(timeout=WAIT_SECONDS_MAX)))
        self.assertEqual((kind, reply["type"]), ("response", "teiten.segment.stored"), reply)
        # Lambda would have stopped the process by now: nothing more may be waited for.
        spans = []
        while not told.empty():
            spans.append(told.get_nowait())
        self.assertEqual({path for path, _ in spans}, {"/v1/traces"})
        for name in [b"teiten-encode", reply["data"]["key"].encode()]:
            self.assertTrue(any(name in body for _, body in spans), name)


class Sensors(WithCamera):
    """What a sensor saw, which no object tells of that S3 could notify about."""

    def test_a_playlist_beside_the_bridge_stores_it_and_the_router_takes_all_else(self):
        router, playlist = f"127.0.0.1:{free_port()}", free_port()
        self.start("router", [PROGRAMS / "teiten-router", "--listen", router,
                              "--trigger", f"teiten.sensor.changed=http://127.0.0.1:{playlist}/"])
        self.start("playlist", [PROGRAMS / "teiten-playlist"], PORT=str(playlist))
        port = self.film(router)
        at = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
        saw = {"kind": "motion", "state": "started", "at": at}
        stored = f"media/gate/{at[:10]}/{at[11:13]}/sensor-{at.translate(str.maketrans('', '', '-:'))}-motion-started.json"
        until = time.monotonic() + WAIT_SECONDS_MAX
        while not list(self.folder.glob(f"bucket/**/{stored}*")):
            self.assertLess(time.monotonic(), until, f"no {stored}")
            # Once more until the bridge listens; it stays one object.
            subprocess.run(["mosquitto_pub", "-p", str(port), "-q", "1", "-t", "teiten/gate/event", "-m", json.dumps(saw)], check=False)
            time.sleep(0.2)
        with urllib.request.urlopen(f"http://{router}/dead-letters") as answer:
            self.assertEqual(json.load(answer), [])


if __name__ == "__main__":
    unittest.main()
