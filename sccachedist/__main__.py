"""``python -m sccachedist``: the ``sccachedist`` command."""

from sccachedist.cli import main

if __name__ == "__main__":
    main()
