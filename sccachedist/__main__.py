"""``python -m sccachedist``: the ``sccachedist`` command."""

from sccachedist.cli.main import main

if __name__ == "__main__":
    main()
