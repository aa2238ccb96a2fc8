#!/bin/sh
# Runs the unit tests in virtual environments beside .venv, which scripts/setup.sh must have made before:
#
#   scripts/test-elsewhere.sh lowest     on the lowest versions that setup.py allows
#   scripts/test-elsewhere.sh pythons    on each CPython from 3.11 that this machine has, with the versions of
#                                        requirements.lock
set -eu
cd "$(dirname "$0")/.."

# Run the tests in the environment .venv-NAME, made with a Python and filled as the other arguments tell uv.
test_in() {
    folder=.venv-$1 python=$2
    shift 2
    .venv/bin/uv venv --quiet --clear --no-python-downloads --python "$python" "$folder"
    .venv/bin/uv pip install --quiet --python "$folder/bin/python" --config-setting editable_mode=compat "$@" \
        --editable ".[test]"
    echo "$folder: $("$folder/bin/python" -VV)"
    # What pages and packages need is of one version, the developers'.
    "$folder/bin/python" -m pytest --quiet -m "not functional" --numprocesses 2 -p no:cacheprovider \
        --ignore=tests/packages --ignore=tests/test_documentation.py
}

# Print the version and the program of each CPython that is new enough.
pythons() {
    for python in /usr/bin/python3 /usr/bin/python3.[0-9][0-9] /usr/local/bin/python3.[0-9][0-9] \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.*/bin/python3 "$HOME"/.local/share/uv/python/cpython-3.*/bin/python3; do
        "$python" -c '
import platform, sys
if sys.version_info >= (3, 11) and platform.python_implementation() == "CPython":
    print(platform.python_version(), sys.executable)
' 2>/dev/null || true
    done | sort -u -t " " -k 1,1
}

case ${1:-} in
lowest) test_in lowest .venv/bin/python --resolution lowest-direct ;;
pythons)
    pythons | while read -r version python; do
        test_in "$version" "$python" --constraint requirements.lock </dev/null
    done
    ;;
*)
    echo "usage: scripts/test-elsewhere.sh lowest|pythons" >&2
    exit 2
    ;;
esac
