"""The build server's room: it keeps toolchains, runs jobs and reports to its scheduler."""
