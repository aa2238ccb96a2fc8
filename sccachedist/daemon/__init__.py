"""What both roles need to be a daemon: start, signals, timers, another user, descriptors, logs."""
