"""``doc/openapi.json``: the API of a farm for other programs, from the declarations of its routes and documents.

``python -m scripts.openapi``, part of ``make commands``. What a document means is told in ``doc/api``.
"""

import inspect
import json
import re
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints, is_typeddict

import sccachedist
from sccachedist.outcomes import Outcome, Refusal, SentLocal
from sccachedist.records import documents
from sccachedist.records.client_documents import NamedClientsDocument
from sccachedist.records.toolchain_documents import ToolchainsDocument
from sccachedist.records.usage import By
from sccachedist.scheduler.farm_orders import ACTION_KEYS, MOST_NAME, MOST_SECS, MOST_SERVERS
from sccachedist.scheduler.farm_queries import MOST_ROWS
from sccachedist.scheduler.farm_routes import QUERIES
from sccachedist.scheduler.out_of_service import MOST_TEXT

FILE = Path(__file__).parents[1] / "doc" / "openapi.json"
Schema = dict[str, Any]

#: The document of each route that gives one, by its path.
DOCUMENTS: Mapping[str, Any] = {
    "/api/v1/farm/me": documents.MeDocument,
    "/api/v1/farm/status": documents.StatusDocument,
    "/api/v1/farm/servers": documents.ServersDocument,
    "/api/v1/farm/jobs": documents.JobsDocument,
    "/api/v1/farm/jobs/{id}": documents.JobDocument,
    "/api/v1/farm/why": documents.WhyDocument,
    "/api/v1/farm/clients": documents.ClientsDocument,
    "/api/v1/farm/toolchains": ToolchainsDocument,
    "/api/v1/farm/usage": documents.UsageDocument,
    "/api/v1/farm/trace": documents.TraceDocument,
    "/api/v1/farm/notices": documents.NoticesDocument,
    "/api/v1/admin/clients": NamedClientsDocument,
    "/api/v1/admin/settings": documents.SettingsDocument,
}
ACTIONS = "/api/v1/admin/actions"
_PLAIN: Mapping[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    Any: {},
}
_REASONS = list(dict.fromkeys(word.word for word in (*Refusal, *SentLocal)))
#: What a key of a query takes.
_KEYS: Mapping[str, Schema] = {
    "since": {"type": "number", "minimum": 0, "maximum": 1e9},
    "limit": {"type": "integer", "minimum": 1, "maximum": MOST_ROWS},
    "before": {"type": "string", "pattern": r"^[0-9]{1,10}\.[0-9]{1,3}~[0-9]{1,4}$"},
    "state": {"type": "string", "enum": list(documents.SERVER_STATES)},
    "outcome": {"type": "string", "enum": [word.word for word in Outcome]},
    "reason": {"type": "string", "enum": _REASONS},
    "by": {"type": "string", "enum": list(get_args(By))},
}
_TEXT = {"type": "string", "minLength": 1, "maxLength": MOST_TEXT, "pattern": r"\S"}
#: What a key of an action takes.
_ACTION_KEYS: Mapping[str, Schema] = {
    "servers": {
        "type": "array",
        "items": {"type": "string", "maxLength": MOST_NAME},
        "minItems": 1,
        "maxItems": MOST_SERVERS,
    },
    "until": {"type": "number", "exclusiveMinimum": 0, "maximum": MOST_SECS},
    "job": {"type": "string", "pattern": "^[0-9]{1,20}$"},
    "client": _TEXT,
    "toolchain": {"type": "string", "pattern": "^[0-9a-f]{6,128}$"},
    "reason": _TEXT,
    "preview": {"type": "boolean"},
}
_REFUSED = {
    "400": "What was asked for cannot be meant.",
    "401": "There is no token, or it is none of this farm.",
    "403": "The holder of that token may not.",
}


def openapi() -> Schema:
    """The whole document."""
    schemas: dict[str, Schema] = {
        "Refusal": {"type": "object", "properties": {"description": _PLAIN[str]}, "required": ["description"]}
    }
    paths = {path: {"get": _look(path, shape, schemas)} for path, shape in DOCUMENTS.items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "sccachedist",
            "version": sccachedist.__version__,
            "description": "The API of a farm's scheduler. What its documents mean is told in doc/api.",
        },
        "security": [{"token": []}],
        "paths": {**paths, ACTIONS: {"post": _act(schemas)}},
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": dict(sorted(schemas.items())),
        },
    }


