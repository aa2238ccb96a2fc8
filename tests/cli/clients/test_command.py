"""``client add``, ``set``, ``rotate``, ``revoke`` and ``list``: what the file has then, what a scheduler is told."""

import os
import re
import stat
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from sccachedist.cli import main as cli
from sccachedist.config.clients import ClientClass, ClientSettings, load_clients
from tests.support.answering_scheduler import AnsweringScheduler

DONE = "that was all"
RELOAD = ("/api/v1/admin/actions", {"action": "reload", "preview": False})
TOKEN = re.compile(r"scd_[A-Za-z0-9_-]{43}\n")
#: What no client is called.
STRANGE = (
    "",
    "_default",
    "_ann",
    "#0123456789abcdef",
    "10.0.0.5",
    "a b",
    "a/b",
    "ann\n",
    "../ann",
    "<script>",
    "a" * 65,
)


@pytest.fixture
def file(scheduler: AnsweringScheduler) -> Path:
    """Where the clients are to be; the scheduler is glad of each reload."""
    with scheduler.config.open("a") as config:
        config.write('[clients]\nfile = "clients.toml"\n')
    scheduler.did("the file is read")
    return scheduler.config.with_name("clients.toml")


def digest(token: str) -> str:
    return sha256(token.removesuffix("\n").encode()).hexdigest()


def ann_alone(file: Path) -> ClientSettings:
    clients = load_clients(file)
    assert list(clients) == ["ann"]
    return clients["ann"]


