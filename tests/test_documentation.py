"""What the documentation names is there: files, folders, modules and what is in them, commands, rooms, keys."""

import importlib
import importlib.util
import re
from pathlib import Path

import pytest

import sccachedist
from sccachedist.config import SchedulerSettings, ServerSettings, WorkerSettings
from sccachedist.config.reference import sections
from tests.test_imports import FLOORS

CHECKOUT = Path(__file__).parents[1]
PACKAGE = Path(sccachedist.__file__).parent
#: Where a path in a page may begin.
ROOTS = (CHECKOUT, PACKAGE, CHECKOUT / "doc")
PAGES = {
    str(path.relative_to(CHECKOUT)): path.read_text()
    for path in (CHECKOUT / "README.md", *sorted(CHECKOUT.glob("doc/**/*.rst")))
    if "_build" not in path.parts
}
ROOMS = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
MODULES = {path.name for path in PACKAGE.glob("[!_]*.py")}
BESIDE = {"sccachedist", "twisted", "farmkit", "demo", "bench", "fuzz", "tests", "scripts", "contrib", "doc"}
FILE = re.compile(r"(?<![\w/.<-])[\w./-]*\w\.(?:py|sh|c|rst|json)\b(?![\w/-])")
FOLDER = re.compile(r"``((?:[\w.-]+/)+)``")
DOTTED = re.compile(r"(?<![\w./-])sccachedist(?:\.\w+)+")
NAME, PATH = r"``(\w+(?:\.\w+)*)``", r"``([\w/]+\.py)``"
INSIDE = re.compile(rf"{NAME}\s+in\s+{PATH}|{PATH}\s+\({NAME}(?:,\s+{NAME})?\)")
TARGET = re.compile(r"(?:`|^ {4,}|^)make ([a-z-]+)", re.MULTILINE)
RUN = re.compile(r"python -m ([a-z]+(?:\.\w+)*)")
#: Every key of both configuration files, with its table.
KEYS = {
    f"{section.heading[1:].split(']')[0]}.{row.name}".lstrip(".")
    for settings in (SchedulerSettings, ServerSettings, WorkerSettings)
    for section in sections(settings)
    for row in section.rows
}
#: Files that readers make themselves.
THEIRS = {"hello.c", "answer.c", "question.c", "twice.c", "thrice.c"}

each_page = pytest.mark.parametrize("page", PAGES)


def is_there(name: str) -> bool:
    """Whether a page may call something by this path; a file's name alone will do beside that of its room."""
    return any(root.joinpath(name).exists() for root in ROOTS) or ("/" not in name and any(PACKAGE.rglob(name)))


def has(dotted: str) -> bool:
    """Whether a dotted name is that of a module, or of something in one."""
    try:
        importlib.import_module(dotted)
    except ModuleNotFoundError:
        module, _, name = dotted.rpartition(".")
        return bool(module) and hasattr(importlib.import_module(module), name)
    return True


def section(heading: str) -> str:
    """A section of the page on architecture."""
    text = PAGES["doc/architecture.rst"]
    start = text.index(f"{heading}\n{'-' * len(heading)}\n")
    return text[start : text.find("\n----", start + 2 * len(heading) + 2)]


@each_page
def test_names_of_places_are_unique(page: str) -> None:
    """No page has two places of one name, be it a label's or a block's: references to it would lead nowhere."""
    names = re.findall(r"(?m)^ *(?::name: |\.\. _)([\w-]+):?$", PAGES[page])
    assert {name for name in names if names.count(name) > 1} == set()


@each_page
def test_files_exist(page: str) -> None:
    """Each file that a page names exists."""
    assert {name for name in FILE.findall(PAGES[page]) if not is_there(name)} - THEIRS == set()


@each_page
def test_folders_exist(page: str) -> None:
    """Each folder of the checkout that a page names exists."""
    named = {name for name in FOLDER.findall(PAGES[page]) if name.split("/")[0] in ROOMS | BESIDE}
    assert {name for name in named if not is_there(name)} == set()


@each_page
def test_modules_exist(page: str) -> None:
    """Each dotted name of the package that a page names exists, and each module that one is told to run."""
    assert {name for name in DOTTED.findall(PAGES[page]) if not has(name)} == set()
    assert {name for name in RUN.findall(PAGES[page]) if importlib.util.find_spec(name) is None} == set()


@each_page
def test_names_stand_where_a_page_says(page: str) -> None:
    """What a page finds in a file, by ``name`` in ``file`` or ``file`` (``name``), is defined there."""
    for name, file, other_file, *other_names in INSIDE.findall(PAGES[page]):
        path = next(root / (file or other_file) for root in ROOTS if (root / (file or other_file)).exists())
        for each in filter(None, (name, *other_names)):
            last = each.rpartition(".")[2]
            assert re.search(rf"(?:class|def) {last}\b|^(?:\w+, )*{last}\b[^(]*=", path.read_text(), re.MULTILINE), each


@each_page
def test_commands_exist(page: str) -> None:
    """Each target of ``make`` that a page names is one."""
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    assert set(TARGET.findall(PAGES[page])) <= targets


def test_every_room_is_named() -> None:
    """The page on architecture names each folder, each module of the package's root, and each folder beside it."""
    text = section("Rooms and arrows")
    for folder in PACKAGE.rglob("*/"):
        if folder.joinpath("__init__.py").exists() and folder.parent in (PACKAGE, PACKAGE / "sandbox"):
            assert f"``{folder.relative_to(PACKAGE)}/``" in text
    for name in MODULES | {f"{folder}/" for folder in BESIDE - {"sccachedist", "twisted"}}:
        assert f"``{name}``" in text


def test_floors() -> None:
    """The page on architecture has the order of imports that :mod:`tests.test_imports` looks for."""
    (block,) = re.findall(r":name: floors\n\n((?:   \S.*\n)+)", section("Rooms and arrows"))
    assert tuple(set(line.split()) for line in block.splitlines()) == FLOORS


@each_page
def test_keys_are_linked(page: str) -> None:
    """A key of the configuration that a page names with its table is a link, and a link is to a key."""
    linked = {target or name for name, target in re.findall(r":confval:`([\w.]+)(?: <([\w.]+)>)?`", PAGES[page])}
    assert linked <= KEYS
    if page.startswith("doc/"):
        assert {name for name in re.findall(r"``(\w+\.\w+)``", PAGES[page]) if name in KEYS} == set()


def test_every_key_has_a_place() -> None:
    """The page on operations has the whole reference of all files."""
    assert re.findall(r"^\.\. config-reference:: (\w+)\n(?!   :)", PAGES["doc/operations.rst"], re.MULTILINE) == [
        "scheduler",
        "server",
        "worker",
    ]
