"""A configuration file of each role to begin with: what has to be said, and every other key with its default.

It comes from the declarations that also read the file. What a value has to be on a host is not known here, so that what
has to be said is made up, and no daemon starts with its secrets.
"""

import re
import textwrap
from collections.abc import Iterator, Mapping

from attrs import frozen

from sccachedist.config.reference import KeyRow, Section, sections
from sccachedist.config.settings import SchedulerSettings, ServerSettings
from sccachedist.config.worker import WorkerSettings

_WIDTH = 116
_KIND = re.compile(r'\[(.+)\] type = "(.+)"')
_SIZE = re.compile(r"(\d+) \((.+)\)")


@frozen
class _Role:
    """A role whose file can be written.

    :param samples: what has to be said, by dotted key, as it stands in TOML. A ``type`` chooses among several.
    """

    settings: type
    samples: Mapping[str, str]


_OVERLAY = {"builder.type": '"overlay"', "builder.bwrap_path": '"/usr/bin/bwrap"'}
ROLES = {
    "scheduler": _Role(
        SchedulerSettings,
        {
            "public_addr": '"192.168.1.1:10600"',
            "client_auth.type": '"token"',
            "client_auth.token": '"what sccachedist auth generate-shared-token printed"',
            "server_auth.type": '"jwt_hs256"',
            "server_auth.secret_key": '"what sccachedist auth generate-jwt-hs256-key printed"',
        },
    ),
    "server": _Role(
        ServerSettings,
        {
            "cache_dir": '"/var/lib/sccachedist/cache"',
            "public_addr": '"192.168.1.2:10501"',
            "scheduler_url": '"http://192.168.1.1:10600"',
            **_OVERLAY,
            "builder.build_dir": '"/var/lib/sccachedist/build"',
            "scheduler_auth.type": '"jwt_token"',
            "scheduler_auth.token": '"what sccachedist auth generate-jwt-hs256-server-token printed"',
        },
    ),
    "worker": _Role(
        WorkerSettings,
        {
            "cache_dir": '"/var/lib/sccachedist-worker/cache"',
            **_OVERLAY,
            "builder.build_dir": '"/var/lib/sccachedist-worker/build"',
            "gateway.urls": '["https://192.168.1.3:10501"]',
            "gateway.token": '"one of the gateway\'s builder.tokens"',
        },
    ),
}


def example(role: str) -> str:
    """The file of one of :data:`ROLES`, in TOML."""
    about = (
        f"The configuration of a {role if role != 'server' else 'build server'}. What begins with # is the default, or "
        "what may be said and has none (...). It holds secrets: only the user of the daemon should be able to read it."
    )
    lines = list(_comment(about))
    for section in sections(ROLES[role].settings):
        lines += ["", *_section(section, ROLES[role].samples)]
    return "\n".join([*lines, ""])


def _section(section: Section, samples: Mapping[str, str]) -> Iterator[str]:
    """A table, or the top. One that needs what is not said is a comment; so is a type that is not chosen."""
    kind = _KIND.fullmatch(section.heading)
    table = kind[1] if kind else section.heading[1:-1]
    needed = [_dotted(table, row) for row in section.rows if row.required]
    is_said = samples.get(f"{table}.type") == f'"{kind[2]}"' if kind else all(_is_said(key, samples) for key in needed)
    is_said &= not table.endswith(".NAME")
    mark = "" if is_said else "#"
    if table:
        yield from _comment(section.about)
        yield f"{mark}[{table}]"
    if kind:
        yield f'{mark}type = "{kind[2]}"'
    for row in section.rows:
        key = _dotted(table, row)
        if not (row.required and f"{key}.type" in samples):  # a table of its own
            yield from _comment(f"{row.about} ({row.expected})")
            if row.required:
                yield f"{mark}{row.name} = {samples.get(key, '...') if is_said else '...'}"
            else:
                default = _SIZE.sub(r"\1  # \2", row.default)
                yield f"#{row.name} = {default or '...'}"


def _dotted(table: str, row: KeyRow) -> str:
    return f"{table}.{row.name}" if table else row.name


def _is_said(key: str, samples: Mapping[str, str]) -> bool:
    return key in samples or f"{key}.type" in samples


def unmarked(text: str) -> str:
    """A sentence of the reference without its markup, for readers of plain text: a page has the name of its file."""
    return re.sub(r":\w+:`([^`]+)`", r"\1", text.replace(":doc:`", ":doc:`doc/")).replace("``", "")


def _comment(text: str) -> Iterator[str]:
    for line in textwrap.wrap(unmarked(text), _WIDTH, break_long_words=False, break_on_hyphens=False):
        yield f"# {line}"
