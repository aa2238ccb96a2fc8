"""Documents of another shape than ours."""

import copy
import json
from typing import Any

import pytest

from sccachedist.client.shapes import checked
from sccachedist.errors import DecodeError
from sccachedist.records import documents
from sccachedist.records.toolchain_documents import ToolchainsDocument
from tests.cli.farm import documents as made
from tests.records.rows import job_row, refused_row

ALL: list[tuple[Any, type]] = [
    (made.STATUS, documents.StatusDocument),
    (made.SERVERS, documents.ServersDocument),
    (made.JOBS, documents.JobsDocument),
    (made.JOB, documents.JobDocument),
    (made.WHY, documents.WhyDocument),
    (made.CLIENTS, documents.ClientsDocument),
    (made.TOOLCHAINS, ToolchainsDocument),
    (made.USAGE, documents.UsageDocument),
    ({"traceEvents": [{"ph": "X"}], "displayTimeUnit": "ms"}, documents.TraceDocument),
    (job_row(), documents.JobRow),
    (refused_row(), documents.JobRow),
]


@pytest.mark.parametrize(("document", "shape"), ALL)
def test_good(document: Any, shape: type) -> None:
    """What a scheduler sends is taken, whatever a newer one says besides."""
    told = json.loads(json.dumps(document)) | {"more": 1}
    assert checked(told, shape) is told


#: Keys whose values are lists.
LISTS = "traceEvents", "attention", "schedulers", "refusals", "clients", "toolchains"


@pytest.mark.parametrize(("document", "shape"), ALL)
@pytest.mark.parametrize("bad", [[], {"a": []}, [{}], True, float("nan"), float("inf"), 10**400, -(2**70)], ids=repr)
def test_bad(document: Any, shape: type, bad: Any) -> None:
    """Each key is missing, or has a value that would break what shows it: the text names the key."""
    for key in document:
        without = copy.deepcopy(document)
        del without[key]
        with pytest.raises(DecodeError, match=f"^{key} is missing$"):
            checked(without, shape)
        if key not in (*LISTS, "servers", "jobs", "running"):
            if bad is True and key == "prewarmed":
                continue
            if key in ("usage", "phases", "held_by") and bad == []:
                continue
            with pytest.raises(DecodeError, match=f"{key}|is missing"):
                checked({**document, key: bad}, shape)


@pytest.mark.parametrize("document", [None, [], "text", 3])
def test_no_object(document: object) -> None:
    """It is none at all."""
    with pytest.raises(DecodeError):
        checked(document, documents.StatusDocument)
