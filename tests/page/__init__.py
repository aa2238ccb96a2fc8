"""Tests of the page as text, and of its pure modules."""
