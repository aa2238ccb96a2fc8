"""The scheduler: it knows the build servers and allocates jobs to them. It does not know how a compile is run."""
