"""Tests of the records of jobs."""
