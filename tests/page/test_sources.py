"""What holds for all files of the page: how large they are, what they load, and what they never do."""

import re
from fnmatch import fnmatch

import pytest

from sccachedist.scheduler.page_routes import FOLDER, INDEX, WORDS, PageFiles
from tests.test_packaging import asked_for

FILES = {str(path.relative_to(FOLDER)): path for path in FOLDER.rglob("*.*")}
SCRIPTS = [name for name in FILES if name.endswith(".js")]
#: The most bytes of all together, as they are sent.
LARGEST = 60_000
#: What makes a page of a text, or a program.
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|createContextualFragment"
    r"|srcdoc|javascript:|https?://(?!www\.w3\.org/2000/svg\")"
)


def test_size() -> None:
    """A browser far away has it at once."""
    files = PageFiles.read()
    assert sum(len(file.packed.body) for file in (files.index, *files.others.values())) < LARGEST


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_text_becomes_a_page(name: str) -> None:
    """Names of strangers go in as text, and no other host is named."""
    assert FORBIDDEN.findall(FILES[name].read_text()) == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_imports(name: str) -> None:
    """Each module that is named is there, by a path that does not depend on where the page stands."""
    named = re.findall(r'(?m)^import .*? from "(.+)";$', FILES[name].read_text())
    assert {target for target in named if not target.startswith(("./", "../"))} == set()
    found = {(FILES[name].parent / target).resolve().relative_to(FOLDER) for target in named}
    assert {str(path) for path in found} <= {*SCRIPTS, WORDS}


def test_all_is_used() -> None:
    """No file is shipped that none of the others names."""
    texts = [path.read_text() for path in FILES.values()]
    unused = {name for name in FILES if not any(name.rpartition("/")[2] in text for text in texts)}
    assert unused == {INDEX}


def test_in_the_wheel() -> None:
    """Each file is in the package that is installed."""
    patterns = asked_for()["package_data"]["sccachedist"]
    assert {name for name in FILES if not any(fnmatch(f"page/{name}", pattern) for pattern in patterns)} == set()
