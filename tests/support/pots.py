"""A host with a fake ``pot`` and ``jexec`` on its PATH, and the template that the documentation tells to make."""

import os
import shlex
import shutil
import sys
from pathlib import Path

import attrs

from sccachedist.config import PotBuilderSettings
from tests.sandbox.archives import BUSYBOX
from tests.support import fake_pot


@attrs.frozen
class PotHost:
    """The directory that has everything in it."""

    home: Path

    @classmethod
    def make(cls, home: Path) -> "PotHost":
        """Make the programs and the template."""
        host = cls(home)
        for name in ("pot", "jexec"):
            words = [sys.executable, "-I", "-S", fake_pot.__file__, name, str(host.fs_root)]
            program = home / "bin" / name
            program.parent.mkdir(exist_ok=True)
            program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
            program.chmod(0o755)
        host._make_template()
        return host

    @property
    def fs_root(self) -> Path:
        """Where pots are."""
        return self.home / "pots"

    @property
    def settings(self) -> PotBuilderSettings:
        """What the configuration of a build server here says."""
        return PotBuilderSettings(pot_fs_root=self.fs_root)

    @property
    def environment(self) -> dict[str, str]:
        """What a daemon here sees."""
        return {"PATH": f"{self.home}/bin:{os.environ['PATH']}"}

    def break_(self, *verbs: str) -> None:
        """Have these commands fail, and all others work."""
        (self.fs_root / "broken").write_text(" ".join(verbs))

    def commands(self) -> list[str]:
        """All that ``pot`` was told since the last time."""
        log = self.fs_root / "log"
        told = log.read_text().splitlines()
        log.write_text("")
        return told

    def names(self) -> list[str]:
        """Every pot, or part of one, but the template."""
        found = (folder.name for folder in (self.fs_root / "jails").iterdir())
        return sorted(name for name in found if name != self.settings.clone_from)

    def _make_template(self) -> None:
        template = fake_pot.Pot(self.fs_root, self.settings.clone_from)
        for directory in ("bin", "usr/bin"):
            (template.files / directory).mkdir(parents=True)
        shutil.copy(BUSYBOX, template.files / "bin/sh")
        for name in ("bin/test", "usr/bin/env"):
            (template.files / name).symlink_to("/bin/sh")
        template.write("", "no")
        self.break_()
        (self.fs_root / "log").touch()
        fake_pot.snapshot(template)
