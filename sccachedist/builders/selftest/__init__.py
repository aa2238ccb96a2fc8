"""The trial job: a builder has to run it before its build server registers."""
