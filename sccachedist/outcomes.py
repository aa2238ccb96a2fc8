"""What becomes of a request for a slot and of its compile: one vocabulary for metrics, records, API, commands and logs.

Pure. Each word has a sentence that says what it means and one that says what mends it; both stand where a reader meets
the word. The number of a word on the wire is its place in its class: new words come last.
"""

from enum import Enum
from typing import Self


class Word(Enum):
    """A word of the vocabulary: the member's name in small letters.

    :param means: what has happened.
    :param mend: what to do about it; empty if nothing is wrong.

    ``word`` is as metrics, records and commands write it.
    """

    def __init__(self, means: str, mend: str) -> None:
        self.means, self.mend, self.word = means, mend, self.name.lower()

    @classmethod
    def of(cls, word: str) -> Self:
        """Return the member that is written so.

        :raises KeyError: there is none.
        """
        return cls[word.upper()]

    @property
    def clause(self) -> str:
        """What it means, as a part of a sentence."""
        return f"{self.means[0].lower()}{self.means[1:-1]}"

    __hash__ = object.__hash__  # a member is one object: Enum's hash, of its name, takes five times as long


class Outcome(Word):
    """What became of a request for a slot in the end."""

    COMPILED = "The compile succeeded on the build server.", ""
    COMPILE_ERROR = (
        "The compiler ended with an error, which the user was shown as the result.",
        "Mend the source: the messages of the compiler say what is wrong with it.",
    )
    SENT_LOCAL = (
        "The build server gave no result, so the client compiled the file itself: the build is right, only slower.",
        "Look at the reason.",
    )
    REFUSED = ("The request got no slot, so the client compiled the file itself.", "Look at the reason.")
    UNCLAIMED = (
        "The client got a slot and did not come to use it.",
        "Most such clients were interrupted. If it happens often, see whether clients reach the build server.",
    )
    SERVER_LOST = (
        "The build server left, or lost the job, before it reported an end; the client compiled the file itself.",
        "Look into the log of the build server at that time.",
    )
    UNTOLD = ("The job is over; its build server does not say how.", "Only a build server of sccachedist tells.")


#: What a client compiles itself.
AT_HOME = (Outcome.SENT_LOCAL, Outcome.REFUSED, Outcome.SERVER_LOST)


class Refusal(Word):
    """Why a request got no slot."""

    NO_SERVERS = (
        "No build server takes jobs.",
        "Start a build server, or let a drained one take jobs again: sccachedist servers shows their states. One that "
        "is busy takes jobs again by itself.",
    )
    NO_SLOT = (
        "All slots were taken, and requests do not wait (queue.max_wait_secs is 0).",
        "Add build servers, or let requests wait for a slot: queue.max_wait_secs.",
    )
    QUEUE_TIMEOUT = (
        "No slot came free within queue.max_wait_secs.",
        "Add build servers, or lower the number of compiles that clients start at a time (make -j).",
    )
    QUEUE_FULL = (
        "Too many requests waited for a slot already.",
        "Add build servers, or raise queue.max_waiting.",
    )
    NOT_ASSIGNED = (
        "The build servers that were asked did not take the job.",
        "Look for these servers in the log of the scheduler: each refusal stands there with its reason.",
    )
    BAD_TOOLCHAIN = (
        "The name of the toolchain is no archive id.",
        "The client is no sccache, or a broken one: update it.",
    )
    UNCLAIMED_JOBS = (
        "The client has as many jobs that have not begun as limits.unclaimed_jobs allows.",
        "See why its jobs do not begin: perhaps it does not reach the build servers. Else raise limits.unclaimed_jobs.",
    )
    UNAUTHORIZED = (
        "The token of the client is missing or wrong: this fails its build.",
        "Give the client the token of client_auth, or one of its own: sccachedist client rotate.",
    )
    AUTH_UNAVAILABLE = (
        "The service that checks the tokens of clients did not answer.",
        "Look at that service: client_auth names it.",
    )
    OVER_LIMIT = (
        "A limit of the scheduler was hit.",
        "The detail names the key under [limits]: raise it if the client is not to blame.",
    )
    CLIENT_GONE = ("The client went away while it waited for a slot.", "")
    SHUTDOWN = ("The scheduler was stopping.", "")
    INCIDENT = (
        "The scheduler failed in an unforeseen way.",
        "Report it: the log of the scheduler has the rest beside the number of the incident.",
    )
    PAUSED = (
        "An administrator has paused the farm: no request gets a slot.",
        "The detail has the reason. It ends with sccachedist resume.",
    )
    TOKEN_ENDED = (
        "The token of the client has ended.",
        "Give the client a new token: sccachedist client rotate. After 30 days, the old one fails its builds.",
    )
    QUOTA = (
        "The client held as many slots as its max_slots allows, until queue.max_wait_secs had gone by.",
        "Raise max_slots of the client, or lower the number of compiles that it starts at a time (make -j).",
    )
    NO_MACHINE = (
        "No build server takes jobs that is of the machine of the toolchain.",
        "Start a build server of the machine that the detail names, or one that runs its programs with an emulator: "
        "capacity.machines.",
    )
    NO_LABEL = (
        "No build server takes jobs that has all labels that the client needs.",
        "Start a build server with the labels that the detail names (capacity.labels), or take them from the client.",
    )


