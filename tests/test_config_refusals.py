"""Configuration files that are refused: in which words, and never with a secret in them."""

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from sccachedist.config import load_scheduler_settings, load_server_settings, load_worker_settings
from sccachedist.errors import ConfigError
from tests.support.config_lines import (
    ADDR,
    BUILDER,
    CACHE,
    CLIENT_AUTH,
    HERE,
    KEY_TEXT,
    SCHEDULER,
    SCHEDULER_AUTH,
    SECRET,
    SERVER,
    SERVER_AUTH,
    URL,
)

CLIENT_KINDS = "DANGEROUSLY_INSECURE, token, jwt_validate, proxy_token"
#: What is said of a key that the other role's file takes.
FOR_A_SERVER = "it has no effect here, it belongs in a build server's file"
FOR_A_SCHEDULER = "it has no effect here, it belongs in a scheduler's file"
AN_ADDRESS = "expected IP:PORT such as 192.168.1.1:10501 or [2001:db8::1]:10501"
A_KEY = "expected 32 bytes in unpadded base64url, as auth generate-jwt-hs256-key prints them"
A_TOKEN = "expected a text that fits into a HTTP header"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dist.conf"


def refusal(path: Path, text: str, load: Callable[[Path], object]) -> str:
    """The one line with which a file is refused."""
    path.write_bytes(text.encode())
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def client(inner: str) -> str:
    return f"{ADDR}{SERVER_AUTH}client_auth = {{ {inner} }}\n"


def hs256(secret_key: str) -> str:
    return f'{ADDR}{CLIENT_AUTH}server_auth = {{ type = "jwt_hs256", secret_key = "{secret_key}" }}\n'


