"""The page about the API: its examples have the shapes of the documents, and it names each query."""

import json
import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from sccachedist.records import documents
from sccachedist.scheduler.farm_queries import MOST_ROWS, PAGE
from sccachedist.scheduler.farm_routes import CLIENTS_SECS, MOST_TRACED, QUERIES, STATUS_SECS, TRACE_SECS, WHY_SECS
from tests.scheduler.test_farm_routes import ROUTES
from tests.support.documents import check

PAGE_TEXT = (Path(__file__).parents[1] / "doc" / "api.rst").read_text()
#: What stands below the heading of each route.
SECTIONS = dict(
    re.findall(
        r"^``GET /api/v1/farm/(\S+)``\n-+\n(.*?)(?=^``GET|^\.\. _actions|\Z)", PAGE_TEXT, re.MULTILINE | re.DOTALL
    )
)
SHAPES: dict[str, Any] = {**ROUTES, "jobs/ID": documents.JobDocument, "me": documents.MeDocument}


def test_each_route() -> None:
    """Each has its section."""
    assert SECTIONS.keys() == SHAPES.keys()
    assert len(QUERIES) + 1 == len(SHAPES)  # who one is depends on no query


@pytest.mark.parametrize("path", SHAPES)
def test_examples(path: str) -> None:
    """What the page shows is what readers may rely on."""
    (example,) = re.findall(r"^\.\. code-block:: json\n\n((?:   .*\n)+)", SECTIONS[path], re.MULTILINE)
    check(json.loads(dedent(example)), SHAPES[path], path)


@pytest.mark.parametrize("path", ROUTES)
def test_queries(path: str) -> None:
    """Each query that a route knows is named."""
    assert set(QUERIES[path]) <= set(re.findall(r"``(\w+)``", SECTIONS[path]))


def test_numbers() -> None:
    """The defaults and limits are those of the code."""
    for path, secs in (("status", STATUS_SECS), ("why", WHY_SECS), ("clients", CLIENTS_SECS), ("trace", TRACE_SECS)):
        assert f"``since`` ({secs:.0f})" in SECTIONS[path]
    assert f"``limit`` ({PAGE}, at most {MOST_ROWS})" in SECTIONS["jobs"]
    assert f"{MOST_TRACED:,} jobs" in SECTIONS["trace"]
