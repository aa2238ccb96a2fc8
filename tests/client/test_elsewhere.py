"""A script on macOS: nothing that only Linux has is needed to ask a scheduler."""

import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

from tests.cli.farm import documents as made

CHECKOUT = Path(__file__).parents[2]
#: Takes from a process what macOS lacks: names of modules, and the file systems of the kernel.
AS_ON_MACOS = """
import os, resource, select, signal, socket, sys, time

LINUX = {
    os: "copy_file_range eventfd getrandom getresuid listxattr memfd_create pidfd_open pipe2 posix_fadvise "
    "posix_fallocate removexattr sched_getaffinity sched_setaffinity setresuid setxattr splice O_DIRECT "
    "O_PATH O_TMPFILE",
    resource: "prlimit",
    select: "epoll",
    signal: "pidfd_send_signal sigtimedwait sigwaitinfo",
    socket: "AF_ALG AF_NETLINK AF_PACKET AF_VSOCK SOCK_CLOEXEC SOCK_NONBLOCK SO_BINDTODEVICE SO_PEERCRED",
    time: "CLOCK_BOOTTIME",
}
for module, names in LINUX.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)

def refuse(event, arguments):
    if event == "open" and str(arguments[0]).startswith(("/proc", "/sys")):
        raise FileNotFoundError(arguments[0])

sys.addaudithook(refuse)
sys.platform = "darwin"
"""
SCRIPT = """
from sccachedist.client import Farm

farm = Farm.find()
print(farm.servers()["servers"][0]["address"])
print(farm.place.token)
print(*sorted({"sccachedist.cli", "sccachedist.sandbox", "sccachedist.builders", "twisted"} & set(sys.modules)))
"""


def test_on_macos(tmp_path: Path) -> None:
    """It finds the scheduler in the configuration of sccache, where that lies there, and gets a document."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(made.SERVERS).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """It writes nothing to the terminal."""

    config = tmp_path / "Library" / "Application Support" / "Mozilla.sccache" / "config"
    config.parent.mkdir(parents=True)
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        auth = '{ type = "token", token = "of sccache" }'
        config.write_text(f'[dist]\nscheduler_url = "http://127.0.0.1:{server.server_port}"\nauth = {auth}\n')
        serving = Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        try:
            ran = subprocess.run(
                [sys.executable, "-c", AS_ON_MACOS + SCRIPT],
                cwd=CHECKOUT, env={"HOME": str(tmp_path)}, capture_output=True, text=True, timeout=60,
            )  # fmt: skip
        finally:
            server.shutdown()
            serving.join()
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [made.SERVERS["servers"][0]["address"], "of sccache", ""]
