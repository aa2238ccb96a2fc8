"""What both roles need to be a daemon."""
