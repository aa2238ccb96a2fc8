"""A real scheduler, asked what ``doc/openapi.json`` allows and some of what it does not, answers as that says."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from farmkit.farm import Farm
from farmkit.launch import CHECKOUT, OUR_SCHEDULER, adding
from farmkit.processes import inherited

pytestmark = pytest.mark.functional

ADMINISTRATOR = "hunter2"
#: Requests that are made up for each route, and the seconds within which that has to be over.
EXAMPLES, SECS = 5, 300
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A scheduler and a build server, without a job."""
    tables = {"admin": f'token = "{ADMINISTRATOR}"'}
    with Farm(tmp_path_factory.mktemp("farm"), adding(OUR_SCHEDULER, **tables)) as farm:
        yield farm


@pytest.mark.parametrize(("token", "phases"), [(ADMINISTRATOR, "coverage,fuzzing"), ("wrong", "fuzzing")])
def test_answers(farm: Farm, tmp_path: Path, token: str, phases: str) -> None:
    """To one who may, and to one who may not."""
    program = Path(sys.executable).with_name("schemathesis")
    ran = subprocess.run(
        [
            program, "run", CHECKOUT / "doc" / "openapi.json", "--url", farm.scheduler_url,
            "--header", f"Authorization: Bearer {token}", "--checks", CHECKS, "--phases", phases,
            "--max-examples", str(EXAMPLES), "--generation-database", "none", "--seed", "7", "--no-color",
        ],
        cwd=tmp_path, env=inherited(), capture_output=True, text=True, timeout=SECS,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
