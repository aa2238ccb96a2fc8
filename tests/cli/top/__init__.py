"""Tests of ``sccachedist top``."""
