"""Configuration files as we judge them and as the published program does: but for what a table names, alike.

The published program runs in a sandbox without a network, for the addresses of these files are nobody's and it removes
its ``build_dir`` whole. There it comes to its end at once, and says on the way whether the file was good.
"""

import copy
import json
import re
import subprocess
from enum import Enum
from pathlib import Path
from typing import Any

import hypothesis
import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.farm import PROGRAMS
from sccachedist.config import load_scheduler_settings, load_server_settings
from sccachedist.errors import ConfigError
from sccachedist.server.service import server_token
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.tokens import server_token as sign
from tests.test_config_properties import toml, toml_file

pytestmark = pytest.mark.functional

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
HERE = "192.0.2.1:10501"
TOKEN = sign(bytes(32), ServerId.parse(HERE))
EXPIRING = jwt.encode({"exp": 2**33, "server_id": HERE}, bytes(32), "HS256")

Document = dict[str, Any]

INSECURE: Document = {"type": "DANGEROUSLY_INSECURE"}
SCHEDULER: Document = {"public_addr": "192.0.2.1:10600", "client_auth": INSECURE, "server_auth": INSECURE}
OVERLAY: Document = {"type": "overlay", "build_dir": "/tmp/build", "bwrap_path": "/usr/bin/bwrap"}
SERVER: Document = {
    "cache_dir": "/nowhere/toolchains",
    "public_addr": HERE,
    "scheduler_url": "https://192.0.2.1",
    "builder": OVERLAY,
    "scheduler_auth": INSECURE,
}
BASES = {"scheduler": SCHEDULER, "server": SERVER}


class Verdict(Enum):
    """What the published program makes of a file."""

    TAKEN = "taken"
    REFUSED = "refused"
    UNTRIED = "taken in form; this machine has not what it takes to try the key or the token in it"


_LAST_WORDS = {
    "Failed to start http server": Verdict.TAKEN,  # nobody's address
    "Failed to create sccache server instance": Verdict.TAKEN,  # a cache_dir that cannot be made
    "Secret key base64 invalid": Verdict.REFUSED,
    "Size of secret key incorrect": Verdict.REFUSED,
    "Could not decode scheduler auth jwt": Verdict.REFUSED,
    "JWT server id": Verdict.REFUSED,
    "Docker builder failed to start": Verdict.UNTRIED,
    "Overlay builder failed to start": Verdict.UNTRIED,
    "Builder type `Pot` not supported": Verdict.UNTRIED,
    "Failed to create a checker for valid JWTs": Verdict.UNTRIED,  # which wants the provider's keys
}
_TRIED_LAST = ("server_auth.secret_key: ", "scheduler_auth.token: ")


def published(role: str, file: Path) -> Verdict:
    """The published program's verdict: by its exit status, and where it went on, by how far it came."""
    visible = (argument for folder in (PROGRAMS, file.parent) for argument in ("--ro-bind", str(folder), str(folder)))
    sandbox = ("bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--tmpfs", "/tmp", *visible, "--chdir", "/tmp")
    as_root = ("--unshare-all", "--uid", "0", "--gid", "0", "--die-with-parent", "--clearenv")
    variables = ("--setenv", "SCCACHE_NO_DAEMON", "1", "--setenv", "PATH", "/nowhere")
    command = (*sandbox, *as_root, *variables, str(PROGRAMS / "sccache-dist"), role, "--config", str(file))
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if ended.returncode == 1:
        return Verdict.REFUSED
    verdicts = [verdict for words, verdict in _LAST_WORDS.items() if f"error: {words}" in ended.stderr]
    assert len(verdicts) == 1, ended
    return verdicts[0]


def refusal(role: str, file: Path) -> str | None:
    """The dotted key and the rest of the line with which we refuse a file."""
    try:
        if role == "scheduler":
            load_scheduler_settings(file)
        else:
            server_token(load_server_settings(file))
    except ConfigError as error:
        return str(error).removeprefix(f"{file}: ")
    return None