@pytest.mark.parametrize(
    ("text", "load", "line"),
    [
        (SERVER, load_scheduler_settings, "this is a build server's configuration"),
        (CACHE, load_scheduler_settings, "this is a build server's configuration"),
        (f'{CACHE}{ADDR}unknown = "{SECRET}"', load_scheduler_settings, "this is a build server's configuration"),
        (SCHEDULER, load_server_settings, "this is a scheduler's configuration"),
        (f"{ADDR}{CLIENT_AUTH}", load_server_settings, "this is a scheduler's configuration"),
        ('[dist]\nscheduler_url = "http://127.0.0.1"\n', load_server_settings, "this is a client's configuration"),
        ("[dist]\n[cache.disk]\n", load_scheduler_settings, "this is a client's configuration"),
        (f"{SCHEDULER}[limits]\ninputs_bytes = 7\n", load_scheduler_settings, f"limits.inputs_bytes: {FOR_A_SERVER}"),
    ],
)
def test_files_of_others(path: Path, text: str, load: Callable[[Path], object], line: str) -> None:
    """The other role's file, and a client's, is recognised; a single key of it is named."""
    assert refusal(path, text, load) == f"{path}: {line}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", f"public_addr: missing, {AN_ADDRESS}"),
        (ADDR, f"client_auth: missing, expected a table with type = one of {CLIENT_KINDS}"),
        (ADDR.replace("127.0.0.1", "localhost"), "client_auth: missing, expected a table with type = one of"),
        (SCHEDULER.replace("127.0.0.1", "localhost"), f"public_addr: {AN_ADDRESS}"),
        (SCHEDULER.replace(":10600", ":70000"), f"public_addr: {AN_ADDRESS}"),
        (SCHEDULER.replace('"127.0.0.1:10600"', "10600"), f"public_addr: {AN_ADDRESS}"),
        (f"publc_addr = 1\n{SCHEDULER}", "publc_addr: unknown key, did you mean public_addr?"),
        (f"{SCHEDULER}zzz = 1\n", "zzz: unknown key"),
        (f'{SCHEDULER}"a\\nb" = 1\n', '"a\\nb": unknown key'),
        (f"{SCHEDULER}[sandbox]\n", f"sandbox: {FOR_A_SERVER}"),
        (f"{SCHEDULER}[limits]\nconnections = 9\njob_secs = 60\n", f"limits.job_secs: {FOR_A_SERVER}"),
        (f"{ADDR}{SERVER_AUTH}client_auth = 1\n", "client_auth: expected a table"),
        (client("token = 1"), f"client_auth.type: expected one of {CLIENT_KINDS}"),
        (client("type = []"), f"client_auth.type: expected one of {CLIENT_KINDS}"),
        (client('type = "Token"'), f"client_auth.type: expected one of {CLIENT_KINDS}"),
        (client('type = "mozilla", required_groups = ["g"]'), "client_auth.type: mozilla is gone: check the"),
        (client('type = "token"'), f"client_auth.token: missing, {A_TOKEN}"),
        (client('type = "token", tokn = "x"'), "client_auth.tokn: unknown key, did you mean token?"),
        (client('type = "token", token = 5'), f"client_auth.token: {A_TOKEN}"),
        (client('type = "token", token = ""'), f"client_auth.token: {A_TOKEN}"),
        (client('type = "token", token = " x"'), f"client_auth.token: {A_TOKEN}"),
        (client('type = "token", token = "a\\nb"'), f"client_auth.token: {A_TOKEN}"),
        (client('type = "proxy_token", url = "x"'), "client_auth.url: expected a http or https URL"),
        (
            client('type = "proxy_token", url = "http://u:p@h"'),
            "client_auth.url: expected a http or https URL",
        ),
        (
            client('type = "proxy_token", url = "http://h", cache_secs = 1.5'),
            "client_auth.cache_secs: expected a whole number of seconds",
        ),
        (hs256("my secret key"), f"server_auth.secret_key: {A_KEY}"),
        (hs256(f"{KEY_TEXT}="), f"server_auth.secret_key: {A_KEY}"),
        (hs256(f"{KEY_TEXT[:-1]}9"), f"server_auth.secret_key: {A_KEY}"),
        (hs256(f"+{KEY_TEXT[1:]}"), f"server_auth.secret_key: {A_KEY}"),
        (hs256("AAAA"), f"server_auth.secret_key: {A_KEY}"),
        (
            f'{SCHEDULER}network.trusted_proxies = "::1"\n',
            "network.trusted_proxies: expected a list, each item",
        ),
        (
            f'{SCHEDULER}network.trusted_proxies = ["::1", "10.0.0.1/8"]\n',
            "network.trusted_proxies[1]: expected an IP network such as 10.0.0.0/8, or an IP address",
        ),
        (
            f'{SCHEDULER}network.servers_from = ["10.244.0.0/16"]\n',
            "network.servers_from: expected a table",
        ),
        (
            f'{SCHEDULER}[network.servers_from."10.244.0.1/16"]\naddresses = ["10.1.0.0/24"]\n',
            'network.servers_from."10.244.0.1/16": expected an IP network such as 10.0.0.0/8, or an IP address',
        ),
        (
            f'{SCHEDULER}[network.servers_from."10.244.0.0/16"]\n',
            'network.servers_from."10.244.0.0/16".addresses: missing, expected a list of 1 or more, each item an IP',
        ),
        (
            f'{SCHEDULER}[network.servers_from."10.244.0.0/16"]\naddresses = []\n',
            'network.servers_from."10.244.0.0/16".addresses: expected a list of 1 or more, each item an IP network',
        ),
        (f"{SCHEDULER}jwt.algorithms = []\n", "jwt.algorithms: expected a list of 1 or more, each item one of RS256"),
        (f'{SCHEDULER}jwt.algorithms = ["HS256"]\n', "jwt.algorithms[0]: expected one of RS256, RS384, RS512, PS256"),
        (f"{SCHEDULER}[admin]\npeople = 1\n", "admin.people: expected a table"),
        (f"{SCHEDULER}[admin]\npeople.ann = 1\n", "admin.people.ann: expected a table"),
        (f"{SCHEDULER}[admin.people.ann]\ntoken = 'x'\n", "admin.people.ann.token: unknown key"),
        (f"{SCHEDULER}[admin.people.ann]\ntoken_sha256 = 'x'\n", "admin.people.ann.token_sha256: expected 64 hex"),
        *(
            (f"{SCHEDULER}[admin.people.{name}]\n", f"admin.people.{name}: expected the name of a person")
            for name in ("administrator", "viewer", '"a b"', '"<b>"', '""', '".x"', "a" * 65)
        ),
        (f'{SCHEDULER}web.view = "all"\n', "web.view: expected one of clients, anyone, viewers"),
        (f'{SCHEDULER}web.names = "nobody"\n', "web.names: expected one of viewers, clients"),
        (f'{SCHEDULER}web.user_header = "X User"\n', "web.user_header: expected the name of a header"),
        (f"{SCHEDULER}web.viewers = -1\n", "web.viewers: expected a whole number"),
        (f"{SCHEDULER}limits.headers = 0\n", "limits.headers: expected a whole number, 1 or more"),
        (f"{SCHEDULER}limits.headers = true\n", "limits.headers: expected a whole number, 1 or more"),
        (f"{SCHEDULER}limits.header = 1\n", "limits.header: unknown key, did you mean headers?"),
        (f"{SCHEDULER}limits = 1\n", "limits: expected a table"),
        (f"{ADDR}x = \n", "not TOML: Invalid value (at line 2, column 5)"),
        (ADDR + ADDR, "not TOML: Cannot overwrite a value (at line 2, column "),
        (f"x = {'[' * 9999}", "not TOML: "),
    ],
)
def test_wrong_scheduler_files(path: Path, text: str, line: str) -> None:
    """What is wrong with a scheduler's file is said in one line: the file, the key, what was expected."""
    assert refusal(path, text, load_scheduler_settings).startswith(f"{path}: {line}")


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (CACHE, "", "cache_dir: missing, expected a path"),
        (CACHE, 'cache_dir = ""\n', "cache_dir: expected a path"),
        (CACHE, 'cache_dir = "a\\u0000b"\n', "cache_dir: expected a path"),
        (BUILDER, 'builder = { type = "overlay" }\n', "builder.build_dir: missing, expected a path"),
        (BUILDER, 'builder = { type = "lxc" }\n', "builder.type: expected one of overlay, docker, pot"),
        (
            BUILDER,
            'builder = { type = "pot", pot_clone_args = [1] }\n',
            "builder.pot_clone_args[0]: expected a text",
        ),
        (
            "jwt_token",
            "jwt_hs256",
            "scheduler_auth.type: expected one of DANGEROUSLY_INSECURE, token, jwt_token",
        ),
        *(
            (
                CACHE,
                f"{CACHE}policy.local_options = ['{option}']\n",
                "policy.local_options[0]: expected a compiler's option such as -mfoo, or -mfoo* for all that begin so",
            )
            for option in ("", "mfoo", "-", "-m foo bar", "-m*foo", "*", "-mfoo ")
        ),
        (CACHE, f'{CACHE}bind_address = "h:1"\n', f"bind_address: {AN_ADDRESS}"),
        (CACHE, f"{CACHE}toolchain_cache_size = -1\n", "toolchain_cache_size: expected a number of bytes"),
        (CACHE, f'{CACHE}toolchain_cache_size = "10G"\n', "toolchain_cache_size: expected a number of bytes"),
        (CACHE, f"{CACHE}toolchain_cache_size = 1e10\n", "toolchain_cache_size: expected a number of bytes"),
        (
            CACHE,
            f"{CACHE}toolchain_cache_size = {2**64}\n",
            "toolchain_cache_size: expected a number of bytes",
        ),
        (CACHE, f"{CACHE}network.trusted_proxies = []\n", f"network.trusted_proxies: {FOR_A_SCHEDULER}"),
        (CACHE, f"{CACHE}limits.unclaimed_jobs = 7\n", f"limits.unclaimed_jobs: {FOR_A_SCHEDULER}"),
    ],
)
def test_wrong_server_files(path: Path, old: str, new: str, line: str) -> None:
    """What is wrong with a build server's file is said in one line: the file, the key, what was expected."""
    assert refusal(path, SERVER.replace(old, new), load_server_settings).startswith(f"{path}: {line}")


