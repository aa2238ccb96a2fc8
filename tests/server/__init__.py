"""Tests of the build server."""
