"""Sandboxes that are pot jails."""
