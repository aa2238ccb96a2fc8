"""What a farm's scheduler tells of it, asked as a client asks."""

import json
import urllib.request
from typing import Any
from urllib.parse import urlencode

from farmkit.farm import Farm
from tests.support.documents import check


def farm_document(farm: Farm, path: str, shape: Any = Any, **query: object) -> Any:
    """A document of the farm's API, which has to have this shape."""
    asked = urllib.request.Request(
        f"{farm.scheduler_url}/api/v1/farm/{path}?{urlencode(query)}",
        headers={"Authorization": f"Bearer {farm.client_token}"},
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        found = json.loads(answer.read())
    check(found, shape, path)
    return found
