"""Documents as a scheduler gives them, made by hand, for the tests of what shows them."""

from sccachedist.records.documents import (
    ClientsDocument,
    JobDocument,
    JobsDocument,
    Recent,
    ServersDocument,
    StatusDocument,
    UsageDocument,
    WhyDocument,
)
from sccachedist.records.toolchain_documents import ToolchainsDocument
from sccachedist.records.usage import usage_of
from tests.records.rows import job_row, refused_row

#: Monday, 2026-03-02, 14:10 in the zone of Greenwich.
NOW = 1772460600.0

#: What a stranger may call a file, a client or a compiler.
HOSTILE = "\x1b[2Jx\u202e\r\n\x9b31m<b>" + "y" * 4096

SANDBOX = job_row(
    id="3778123456789012412",
    asked=NOW - 228.4,
    ended=NOW - 228.0,
    client="10.1.4.22",
    server="10.0.0.17:10501",
    output="lib/Passes/PassBuilder.o",
    compiler="gcc-12",
    outcome="sent_local",
    reason="sandbox",
    detail="no namespaces for a sandbox: Operation not permitted",
    exit=None,
    cpu_user=None,
    cpu_system=None,
    memory=None,
    phases={"queue_wait": 0.0, "assign": 0.001, "client": 0.05, "inputs_receive": 0.004, "sandbox": 0.345},
)
COMPILED = job_row(asked=NOW - 500, ended=NOW - 498.9, client="10.1.4.23")
NO_SLOT = refused_row(asked=NOW - 400, ended=NOW - 340, client="10.1.4.22")
MEMORY = job_row(
    asked=NOW - 90000,
    ended=NOW - 89997,
    outcome="sent_local",
    reason="suspicious",
    kind="no_memory",
    detail="cc1plus: out of memory",
    output="src/größe_測試.o",
    exit=1,
    scheduler="http://10.0.0.1:10600",
    term=1772457000123456,
)
RECENT = Recent(
    secs=300.0,
    outcomes={"compiled": 12_000, "compile_error": 140, "sent_local": 142, "refused": 25, "server_lost": 4},
    refusals={"queue_timeout": 22, "shutdown": 3},
    sent_local={"suspicious": 92, "sandbox": 44, "shutdown": 6},
)
QUIET = Recent(secs=300.0, outcomes={}, refusals={}, sent_local={})

