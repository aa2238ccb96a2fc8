"""``doc/openapi.json`` is what the routes and documents are declared to be, and has all routes that scripts may use."""

import json
from typing import Any

import pytest

from scripts.openapi import ACTIONS, DOCUMENTS, FILE, lines, openapi
from tests.scheduler.test_who_may import ROUTES

#: Routes that the document has no form for: an endless answer, and the older way to drain.
LEFT_OUT = {"/api/v1/farm/events", "/api/v1/admin/drain/127.0.0.1:10501"}


def test_it_is_as_it_is_made() -> None:
    """``make commands`` writes it."""
    assert FILE.read_text() == "\n".join(lines())


def test_all_routes() -> None:
    """Those for scripts, each with its method."""
    found = {(method.upper(), path) for path, methods in openapi()["paths"].items() for method in methods}
    served = {
        (method, path.replace("/jobs/7", "/jobs/{id}"))
        for method, path, *_ in ROUTES.values()
        if path.startswith(("/api/v1/farm/", "/api/v1/admin/")) and path not in LEFT_OUT
    }
    assert found == served == {*(("GET", path) for path in DOCUMENTS), ("POST", ACTIONS)}


@pytest.mark.parametrize("path", DOCUMENTS)
def test_references(path: str) -> None:
    """What a document refers to is there."""
    whole = openapi()
    found = [json.dumps(whole["paths"][path])]
    seen: set[str] = set()
    while found:
        for piece in found.pop().split('"#/components/schemas/')[1:]:
            name = piece.partition('"')[0]
            if name not in seen:
                seen.add(name)
                schema: dict[str, Any] = whole["components"]["schemas"][name]
                assert schema["properties"]
                found.append(json.dumps(schema))
    assert seen
