"""What runs in sandbox workers."""
