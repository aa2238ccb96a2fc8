"""Tests of what monitors of Icecream are shown."""