@pytest.mark.parametrize(
    "url",
    [
        *("h", "h:10600", "ftp://h", "http://", "http://h/base", "http://h//", "http://h?x=1", "http://h#f"),
        *(
            "http://u:p@h/",
            "http://h:99999",
            "http://h:0",
            "http://h:",
            "http://[::1]5",
            "http://192.168.1.300",
            "http://a b",
            " http://h",
            "http://[::1",
        ),
    ],
)
def test_urls_that_name_no_scheduler(path: Path, url: str) -> None:
    """A URL that could not be used later is refused at once."""
    text = SERVER.replace("https://192.168.1.1", url)
    expected = f"{path}: scheduler_url: expected a http or https URL without a path"
    assert refusal(path, text, load_server_settings) == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", "not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ('{"a": 1,\n "a": 2}', 'key given twice: "a"'),
        ("[]", "expected a table"),
        ("[" * 9999, "not JSON: "),
        (f'{{"limits": {"9" * 9999}}}', "not JSON: "),
        (r'{"\ud800": 1}', r'"\ud800": unknown key'),
        (
            r'{"public_addr": "[::1]:1", "server_auth": {"type": "DANGEROUSLY_INSECURE"},'
            r' "client_auth": {"type": "token", "token": "\ud800"}}',
            f"client_auth.token: {A_TOKEN}",
        ),
    ],
)
def test_wrong_json_files(tmp_path: Path, text: str, line: str) -> None:
    """JSON is refused in the same words, and a key that comes twice is no silent choice of one."""
    path = tmp_path / "dist.json"
    assert refusal(path, text, load_scheduler_settings).startswith(f"{path}: {line}")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is not there, is a directory or is no text is one clear line too."""
    latin = tmp_path / "latin1.conf"
    latin.write_bytes(ADDR.encode() + b"# caf\xe9\n")
    for path, problem in [
        (tmp_path / "missing.conf", "cannot be read: No such file or directory"),
        (tmp_path, "cannot be read: Is a directory"),
        (latin, "line 2: not UTF-8"),
    ]:
        with pytest.raises(ConfigError) as caught:
            load_server_settings(path)
        assert str(caught.value) == f"{path}: {problem}"


@pytest.mark.parametrize(
    "text",
    [
        client(f'type = "token", token = ["{SECRET}"]'),
        client(f'type = "token", token = "{SECRET}\\n"'),
        client(f'type = "token", token = "{SECRET}'),
        client(f'type = "token", token = "{SECRET}", token = "{SECRET}"'),
        client(f'type = "{SECRET}"'),
        client(f'type = "proxy_token", url = "https://user:{SECRET}@h"'),
        hs256(SECRET),
        f"{ADDR}{CLIENT_AUTH}server_auth = {SECRET}\n",
        f'{ADDR}{CLIENT_AUTH}server_auth = "{SECRET}"\n',
    ],
)
def test_errors_do_not_show_secrets(path: Path, text: str) -> None:
    """A wrong file is refused without repeating what stands in it, in the traceback too."""
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_scheduler_settings(path)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


GATEWAY = 'builder = { type = "remote", tokens = ["for-its-workers"] }\n'
WORKER = f'{CACHE}[gateway]\nurls = ["https://10.0.0.7:10501"]\ntoken = "for-its-workers"\n'
OF_WORKERS = "a gateway offers the CPUs of its workers; set it in their files"
OF_PROCESSES = "it has no effect with this builder.type; with overlay it has"


@pytest.mark.parametrize("builder", ["overlay", "docker", "pot", "remote"])
@pytest.mark.parametrize(
    "line", ["idle_only = true", "nice = 5", "cpu_weight = 50", "cpus = 2", "reserve_memory_bytes = 1"]
)
def test_capacity_without_effect(path: Path, builder: str, line: str) -> None:
    """A gateway has no CPUs and no memory to offer; containers and jails are no processes of the daemon."""
    name, why = line.split()[0], OF_WORKERS if builder == "remote" else OF_PROCESSES
    is_good = builder == "overlay" or (builder != "remote" and name in ("cpus", "reserve_memory_bytes"))
    table = {"overlay": BUILDER, "remote": GATEWAY}.get(builder, f'builder = {{ type = "{builder}" }}\n')
    files: list[tuple[str, Callable[[Path], object]]] = [
        (f"{CACHE}{HERE}{URL}{SCHEDULER_AUTH}{table}", load_server_settings)
    ]
    files += [(f"{table}{WORKER}", load_worker_settings)] if builder != "remote" else []
    for text, load in files:
        file = f"{text}[capacity]\n{line}\n"
        if is_good:
            path.write_text(file)
            load(path)
        else:
            assert refusal(path, file, load) == f"{path}: capacity.{name}: {why}"