class SentLocal(Word):
    """Why a build server gave no result for a job, so that the client compiled the file itself."""

    SUSPICIOUS = (
        "The compile failed, and was repeated by the client.",
        "If it fails at home as well, mend the source. Else look at the kind.",
    )
    OPTIONS = (
        "The compile would give another result on the farm: its options depend on the machine of the client.",
        "Leave the option out (the detail names it), or accept that such files are compiled at home.",
    )
    SIGNAL = (
        "The compiler was killed by a signal.",
        "Perhaps it hit limits.job_memory_bytes or the memory of the host: see the kernel's log of the build server.",
    )
    NO_OUTPUT = (
        "The compiler reported success, but an object file is missing or is no regular file.",
        "Report the command of this compile as a fault.",
    )
    LIMIT = (
        "The job hit a limit of the build server.",
        "Raise that limit in the configuration of the build server: sccachedist jobs --reason limit shows its key in "
        "parentheses.",
    )
    TOOLCHAIN = (
        "The toolchain of the job was not there, or could not be unpacked or kept.",
        "See whether the disk of the build server is full, or toolchain_cache_size smaller than what is in use.",
    )
    INPUTS = (
        "What the client sent could not be read, or cannot be run here.",
        "Client and farm may differ in version, or something on the network between them changed it.",
    )
    SANDBOX = (
        "The build server could not make the sandbox, or it broke.",
        "Run sccachedist doctor --config server.conf on the build server.",
    )
    DISK = (
        "A disk of the build server is full, read-only, broken or gone.",
        "Mend the disk, or make room on it: sccachedist why names the directory, as the log of the build server does.",
    )
    NO_PLACE = (
        "All slots of the build server were taken when the client came.",
        "It happens when a client comes late, after its slot was lent, or when the host gets other work or has no "
        "memory left: then the kind says so. Add build servers if it happens often.",
    )
    STALE_TOKEN = (
        "The job token was signed with another key.",
        "The build server has lost its identity: keep its cache_dir across restarts.",
    )
    UNKNOWN_JOB = (
        "The build server did not know the job, or it was over already.",
        "The client came too late, or twice. If it happens often, compare the clocks of the hosts.",
    )
    CLIENT_GONE = ("The client went away before it had the result.", "")
    SHUTDOWN = (
        "The build server was stopping, and the job did not end in time.",
        "Raise shutdown.grace_secs, or drain a build server before it is stopped.",
    )
    INCIDENT = (
        "The build server failed in an unforeseen way.",
        "Report it: the log of the build server has the rest beside the number of the incident.",
    )
    NOT_EXECUTED = (
        "The compiler was not found in the sandbox, or could not be executed there.",
        "The toolchain of the client lacks it, or is for another machine: see the detail. If no job runs there, run "
        "sccachedist doctor --config server.conf on the build server.",
    )
    KILLED = (
        "An administrator ended the job; or its client came so late that it had all of its max_slots in use already.",
        "Ask the administrator: the log of the scheduler says who it was, or which limit.",
    )
    MACHINE = (
        "The toolchain is for another machine than the build server: the kind says for which.",
        "Nothing, if it is the first job with its toolchain: the scheduler has learned that, and chooses other servers "
        "from now on. If the build server runs such programs with an emulator, add it to capacity.machines there.",
    )
    WORKER_LOST = (
        "The gateway lost three workers in turn that had the job.",
        "Perhaps the job killed them: see their logs and that of the kernel of their hosts. Else see whether something "
        "between them and the gateway closes connections.",
    )
    NO_WORKER = (
        "The gateway had no worker for the job.",
        "Start a worker, and see in its log whether it reaches the gateway.",
    )


