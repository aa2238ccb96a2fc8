"""What a build server sees of its host."""

import os
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from sccachedist.memory import host_memory
from sccachedist.server.host import Host, elf_machine, host_name
from sccachedist.wire.bincode import decode, encode
from sccachedist.wire.host_facts import HOST_FACTS


class Looks:
    """A thread in which a disk does not answer yet."""

    def __init__(self) -> None:
        self.answers: list[Deferred[int | None]] = []

    def __call__(self, *_: object) -> Deferred[Any]:
        self.answers.append(Deferred())
        return self.answers[-1]


def test_facts() -> None:
    """All that can be told at once is told, and fits into a heartbeat; the disks' room comes with a look."""
    looks = Looks()
    host = Host({"cache": Path("/cache"), "build": Path("/build")}, looks, lambda: (("0c" * 32, 7),))
    facts = host.facts()
    assert facts.machine_name == os.uname().machine
    assert facts.load is not None
    assert 0 < (facts.memory_free or 0) < (facts.memory_total or 0)
    assert (facts.cache_free, facts.build_free, facts.uploads) == (None, None, (("0c" * 32, 7),))
    assert decode(HOST_FACTS, encode(HOST_FACTS, facts)) == facts
    host.look_at_disks()
    looks.answers.pop().callback(8)
    looks.answers.pop().callback(None)
    assert (host.facts().cache_free, host.facts().build_free) == (8, None)


def test_a_host_that_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /proc a heartbeat goes out all the same."""

    def refused() -> None:
        raise OSError

    monkeypatch.setattr(os, "getloadavg", refused)
    monkeypatch.setattr("sccachedist.server.host.host_memory", lambda: host_memory(Path("/nowhere")))
    facts = Host({}, Looks(), tuple).facts()
    assert (facts.load, facts.memory_free, facts.memory_total) == (None, None, None)


@pytest.mark.parametrize(
    ("head", "machine"),
    [
        (b"\x7fELF\2\1" + bytes(12) + b"\xb7\0", 183),
        (b"\x7fELF\2\2" + bytes(12) + b"\0\x16", 22),
        (b"\x7fELF\2\1", 0),
        (b"#!/bin/sh and what follows it", 0),
    ],
)
def test_machines(tmp_path: Path, head: bytes, machine: int) -> None:
    """A program's machine stands in its head, in the order of its bytes; a script has none."""
    (program := tmp_path / "program").write_bytes(head)
    assert elf_machine(program) == machine
    assert elf_machine(tmp_path / "none") == 0


@pytest.mark.parametrize(
    ("told", "name"), [("build17", "build17"), ("b\udcff", "b?"), ("\N{EURO SIGN}" * 100, "\N{EURO SIGN}" * 84)]
)
def test_names(told: str, name: str) -> None:
    """A host's name is one that UTF-8 has, and short."""
    assert host_name(told) == name
