"""Tests of the cache of toolchains."""
