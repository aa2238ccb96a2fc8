"""The ``sccachedist`` command."""
