"""Tests of what Prometheus reads of a daemon."""
