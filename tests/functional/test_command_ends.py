"""How each command ends that cannot say or read something: with a line and a status, never with a traceback."""

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from farmkit.farm import Farm
from farmkit.launch import CHECKOUT, PROGRAMS
from farmkit.processes import Command, inherited
from tests.functional.test_doctor import config_of, doctor
from tests.support.proxy import Certificate

pytestmark = pytest.mark.functional

SCCACHEDIST = str(PROGRAMS / "sccachedist")
#: Root's right to every file goes, where it is root who runs this.
_NO_RIGHT = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()

COMMANDS = {
    "doctor of a build server": ("doctor", "--config", "{server}"),
    "doctor of a scheduler": ("doctor", "--config", "{scheduler}"),
    "key": ("auth", "generate-jwt-hs256-key"),
    "shared token": ("auth", "generate-shared-token"),
    "server token": ("auth", "generate-jwt-hs256-server-token", "--server", "127.0.0.1:1", "--config", "{scheduler}"),
    "help": ("--help",),
    "version": ("--version",),
}


def words(farm: Farm, command: tuple[str, ...]) -> tuple[str, ...]:
    """A command on the files of a farm."""
    files = {role: str(config_of(farm, role)) for role in ("server", "scheduler")}
    return (SCCACHEDIST, *(word.format_map(files) for word in command))


def shell(script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What becomes of a script; its arguments are a command."""
    environment = inherited(PYTHONPATH=str(CHECKOUT), **variables)
    return Command(("bash", "-c", f"set -o pipefail; {script}", "bash", *arguments), environment, CHECKOUT).run()


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_what_is_said_cannot_be_written(farm: Farm, command: tuple[str, ...]) -> None:
    """A closed output is no error; a full disk is one, in a line."""
    for script, status, said in (
        ('"$@" >&- 2>&- <&-', 0, ""),
        ('"$@" >/dev/full', 1, "sccachedist: No space left on device\n"),
    ):
        ended = shell(script, *words(farm, command))
        assert (ended.returncode, ended.stderr) == (status, said)


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_reader_that_has_gone(farm: Farm, command: tuple[str, ...], unbuffered: str) -> None:
    """It ends the command as it ends others, without a word."""
    reading, writing = os.pipe()
    os.close(reading)
    environment = inherited(PYTHONPATH=str(CHECKOUT), PYTHONUNBUFFERED=unbuffered)
    ended = subprocess.run(
        words(farm, command), stdout=writing, stderr=subprocess.PIPE, env=environment, timeout=60, check=False
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.parametrize("role", ["server", "scheduler"])
def test_the_first_line_of_a_doctor(farm: Farm, role: str) -> None:
    """A reader takes one line and leaves; nothing stays behind."""
    ended = shell('"$@" | head -1', *words(farm, ("doctor", "--config", f"{{{role}}}")))
    assert (ended.stdout.count("\n"), ended.stderr) == (1, "")
    assert ended.returncode in (0, 141)  # it may have said all before the reader has gone
    assert list((farm.server_folder / "build").glob("doctor-*")) == []


@pytest.fixture
def files(farm: Farm, tmp_path: Path) -> Iterator[Path]:
    """A folder with a build server's configuration, in which everything gets its rights back."""
    (tmp_path / "server.conf").write_text(config_of(farm, "server").read_text())
    yield tmp_path
    for path in tmp_path.rglob("*"):
        path.chmod(0o700)


@pytest.mark.parametrize(
    "command",
    [
        ("doctor",),
        ("drain", "127.0.0.1:1"),
        ("undrain", "127.0.0.1:1"),
        ("auth", "generate-jwt-hs256-server-token", "--server", "127.0.0.1:1"),
        ("scheduler",),
        ("server",),
    ],
    ids=" ".join,
)
def test_a_configuration_that_cannot_be_read(files: Path, farm: Farm, command: tuple[str, ...]) -> None:
    """Closed, a directory, absent, empty, no text, or the other role's: one line that names the file."""
    closed, empty, binary = files / "closed.conf", files / "empty.conf", files / "binary.conf"
    closed.touch(mode=0)
    empty.touch()
    binary.write_bytes(bytes(range(256)))
    other = files / "other.conf"
    other.write_text('public_addr = "127.0.0.1:1"\nneither = true\n')
    for config in (closed, files, files / "absent.conf", empty, binary, other, Path("/dev/null/x")):
        ended = shell(f'{shlex.join(_NO_RIGHT)} "$@"', SCCACHEDIST, *command, "--config", str(config))
        assert (ended.returncode, ended.stdout) == (1, ""), ended
        assert ended.stderr.startswith(f"sccachedist: {config}: "), ended
        assert ended.stderr.count("\n") == 1


def test_credentials_that_cannot_be_read(files: Path, farm: Farm) -> None:
    """A token in a file of its own: the key and the file are named."""
    config, secret = files / "server.conf", files / "token"
    text = config.read_text()
    token = text.partition('\ntoken = "')[2].partition('"')[0]
    config.write_text(text.replace(f'\ntoken = "{token}"', f'\ntoken_file = "{secret}"'))
    for make in (lambda: None, lambda: secret.touch(mode=0), secret.mkdir, lambda: secret.write_bytes(b"\xff\0")):
        if secret.is_dir():
            secret.rmdir()
        secret.unlink(missing_ok=True)
        make()
        ended = shell(f'{shlex.join(_NO_RIGHT)} "$@"', SCCACHEDIST, "doctor", "--config", str(config))
        assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended
        assert "scheduler_auth.token_file" in ended.stderr
    secret.unlink()
    secret.write_text(token)
    assert doctor(config)[1]["token"].startswith("ok ")


def test_files_that_a_check_cannot_read(files: Path, farm: Farm) -> None:
    """Each check says so for itself, and the others follow."""
    config, closed = files / "server.conf", files / "closed"
    config.write_text(config.read_text().replace(str(farm.server_folder), str(closed)))
    closed.mkdir(mode=0)
    status, lines = doctor(config, *_NO_RIGHT)
    assert status == 1
    assert {lines[check].split()[0] for check in ("sandbox", "builder.build_dir", "cache_dir")} == {"FAILED"}, lines
    assert lines["public_addr"].startswith("warning who answers there cannot be told"), lines
    assert lines["scheduler"].startswith("ok ")


def test_certificates_that_cannot_be_read(files: Path, farm: Farm) -> None:
    """Of a scheduler with TLS: no file, one that is closed, one that is none, or another's key."""
    config, pem = files / "scheduler.conf", files / "scheduler.pem"
    made, other = Certificate.make("localhost"), Certificate.make("localhost")
    text = config_of(farm, "scheduler").read_text()
    config.write_text(f'{text}\n[tls]\ncertificate = "{pem}"\nprivate_key = "{pem}"\n')
    contents = (None, b"", b"-----BEGIN CERTIFICATE-----\n", made.pem, other.pem_with_key.replace(other.pem, made.pem))
    for content in contents:
        if content is not None:
            pem.write_bytes(content)
        status, lines = doctor(config)
        assert (status, lines["tls"].split()[0], lines["public_addr"].split()[0]) == (1, "FAILED", "warning"), lines
        assert "tls." in lines["tls"]
    pem.chmod(0)
    assert doctor(config, *_NO_RIGHT)[1]["tls"].startswith("FAILED tls.certificate")
