"""Configuration documents in every form that a file may have: TOML as it comes, as people write it, and JSON."""

import json
from typing import Any

Document = dict[str, Any]


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_file(document: Document) -> str:
    return "".join(f"{toml(name)} = {toml(value)}\n" for name, value in document.items())


def with_tables(document: Document) -> str:
    """TOML as people write it: what is a table has a heading."""
    tables = {name: value for name, value in document.items() if isinstance(value, dict)}
    keys = {name: value for name, value in document.items() if name not in tables}
    return toml_file(keys) + "".join(f"[{toml(name)}]\n{toml_file(table)}" for name, table in tables.items())


def spread_out(value: object) -> str:
    """A value as TOML 1.1 lets one write it: inline tables over several lines, with comments and a last comma."""
    if isinstance(value, dict):
        return "{ # table\n" + "".join(f"  {toml(k)} = {spread_out(v)}, # key\n" for k, v in value.items()) + "}"
    if isinstance(value, str):
        return '"' + "".join(f"\\x{ord(letter):02x}" if letter <= "\xff" else letter for letter in value) + '"'
    return toml(value)


FORMS = {
    "one.toml": toml_file,
    "two.toml": with_tables,
    "three.toml": lambda document: "".join(f"{toml(k)} = {spread_out(v)}\n" for k, v in document.items()),
    "windows.conf": lambda document: "\ufeff" + with_tables(document).replace("\n", "\r\n"),
    "four.json": lambda document: json.dumps(document, indent=1),
}
