"""Tests of the builders' room."""
