"""What Prometheus reads of a daemon: which series there are, where their values come from, and how they are shown."""
