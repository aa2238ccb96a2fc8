"""What each role needs as a daemon: start, signals, timers, another user, descriptors, logs. It knows no role."""
