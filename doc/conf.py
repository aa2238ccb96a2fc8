"""How the documentation is built: ``make doc``."""

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE / "_ext"), str(_HERE.parent)]

project = "sccachedist"
extensions = ["sphinx.ext.autodoc", "command_reference", "config_reference", "outcome_words", "series_reference"]
nitpicky = True  # a link to a key that no file has is an error
nitpick_ignore_regex = [("py:.*", ".*")]  # of Python's names, the public ones alone are in these pages
autodoc_member_order = "bysource"
suppress_warnings = ["ref.python"]  # documents have keys that are called as types are
exclude_patterns = ["_build", "security-figures.rst"]
html_theme = "furo"
html_title = "sccachedist"
html_show_copyright = False
html_extra_path = ["openapi.json"]
linkcheck_ignore = ["https?://"]  # what is elsewhere is not looked for: a build needs no network
