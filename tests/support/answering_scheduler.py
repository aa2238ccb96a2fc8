"""A scheduler that answers what a test says, for commands that ask one."""

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from sccachedist.cli import main as cli

#: What it does something to.
ADDRESS = "10.0.0.17:10501"


@attrs.define
class AnsweringScheduler:
    """Answers in turn, and repeats its last answer; remembers what it was asked."""

    url: str
    config: Path
    answers: list[tuple[int, bytes]] = attrs.field(factory=list)
    asked: list[tuple[str, Any]] = attrs.field(factory=list)

    def gives(self, *documents: Any, status: int = 200) -> None:
        self.answers += [(status, json.dumps(document).encode()) for document in documents]

    def did(self, *texts: str, found: bool = True) -> None:
        done = [{"about": ADDRESS, "text": text, "found": found} for text in texts]
        self.gives({"v": 1, "text": "that was all", "done": done})

    def run(self, *arguments: str) -> None:
        cli.main((*arguments, "--config", str(self.config)))

    def fails(self, *arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            self.run(*arguments)
        return str(ended.value.code)
