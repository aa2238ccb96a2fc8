"""The archives of toolchains on this host: kept, uploaded, evicted. What is in one is not known here."""
