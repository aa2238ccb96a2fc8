"""Tests of the room that asks a scheduler."""