STATUS = StatusDocument(
    v=1,
    version="0.2.0",
    up_secs=1_051_200.0,
    servers={"open": 38, "full": 0, "avoided": 1, "draining": 1, "unfit": 0},
    published=2,
    workers=5,
    cpus=640,
    slots=760,
    running=612,
    waiting=3,
    oldest_wait_secs=12.0,
    recent=RECENT,
    attention=[
        {
            "critical": True,
            "about": "10.0.0.17:10501",
            "text": "10.0.0.17:10501 sends 31 % of its jobs home, most of them for sandbox.",
            "mend": "Run sccachedist doctor there, or drain it.",
        },
        {
            "critical": False,
            "about": "10.1.4.22",
            "text": "10.1.4.22 is refused with 401 (4 times): its builds fail.",
            "mend": "",
        },
    ],
    paused=None,
    schedulers=[
        {
            "url": "http://10.0.0.1:10600",
            "state": "leads",
            "since": NOW - 3600,
            "number": 1772457000123456,
            "version": "0.2.0",
            "store_silent_since": None,
            "differs": [],
        },
        {
            "url": "http://10.0.0.2:10600",
            "state": "follows",
            "since": NOW - 90000,
            "number": None,
            "version": "0.1.0",
            "store_silent_since": NOW - 60,
            "differs": ["client_auth", "clients.file"],
        },
        {
            "url": "http://10.0.0.3:10600",
            "state": "silent",
            "since": NOW - 3660,
            "number": None,
            "version": None,
            "store_silent_since": None,
            "differs": [],
        },
        {
            "url": "http://10.0.0.4:10600",
            "state": None,
            "since": None,
            "number": None,
            "version": None,
            "store_silent_since": None,
            "differs": [],
        },
    ],
)
SERVERS = ServersDocument(
    v=1,
    servers=[
        {
            "address": "10.0.0.16:10501",
            "state": "open",
            "why": "",
            "published": False,
            "version": "0.1.0",
            "cpus": 16,
            "workers": {"live": 2, "cpus": 16},
            "slots": 19,
            "taken": 12,
            "jobs": 12,
            "ended": 5020,
            "sent_local": 3,
            "sent_local_share": 0.0006,
            "toolchains": 9,
            "up_secs": 86400.0,
            "seen_secs": 1.2,
            "name": "build16",
            "machine": "x86_64",
            "machines": ["x86_64", "i686"],
            "labels": ["fast", "gpu"],
            "load": 16.2,
            "memory_free": 44023414784,
            "memory_total": 68719476736,
            "disk_free": {"cache": 81604378624, "build": 12884901888},
            "uploads": [],
            "speed": 1.02,
            "certificate_expires": NOW + 200 * 86_400,
            "drain": None,
        },
        {
            "address": "10.0.0.17:10501",
            "state": "avoided",
            "why": "sends far more of its jobs home than the others: sandbox; again in 38 s",
            "published": False,
            "version": "0.1.0",
            "cpus": 16,
            "workers": None,
            "slots": 19,
            "taken": 0,
            "jobs": 0,
            "ended": 142,
            "sent_local": 44,
            "sent_local_share": 0.31,
            "toolchains": 9,
            "up_secs": 4000.0,
            "seen_secs": 0.4,
            "name": "build17.example.org",
            "machine": "x86_64",
            "machines": ["x86_64", "i686", "aarch64"],
            "labels": [],
            "load": 0.1,
            "memory_free": 64424509440,
            "memory_total": 68719476736,
            "disk_free": {"cache": 81604378624, "build": None},
            "uploads": [
                {"toolchain": "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd", "bytes": 12582912}
            ],
            "speed": 0.48,
            "certificate_expires": NOW + 9 * 86_400,
            "drain": None,
        },
        {
            "address": "[2001:db8::40]:10501",
            "state": "draining",
            "why": "ann drains it: kernel update",
            "published": True,
            "version": None,
            "cpus": 8,
            "workers": None,
            "slots": 9,
            "taken": 2,
            "jobs": 2,
            "ended": None,
            "sent_local": None,
            "sent_local_share": None,
            "toolchains": None,
            "up_secs": 60.0,
            "seen_secs": 29.0,
            "name": None,
            "machine": None,
            "machines": [],
            "labels": [],
            "load": None,
            "memory_free": None,
            "memory_total": None,
            "disk_free": {"cache": None, "build": None},
            "uploads": [],
            "speed": None,
            "certificate_expires": None,
            "drain": {"by": "ann", "reason": "kernel update", "since": NOW - 60, "until": NOW + 3600},
        },
    ],
)
JOBS = JobsDocument(
    v=1,
    since=NOW - 100_000,
    jobs=[SANDBOX, NO_SLOT, COMPILED, MEMORY],
    running=[
        {
            "id": "18012345678900000001",
            "client": "10.1.4.22",
            "server": "10.0.0.16:10501",
            "toolchain": "ab" * 32,
            "phase": "started",
            "secs": 2.5,
        }
    ],
    next="77",
)
JOB = JobDocument(v=1, job=MEMORY, running=None)
WHY = WhyDocument(
    v=1,
    since=NOW - 3600,
    jobs=[SANDBOX],
    refusals=[
        {
            "reason": "queue_timeout",
            "count": 3,
            "first": NOW - 300,
            "last": NOW - 180,
            "detail": "no slot came free within 60 seconds",
        },
        {"reason": "server_lost", "count": 1, "first": NOW - 90, "last": NOW - 90, "detail": None},
    ],
)
CLIENTS = ClientsDocument(
    v=1,
    since=NOW - 50_000,
    clients=[
        {
            "client": "10.1.4.22",
            "holds": 212,
            "waits": 0,
            "weight": 1.0,
            "max_slots": None,
            "class": "interactive",
            "recent": RECENT,
            "slot_secs": 112_320.0,
        },
        {
            "client": "10.1.4.99",
            "holds": 0,
            "waits": 0,
            "weight": 1.0,
            "max_slots": None,
            "class": "interactive",
            "recent": QUIET,
            "slot_secs": 7.0,
        },
        {
            "client": "10.1.4.23",
            "holds": 212,
            "waits": 120,
            "weight": 2.5,
            "max_slots": 256,
            "class": "batch",
            "recent": QUIET,
            "slot_secs": 40.0,
        },
    ],
)
TOOLCHAINS = ToolchainsDocument(
    v=1,
    since=NOW - 50_000,
    toolchains=[
        {
            "toolchain": "91c2fa77b013" + "0" * 52,
            "compiler": None,
            "machine": None,
            "size": None,
            "held_by": [],
            "uploads": [{"server": "10.0.0.17:10501", "bytes": 12_582_912}],
            "jobs": 0,
            "last_use": None,
        },
        {
            "toolchain": "4be81f20aa1c" + "0" * 52,
            "compiler": "gcc-12",
            "machine": "x86_64",
            "size": 31_457_280,
            "held_by": [f"10.0.0.{number}:10501" for number in range(16, 24)],
            "uploads": [],
            "jobs": 9120,
            "last_use": NOW - 1,
        },
    ],
)
USAGE = UsageDocument(v=1, since=NOW - 50_000, by="client", usage=usage_of(JOBS["jobs"], "client"))