def test_a_client(scheduler: AnsweringScheduler, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its token is all that standard output has, and stands nowhere; the scheduler reads the file."""
    share = ("--weight", "2.5", "--max-slots", "128", "--class", "batch", "--labels", "trusted")
    scheduler.run("client", "add", "ann", *share)
    token, about = capsys.readouterr()
    assert TOKEN.fullmatch(token)
    ann = ann_alone(file)
    assert (ann.weight, ann.max_slots, ann.class_, ann.labels) == (2.5, 128, ClientClass.BATCH, ("trusted",))
    assert [known.sha256 for known in ann.tokens] == [digest(token)]
    assert scheduler.asked == [RELOAD]
    assert about.startswith("This is the token of ann, and is shown this once.")
    assert about.endswith(f"{DONE}\n")
    assert token.strip() not in about + file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 | scheduler.config.stat().st_mode & 0o044


def test_another_share(scheduler: AnsweringScheduler, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is named changes, what is not stays; nothing goes to standard output, and the scheduler reads the file."""
    scheduler.run("client", "add", "ann", "--weight", "2", "--max-slots", "8")
    (token,) = ann_alone(file).tokens
    capsys.readouterr()
    scheduler.run("client", "set", "ann", "--max-slots", "none", "--class", "batch")
    assert ann_alone(file) == ClientSettings(2, None, ClientClass.BATCH, (token,))
    said = f"ann has weight 2, any number of slots and class batch in {file}.\n{DONE}\n"
    assert capsys.readouterr() == ("", said)
    scheduler.run("client", "set", "ann", "--max-slots", "3")
    assert "ann has weight 2, 3 slots at most and class batch" in capsys.readouterr().err
    scheduler.run("client", "set", "ann", "--labels", "trusted,fast")
    assert ann_alone(file).labels == ("trusted", "fast")
    assert "and class batch, and goes to servers with label trusted and fast in" in capsys.readouterr().err
    scheduler.run("client", "set", "ann", "--labels", "none")
    assert ann_alone(file).labels == ()
    capsys.readouterr()
    scheduler.run("client", "set", "_default", "--weight", "0.5")
    assert load_clients(file)["_default"] == ClientSettings(0.5)
    assert scheduler.asked == [RELOAD] * 6


def test_no_other_share(scheduler: AnsweringScheduler, file: Path) -> None:
    """One that is not there gets none, and a share of which nothing is said stays as it is."""
    assert scheduler.fails("client", "set", "ann", "--weight", "2").endswith(
        f"{file}: there is no client ann: client add makes one"
    )
    assert scheduler.fails("client", "set", "ann").endswith(
        "nothing to set: expected --weight, --max-slots, --class or --labels"
    )
    assert (file.exists(), scheduler.asked) == (False, [])


def test_exchange(scheduler: AnsweringScheduler, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both tokens are there, and the old one ends; each can be revoked alone, and then all."""
    scheduler.run("client", "add", "ann")
    old = digest(capsys.readouterr().out)
    scheduler.run("client", "rotate", "ann", "--overlap", "2h")
    token, about = capsys.readouterr()
    assert TOKEN.fullmatch(token)
    first, second = ann_alone(file).tokens
    assert (first.sha256, second.sha256, second.until) == (old, digest(token), None)
    assert abs((first.until or 0) - (datetime.now(UTC) + timedelta(hours=2)).timestamp()) < 60
    assert (
        f"Earlier tokens of ann are good until {datetime.fromtimestamp(first.until or 0, UTC):%Y-%m-%d %H:%M} UTC"
        in about
    )
    scheduler.run("client", "revoke", "ann", "--token", old[:8].upper())
    assert [known.sha256 for known in ann_alone(file).tokens] == [digest(token)]
    assert capsys.readouterr() == ("", f"ann has lost the token {old[:8]} in {file}.\n{DONE}\n")
    scheduler.run("client", "rotate", "ann")
    scheduler.run("client", "revoke", "ann")
    assert ann_alone(file).tokens == ()
    assert scheduler.asked == [RELOAD] * 5


def test_what_is_not_changed(scheduler: AnsweringScheduler, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is printed, written or asked; one line names the file and says why."""
    assert scheduler.fails("client", "rotate", "ann").endswith(
        f": {file}: there is no client ann: client add makes one"
    )
    assert not file.exists()
    file.write_text('# mine\n[ann]\ntokens = [{ sha256 = "%s" }]' % ("0c" * 32))
    before = file.read_text()
    assert f"{file}: ann has a token already" in scheduler.fails("client", "add", "ann")
    assert file.read_text() == before
    file.write_text("[ann]\nwieght = 2")
    assert scheduler.fails("client", "add", "bob").endswith(f"{file}: ann.wieght: unknown key, did you mean weight?")
    file.write_bytes(b"[ann]\n#\xff")
    assert scheduler.fails("client", "revoke", "ann").endswith(f"{file}: line 2: not UTF-8")
    assert (scheduler.asked, capsys.readouterr()) == ([], ("", ""))


def test_no_file_is_named(scheduler: AnsweringScheduler) -> None:
    """What is to be written into the configuration is said."""
    for arguments in (("add", "ann"), ("set", "ann"), ("rotate", "ann"), ("revoke", "ann"), ("list",)):
        assert scheduler.fails("client", *arguments).endswith(
            f"{scheduler.config}: clients.file: missing, expected the path of a file for clients, such as clients.toml"
        )


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("command", ["add", "rotate", "revoke"])
def test_strange_names(command: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """They are arguments that are wrong, and are not repeated."""
    with pytest.raises(SystemExit) as ended:
        cli.main(("client", command, "--config", "scheduler.conf", "--", name))
    assert ended.value.code == 2
    assert "argument NAME: expected the name of a client such as ann" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("add", "ann", "--weight", "0"), "expected a number from 0.001 to 1000"),
        (("add", "ann", "--weight", "nan"), "expected a number from 0.001 to 1000"),
        (("add", "ann", "--max-slots", "0"), "expected a whole number, 1 or more"),
        (("add", "ann", "--max-slots", "1.5"), "expected a whole number, 1 or more"),
        (("add", "ann", "--class", "both"), "invalid choice"),
        (("set", "ann", "--max-slots", "all"), "expected a whole number, 1 or more"),
        (("set", "ann", "--weight", "1e9"), "expected a number from 0.001 to 1000"),
        (("set", "_ann", "--weight", "1"), "expected the name of a client"),
        (("rotate", "ann", "--overlap", "soon"), "expected a time such as"),
        (("rotate", "ann", "--overlap", "999999999999w"), "expected ten years at most"),
        (("revoke", "ann", "--token", "0c0c"), "expected 6 to 64 hexadecimal digits"),
        (("revoke", "ann", "--token", "scd_0c0c0c"), "expected 6 to 64 hexadecimal digits"),
    ],
)
def test_wrong_arguments(arguments: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What the file could not have is refused at once."""
    with pytest.raises(SystemExit) as ended:
        cli.main(("client", *arguments, "--config", "scheduler.conf"))
    assert (ended.value.code, expected in capsys.readouterr().err) == (2, True)


def test_no_scheduler_runs(scheduler: AnsweringScheduler, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The client is added, and it is said how the scheduler gets to know; what is revoked may go on."""
    scheduler.config.write_text(scheduler.config.read_text().replace(scheduler.url[7:], "127.0.0.1:1"))
    scheduler.run("client", "add", "ann")
    token, about = capsys.readouterr()
    assert (ann_alone(file).tokens[0].sha256, "does not answer" in about) == (digest(token), True)
    assert about.endswith(
        "systemctl reload or SIGHUP to its process has it read the file; otherwise it does so when it starts.\n"
    )
    assert scheduler.fails("client", "revoke", "ann").endswith("a scheduler that runs goes on taking what ann shows")
    assert ann_alone(file).tokens == ()


def test_no_administrator(scheduler: AnsweringScheduler, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a token of one, the scheduler is not told."""
    scheduler.config.write_text(scheduler.config.read_text().replace('[admin]\ntoken = "hunter2"\n', ""))
    scheduler.run("client", "add", "ann")
    token, about = capsys.readouterr()
    assert (TOKEN.fullmatch(token) is not None, "admin.token: missing" in about, "SIGHUP" in about) == (True,) * 3
    assert scheduler.asked == []
    scheduler.run("client", "list")
    assert "when tokens were used is not known: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "document", "said"),
    [
        (
            409,
            {"description": "scheduler.conf: queue.max_wait_secs: wrong\x1b[2J"},
            "queue.max_wait_secs: wrong\\x1b[2J",
        ),
        (401, {}, "it does not take admin.token of"),
        (404, None, "is older, or no scheduler of sccachedist"),
    ],
)
def test_a_scheduler_that_does_not_reload(
    scheduler: AnsweringScheduler,
    file: Path,
    status: int,
    document: object,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The file has changed and the token is good later: the status is 1, and it is said why."""
    scheduler.answers.clear()
    scheduler.gives(document, status=status)
    error = scheduler.fails("client", "add", "ann")
    assert "the file is changed, and the scheduler goes on without that: " in error
    assert said in error
    assert digest(capsys.readouterr().out) == ann_alone(file).tokens[0].sha256


def test_standard_output_that_is_full(scheduler: AnsweringScheduler, file: Path) -> None:
    """A token that could not be printed is none."""
    saved = os.dup(1)
    try:
        with open("/dev/full", "w") as full, pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdout", full)
            os.dup2(full.fileno(), 1)
            assert scheduler.fails("client", "add", "ann").endswith("No space left on device")
    finally:
        os.dup2(saved, 1)
        os.close(saved)
    assert not file.exists()
    assert scheduler.asked == []


def test_a_list(scheduler: AnsweringScheduler, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the scheduler knows of tokens is shown beside what is in the file."""
    scheduler.run("client", "add", "ann")
    token = digest(capsys.readouterr().out)
    row = {
        "name": "ann",
        "weight": 1.0,
        "max_slots": None,
        "class": "interactive",
        "slots": 0,
        "waiting": 0,
        "addresses": 1,
    }
    row["tokens"] = [
        {"sha256": token[:8], "added": None, "until": None, "last_used": datetime.now(UTC).timestamp() - 7200}
    ]
    scheduler.answers.clear()
    scheduler.gives({"v": 1, "since": 0, "clients": [row]})
    scheduler.run("client", "list")
    shown, about = capsys.readouterr()
    assert re.search(rf"(?m)^ann .* {token[:8]} .*  2 h ago$", shown)
    assert (scheduler.asked[-1], about) == (("/api/v1/admin/clients", None), "")
    scheduler.answers.clear()
    scheduler.gives({"v": 1, "clients": 7})
    scheduler.run("client", "list")
    shown, about = capsys.readouterr()
    assert token[:8] in shown
    assert about.startswith("when tokens were used is not known: ")
