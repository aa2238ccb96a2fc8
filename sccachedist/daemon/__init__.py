"""What both roles need as daemons: start, signals, timers, another user, descriptors, logs. It knows neither role."""
