"""Tests of how several schedulers agree on who decides."""