def _look(path: str, shape: Any, schemas: dict[str, Schema]) -> Schema:
    """The operation of a route that gives a document."""
    keys = QUERIES.get(path.removeprefix("/api/v1/farm/").replace("{id}", "<digits:digits>"), ())
    found: Schema = {
        "operationId": re.sub(r"\W+", "_", path.removeprefix("/api/v1/")).strip("_"),
        "summary": _summary(shape),
        "parameters": [
            {"name": key, "in": "query", "schema": _KEYS.get(key, {"type": "string", "maxLength": 200})} for key in keys
        ],
        "responses": {"200": _json(_schema(shape, schemas))} | _refusals("401", "403", *(["400"] if keys else [])),
    }
    if "{id}" in path:
        schema = {"type": "string", "pattern": "^[0-9]{1,20}$"}
        found["parameters"] = [{"name": "id", "in": "path", "required": True, "schema": schema}]
        # With a description if that is a number; without a body else, as for any path that is none.
        found["responses"] |= {"404": {"description": "None or several jobs have such a number."}}
    return found


def _act(schemas: dict[str, Schema]) -> Schema:
    """The operation of the route that acts."""
    bodies = [_body(action, needed, allowed) for action, (needed, allowed) in ACTION_KEYS.items()]
    done = _json(_schema(documents.ActionDocument, schemas))
    missed = {
        "404": _json(_of("Refusal"), "Nothing is there that is meant."),
        "409": _json(_of("Refusal"), "It cannot be done from here."),
    }
    return {
        "operationId": "admin_actions",
        "summary": "What administrators do.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"oneOf": bodies}}}},
        "responses": {"200": done} | _refusals("400", "401", "403") | missed,
    }


def _body(action: str, needed: frozenset[str], allowed: frozenset[str]) -> Schema:
    """What an action takes."""
    keys = sorted({*needed, *allowed, "reason", "preview"})
    schema: Schema = {
        "type": "object",
        "properties": {"action": {"const": action}, **{key: _ACTION_KEYS[key] for key in keys}},
        "required": ["action", *sorted(needed), *(["reason"] if action == "pause" else [])],
        "additionalProperties": False,
    }
    return schema | ({"oneOf": [{"required": ["job"]}, {"required": ["client"]}]} if action == "kill" else {})


def _summary(shape: Any) -> str:
    """The first sentence of what a document is said to be, after its route."""
    said = " ".join((inspect.getdoc(shape) or "").split())
    first = re.split(r"(?<=[.;])\s", re.sub(r"^``GET [^`]+``[:.,]? ?", "", said))[0]
    return re.sub(r":\w+:`~?([^`]+)`", r"\1", first).rstrip(".;") or shape.__name__


def _schema(kind: Any, schemas: dict[str, Schema]) -> Schema:
    """The schema of a type that documents have."""
    origin, inner = get_origin(kind), get_args(kind)
    if is_typeddict(kind):
        if kind.__name__ not in schemas:
            schemas[kind.__name__] = {}  # of one that is in itself
            properties = {key: _schema(each, schemas) for key, each in get_type_hints(kind).items()}
            schemas[kind.__name__] = {"type": "object", "properties": properties, "required": list(properties)}
        return _of(kind.__name__)
    if origin is list:
        return {"type": "array", "items": _schema(inner[0], schemas)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(inner[1], schemas)}
    if origin is types.UnionType:
        return {"anyOf": [_schema(one, schemas) if one is not types.NoneType else {"type": "null"} for one in inner]}
    if origin is Literal:
        return {"type": "string", "enum": list(inner)}
    return dict(_PLAIN[kind])


def _of(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Schema, description: str = "The document.") -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _refusals(*statuses: str) -> dict[str, Schema]:
    return {status: {"description": _REFUSED[status]} for status in sorted(statuses)}


def lines() -> Iterator[str]:
    """The file."""
    yield json.dumps(openapi(), indent=1)
    yield ""


if __name__ == "__main__":
    FILE.write_text("\n".join(lines()))
