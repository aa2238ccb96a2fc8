"""The archives of toolchains on this host: kept, uploaded, fetched, evicted. What is in one is not known here."""
