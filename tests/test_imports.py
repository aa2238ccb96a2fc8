"""Which rooms stay clear of Twisted."""

import subprocess
import sys
from pathlib import Path

import sccachedist

PACKAGE = Path(sccachedist.__file__).parent
LOOK = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"twisted", "klein", "treq"}))
"""


def modules(*patterns: str) -> list[str]:
    """The names of the package's modules at some paths."""
    paths = [path.relative_to(PACKAGE.parent) for pattern in patterns for path in PACKAGE.glob(pattern)]
    return sorted(".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths)


def test_no_twisted_in_what_decides() -> None:
    """The wire, the configuration, the errors and every core can be used without loading Twisted."""
    names = modules("wire/**/*.py", "config.py", "config/**/*.py", "errors.py", "**/core.py")
    assert {"sccachedist.wire.tokens", "sccachedist.errors", "sccachedist.scheduler.core"} < set(names)
    found = subprocess.run(
        [sys.executable, "-c", LOOK, *names], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == []
