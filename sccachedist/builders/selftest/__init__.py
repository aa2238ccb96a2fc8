"""The trial job: what a builder has to show before its build server registers."""
