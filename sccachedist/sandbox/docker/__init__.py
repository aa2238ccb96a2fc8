"""Sandboxes that are docker containers."""
