"""What tests that run the project's programs share."""

import pathlib
import shutil
import socket

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAMS = PROJECT / "target" / "debug"
# Debian keeps it out of an ordinary user's PATH.
MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
# Machines that run tests can be busy with other things.
WAIT_SECONDS_MAX = 300


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
