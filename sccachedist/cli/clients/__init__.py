"""Named clients of a farm, from the command line: tokens that are given, exchanged and revoked."""
