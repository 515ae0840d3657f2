"""`encode` for arm64 (under qemu-user) and for amd64, as they are in the images: both make the same segments of the same batches, to the
byte. Run by `./just test-architectures`, for it takes a release build for both."""

import subprocess
import unittest

import lambda_functions
from programs import PROJECT, WAIT_SECONDS_MAX

BATCHES = 5
RUN = {"amd64": [], "arm64": ["qemu-aarch64-static"]}


class Encode(lambda_functions.WithCamera):
    """Batches of a camera, by the programs of both images."""

    def test_both_make_the_same_segments(self):
        keys = self.batches()
        for _ in range(BATCHES):
            _bucket, key = keys.get(timeout=WAIT_SECONDS_MAX)
            name = key.rsplit("/", 1)[1]
            # The store keeps an object's headers with it; a batch is JPEGs, one after another.
            stored = next((self.folder / "bucket").rglob(f"*{name}*")).read_bytes()
            batch = self.folder / name
            batch.write_bytes(stored[stored.index(b"\xff\xd8\xff"):stored.rindex(b"\xff\xd9") + 2])
            made = {}
            for architecture, runner in RUN.items():
                output = self.folder / f"{architecture}.mp4"
                program = PROJECT / "target" / "images" / "encode" / architecture / "program"
                subprocess.run([*runner, program, "file", batch, output], check=True, timeout=WAIT_SECONDS_MAX)
                made[architecture] = output.read_bytes()
            self.assertGreater(len(made["amd64"]), 1000)
            self.assertEqual(made["arm64"], made["amd64"], key)


if __name__ == "__main__":
    unittest.main()
