"""The scheduler's room: it knows the build servers and hands out jobs. It knows nothing of how a compile is run."""
