"""The benchmark's own arithmetic."""