def alike(role: str, file: Path) -> bool:
    """Whether we take a file as the published program does."""
    ours, theirs = refusal(role, file), published(role, file)
    if theirs is Verdict.UNTRIED:
        return ours is None or ours.startswith(_TRIED_LAST)
    return (ours is None) == (theirs is Verdict.TAKEN)


# Addresses mistyped in many ways, none of them a host's own: on that the published scheduler would start.
ADDRESSES = (HERE, "[2001:db8::1]:10501", "192.0.2.1:0", "[2001:DB8:0::1]:65535", "[::ffff:192.0.2.1]:1")
EDIT = st.tuples(st.floats(0, 1), st.integers(0, 2), st.text("0123456789abcdef:.[]", max_size=2))


def edited(text: str, edit: tuple[float, int, str]) -> str:
    place, length, instead = edit
    start = int(place * len(text))
    return text[:start] + instead + text[start + length :]


def almost(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(texts) | st.builds(edited, st.sampled_from(texts), EDIT)


def one_of(kind: str, **keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries({"type": st.just(kind)} | keys)


URLS = st.sampled_from(
    [
        *("https://farm.example/", "HTTP://h", HERE, "[2001:db8::1]:5"),
        *("http://h/base", "http://h/base/", "http://h//"),
        *("h", "h:10600", "//h", "ftp://h", "http://", "http://a b", "http://é.example", "", "."),
        *("http://h:99999", "http://h:1:2", "http://h:x", "http://h]", "http://[h", "http://::1", "http://h:-1"),
        *("http://192.0.2.1", "http://192.0.2.1.", "http://192.0.2.300:80", "http://192..2.1", "http://192.0.2.1.1"),
        *("http://[::1]", "http://[::1]5", "http://[::1]x", "http://[::g]", "http://[]", "http://[192.0.2.1]"),
    ]
)
TEXTS = st.sampled_from(["my token", "é", "x" * 300])
PATHS = st.sampled_from(["/tmp/a", "/tmp/a b", "é"])
SIZES = st.sampled_from([0, 1, 2**63, 2**64 - 1])
SECRET_KEYS = st.sampled_from([KEY, f"{KEY}=", f"{KEY}A", f"{KEY}AA", KEY[:-1], f"{KEY[:-1]}9", f"+{KEY[1:]}", ""])
JWTS = st.sampled_from([TOKEN, sign(bytes(32), ServerId.parse("[2001:db8::1]:10501")), "a.b.c", "", TOKEN[1:]])
NO_AUTH, SHARED = one_of("DANGEROUSLY_INSECURE"), one_of("token", token=TEXTS)
URL = st.sampled_from(["http://h/check", "https://h?x=1"])

SCHEDULERS = st.fixed_dictionaries(
    {
        "public_addr": almost(*ADDRESSES),
        "client_auth": NO_AUTH
        | SHARED
        | one_of("proxy_token", url=URL)
        | one_of("proxy_token", url=URL, cache_secs=SIZES)
        | one_of("jwt_validate", audience=TEXTS, issuer=TEXTS, jwks_url=URL),
        "server_auth": NO_AUTH | SHARED | one_of("jwt_hs256", secret_key=SECRET_KEYS),
    }
)
SERVERS = st.fixed_dictionaries(
    {
        "cache_dir": st.just("/nowhere/toolchains"),
        "public_addr": almost(*ADDRESSES),
        "scheduler_url": URLS,
        "builder": one_of("overlay", build_dir=PATHS, bwrap_path=st.just("/usr/bin/bwrap"))
        | one_of("docker")
        | one_of("pot")
        | one_of("pot", pot_fs_root=PATHS, clone_from=TEXTS, pot_cmd=PATHS, pot_clone_args=st.lists(TEXTS, max_size=2)),
        "scheduler_auth": NO_AUTH | SHARED | one_of("jwt_token", token=JWTS),
    },
    optional={"bind_address": almost(*ADDRESSES), "toolchain_cache_size": SIZES},
)


@st.composite
def damaged(draw: st.DrawFn, documents: st.SearchStrategy[Document]) -> Document:
    """A document, perhaps with one key too many, too few, or with a value of another kind."""
    document = copy.deepcopy(draw(documents))
    table = draw(st.sampled_from([document, *(value for value in document.values() if isinstance(value, dict))]))
    name = draw(st.sampled_from([*table, "unknown"]))
    match draw(st.sampled_from(["whole", "whole", "without", "other"])):
        case "without":
            table.pop(name, None)
        case "other":
            # A URL that nobody can ask is refused by us alone, see ONLY_THE_PUBLISHED.
            text = () if name in ("url", "jwks_url") else ("x",)
            table[name] = draw(st.sampled_from([-1, 0, 7, True, 1.5, *text, (), ("x",)]))
    return document


def with_tables(document: Document) -> str:
    """TOML as people write it: what is a table has a heading."""
    tables = {name: value for name, value in document.items() if isinstance(value, dict)}
    keys = {name: value for name, value in document.items() if name not in tables}
    return toml_file(keys) + "".join(f"[{toml(name)}]\n{toml_file(table)}" for name, table in tables.items())


def spread_out(value: object) -> str:
    """A value as TOML 1.1 lets one write it: inline tables over several lines, with comments and a last comma."""
    if isinstance(value, dict):
        return "{ # table\n" + "".join(f"  {toml(k)} = {spread_out(v)}, # key\n" for k, v in value.items()) + "}"
    if isinstance(value, str):
        return '"' + "".join(f"\\x{ord(letter):02x}" if letter <= "\xff" else letter for letter in value) + '"'
    return toml(value)


FORMS = {
    "one.toml": toml_file,
    "two.toml": with_tables,
    "three.toml": lambda document: "".join(f"{toml(k)} = {spread_out(v)}\n" for k, v in document.items()),
    "windows.conf": lambda document: "\ufeff" + with_tables(document).replace("\n", "\r\n"),
    "four.json": lambda document: json.dumps(document, indent=1),
}
NOISE = [
    *("[", "]", "{", "}", ",", "=", ":", "x", "[x]", "[builder]", "[[builder]]", "null", "//", '"', "'''"),
    *("x = 12:30", r'x = "\e"', r'x = "\xg0"', "x = {,}", "},"),
    *("x = 1", "builder.x = 1", "public_addr = 1", '"x": 1,', "# é"),
    *("\r", "\t", " ", "\x01", "\x0b", "# \x7f", "\u00a0", "\ud800"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config")


@hypothesis.settings(deadline=None, max_examples=300)
@given(
    described=st.tuples(st.just("scheduler"), damaged(SCHEDULERS)) | st.tuples(st.just("server"), damaged(SERVERS)),
    form=st.sampled_from(list(FORMS)),
    noise=st.none() | st.tuples(st.floats(0, 1), st.sampled_from(NOISE)),
)
def test_the_same_files_are_taken(
    folder: Path, described: tuple[str, Document], form: str, noise: tuple[float, str] | None
) -> None:
    """Whatever stands in a file, in TOML or JSON: we take it if the published program does, and only then."""
    role, document = described
    lines = FORMS[form](document).splitlines(keepends=True)
    if noise:
        lines.insert(1 + int(noise[0] * len(lines)), f"{noise[1]}\n")
    file = folder / form
    file.write_bytes("".join(lines).encode(errors="surrogatepass"))
    assert alike(role, file)


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    """No file, a directory and what is not UTF-8."""
    latin = tmp_path / "latin1.conf"
    latin.write_bytes(toml_file(SCHEDULER).encode() + b"# caf\xe9\n")
    for file in (tmp_path / "missing.conf", tmp_path, latin):
        assert refusal("scheduler", file)
        assert published("scheduler", file) is Verdict.REFUSED


# What the published documentation shows, with an address, a URL, a key and a token where it has placeholders.
EXAMPLES: list[tuple[str, str, Any]] = [
    ("scheduler", "client_auth", {"type": "token", "token": "my client token"}),
    ("scheduler", "client_auth", {"type": "token", "token": "YOUR_TOKEN_HERE"}),
    ("scheduler", "client_auth", {"type": "proxy_token", "url": "https://idp.example/check", "cache_secs": 60}),
    (
        "scheduler",
        "client_auth",
        {"type": "jwt_validate", "audience": "audience", "issuer": "issuer", "jwks_url": "https://idp.example/keys"},
    ),
    ("scheduler", "client_auth", INSECURE),
    ("scheduler", "server_auth", {"type": "jwt_hs256", "secret_key": KEY}),
    ("scheduler", "server_auth", {"type": "token", "token": "preshared token"}),
    ("server", "scheduler_auth", {"type": "jwt_token", "token": TOKEN}),
    ("server", "scheduler_auth", {"type": "token", "token": "preshared token"}),
    ("server", "builder", {"type": "docker"}),
    ("server", "builder", {"type": "pot"}),
    (
        "server",
        "builder",
        {
            "type": "pot",
            "pot_fs_root": "/opt/pot",
            "clone_from": "sccache-template",
            "pot_cmd": "pot",
            "pot_clone_args": ["-i", "lo0|127.0.0.2"],
        },
    ),
    ("server", "toolchain_cache_size", 10737418240),
    ("server", "bind_address", "0.0.0.0:10501"),
    ("server", "scheduler_url", "https://192.168.1.1"),
    ("server", "scheduler_url", "http://127.0.0.1:10600"),
]


@pytest.mark.parametrize(("role", "key", "value"), EXAMPLES)
def test_the_examples_of_the_published_documentation(tmp_path: Path, role: str, key: str, value: object) -> None:
    """Each is taken, by both, in every form."""
    for form, write in FORMS.items():
        file = tmp_path / form
        file.write_text(write(BASES[role] | {key: value}), newline="")
        assert refusal(role, file) is None
        assert published(role, file) is not Verdict.REFUSED


# TOML 1.1, in the values of keys that the published program reads or passes over.
TOML_1_1 = [
    '{ type = "DANGEROUSLY_INSECURE", }',
    '{\n  type = "DANGEROUSLY_INSECURE" # a comment\n\n}',
    '{\r\n  type = "DANGEROUSLY_INSECURE"\r\n  ,\r\n}',
    '{ type = "token", token = "\\x41\\xe9" }',
    '{ type = "DANGEROUSLY_INSECURE", passed_over = "\\e[0m" }',
    '{ type = "DANGEROUSLY_INSECURE", passed_over = 12:30 }',
    '{ type = "DANGEROUSLY_INSECURE", passed_over = [2026-01-02T12:30, 2026-01-02 12:30Z, 2026-01-02T12:30+01:00] }',
]
NOT_TOML = ["{ , }", '{ type = "DANGEROUSLY_INSECURE",, }', '{ type = "token", token = "\\x4" }', "{ é = 1 }", "12:3"]


@pytest.mark.parametrize("value", TOML_1_1)
def test_toml_1_1(tmp_path: Path, value: str) -> None:
    """What came with TOML 1.1 is taken by both."""
    file = one_key(tmp_path / "dist.conf", "scheduler", "client_auth", value)
    assert (refusal("scheduler", file), published("scheduler", file)) == (None, Verdict.TAKEN)


@pytest.mark.parametrize("value", NOT_TOML)
def test_what_is_no_toml_either(tmp_path: Path, value: str) -> None:
    """It is refused by both, by us with the line."""
    file = one_key(tmp_path / "dist.conf", "scheduler", "client_auth", value)
    assert re.fullmatch(r"not TOML: .* \(at line 1, column \d+\)", refusal("scheduler", file) or "")
    assert published("scheduler", file) is Verdict.REFUSED


# Where we differ, on purpose: doc/operations.rst, "Other than the published daemons". A key and its value in TOML.
ONLY_THE_PUBLISHED: list[tuple[str, str, str]] = [
    # tokens that no header can carry, or that protect nothing
    ("scheduler", "client_auth", '{ type = "token", token = "" }'),
    ("scheduler", "client_auth", '{ type = "token", token = " x" }'),
    ("scheduler", "server_auth", '{ type = "token", token = "a\\nb" }'),
    ("server", "scheduler_auth", f'{{ type = "jwt_token", token = "{EXPIRING}" }}'),
    # URLs that nobody can ask, with a secret in them, or with what would be passed over
    ("scheduler", "client_auth", '{ type = "proxy_token", url = "..." }'),
    ("scheduler", "client_auth", '{ type = "proxy_token", url = "http://user:secret@h" }'),
    *(
        ("server", "scheduler_url", f'"{url}"')
        for url in ("http://h:0", "http://user:secret@h", "http://h?x", "http://h/#f", "http://h/a/..")
    ),
    # URLs and addresses that are mended or completed by guessing
    *(
        ("server", "scheduler_url", f'"{url}"')
        for url in ("http:h", "http:/h", r"http:\\h", " http://h", "http://h:", "http://%41", "http://127.1")
    ),
    # a scope, which means something on one host only
    ("scheduler", "public_addr", '"[fe80::1%2]:10600"'),
    # paths that name no file
    ("server", "cache_dir", '""'),
    ("server", "cache_dir", '"a\\u0000b"'),
    # lists in the place of tables
    ("scheduler", "client_auth", '["token", "x"]'),
]
ONLY_OURS: list[tuple[str, str, str]] = [
    # tables of our own
    ("scheduler", "limits", "{ job_secs = 60 }"),
    ("server", "sandbox", "{}"),
]

# The same in JSON: keys without names, and two values for one key; then a byte order mark, null for a key that is
# left out, and what is passed over.
ONLY_THE_PUBLISHED_IN_JSON = [
    '["192.0.2.1:10600", {"type": "DANGEROUSLY_INSECURE"}, {"type": "DANGEROUSLY_INSECURE"}]',
    json.dumps(SCHEDULER).replace('"type"', '"x": 1, "x": 2, "type"', 1),
]
ONLY_OURS_IN_JSON = [
    ("scheduler", "\ufeff" + json.dumps(SCHEDULER)),
    ("server", json.dumps(SERVER | {"toolchain_cache_size": None})),
    ("scheduler", json.dumps(SCHEDULER | {"client_auth": INSECURE | {"passed over": float("nan")}})),
]


@pytest.mark.parametrize(("role", "key", "value"), ONLY_THE_PUBLISHED)
def test_what_only_the_published_program_takes(tmp_path: Path, role: str, key: str, value: str) -> None:
    """What would not work, or not as it looks, is refused at once."""
    file = one_key(tmp_path / "dist.conf", role, key, value)
    assert (refusal(role, file) is None, published(role, file)) == (False, Verdict.TAKEN)


@pytest.mark.parametrize(("role", "key", "value"), ONLY_OURS)
def test_what_only_we_take(tmp_path: Path, role: str, key: str, value: str) -> None:
    """Our own tables are keys that the published program does not know."""
    file = one_key(tmp_path / "dist.conf", role, key, value)
    assert (refusal(role, file) is None, published(role, file)) == (True, Verdict.REFUSED)


@pytest.mark.parametrize("text", ONLY_THE_PUBLISHED_IN_JSON)
def test_what_only_the_published_program_takes_in_json(tmp_path: Path, text: str) -> None:
    """What leaves open which value is meant for which key."""
    file = tmp_path / "dist.json"
    file.write_text(text)
    assert (refusal("scheduler", file) is None, published("scheduler", file)) == (False, Verdict.TAKEN)


@pytest.mark.parametrize(("role", "text"), ONLY_OURS_IN_JSON)
def test_what_only_we_take_in_json(tmp_path: Path, role: str, text: str) -> None:
    """What can only be meant in one way."""
    file = tmp_path / "dist.json"
    file.write_text(text)
    assert (refusal(role, file) is None, published(role, file)) == (True, Verdict.REFUSED)


def one_key(file: Path, role: str, key: str, value: str) -> Path:
    """A file that is good but for one key."""
    others = {name: other for name, other in BASES[role].items() if name != key}
    file.write_text(f"{key} = {value}\n{toml_file(others)}")
    return file
