"""Tests of the calls to object stores."""