class Lack(Word):
    """Why a build server takes fewer jobs for now than it has CPUs for."""

    BUSY = (
        "Its host is busy with other work, and offers what is idle (capacity.idle_only).",
        "Nothing, if others may use the host: it takes jobs again within seconds after their work.",
    )
    NO_MEMORY = (
        "It has no memory for one more job.",
        "See what else takes memory there. Else add memory, or lower capacity.cpus or capacity.reserve_memory_bytes.",
    )
    NO_WORKER = (
        "None of its workers takes jobs: their hosts are busy with other work, drained or unfit.",
        "Nothing, if others may use these hosts; else see in the logs of the workers why they take none.",
    )


class Suspicion(Word):
    """What makes a failed compile suspicious: the kind of :attr:`SentLocal.SUSPICIOUS`."""

    VERIFY = (
        "Nothing points at the farm: it is repeated so that the user sees what the compiler at home says.",
        'Mend the source. With policy.on_failure = "suspicious", such a compile is not repeated.',
    )
    NOT_EXECUTED = (
        "A program was not found or could not be executed.",
        "The toolchain of the client lacks a program, or is for another machine: see the detail.",
    )
    MISSING_LIBRARY = (
        "A shared library is missing.",
        "The toolchain of the client lacks it: see the detail.",
    )
    MISSING_FILE = (
        "A file is missing that the client did not send.",
        "Nothing on the farm; such a source is compiled at home.",
    )
    PREPROCESSED = (
        "A warning that is an error may come from the text being preprocessed before it was sent.",
        "Nothing on the farm. The client's SCCACHE_NO_PREPROCESS or less strict warnings avoid it.",
    )
    MACRO = ("A macro of Rust failed; it may read any file of the client's machine.", "Nothing on the farm.")
    NO_MEMORY = ("The memory was full.", "Raise limits.job_memory_bytes, or give the build server fewer slots.")
    NO_SPACE = ("The disk was full.", "Raise sandbox.scratch_bytes, or free the disk of the build server.")
    TOO_MANY = (
        "There were too many processes or files.",
        "Raise limits.job_processes, or the limits of the host.",
    )
    KILLED = ("A process of the compiler was killed or crashed.", "See the kernel's log of the build server.")
    SANDBOX = (
        "The sandbox forbade what the compiler wanted.",
        "Nothing, if the compile needs the network or other files; else run sccachedist doctor on the build server.",
    )
    BROKEN_DISK = ("A disk of the build server is broken.", "Mend the disk of the build server.")


class TimedPhase(Word):
    """A part of the time of a job, in order. The mend says what makes it shorter."""

    QUEUE_WAIT = "waits for a slot, at the scheduler", "more build servers"
    ASSIGN = "the build server is asked to take the job", ""
    CLIENT = "is with the client and on the network: all that is in no other phase", "a faster network"
    TOOLCHAIN_UPLOAD = "the client uploads the toolchain", "a larger toolchain_cache_size, so that it stays"
    TOOLCHAIN_WAIT = "waits for another client's upload of the toolchain", ""
    TOOLCHAIN_UNPACK = "the toolchain is unpacked", "a larger disk for unpacked toolchains, so that it stays"
    INPUTS_RECEIVE = "the preprocessed source comes in", "a faster network"
    WORKER_WAIT = "waits for a sandbox worker", "fewer slots, or more CPUs"
    SANDBOX = "the sandbox is made; next to nothing if one stood ready", ""
    INPUTS_UNPACK = "the inputs are unpacked", ""
    COMPILE = "the compiler runs", ""
    OUTPUTS = "the outputs are read and the answer is written", ""
    ANSWER = "the answer is sent", "a faster network"


#: The phases that a build server times, in order; the others are the scheduler's.
SERVER_PHASES = tuple(TimedPhase)[3:]
