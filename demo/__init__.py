"""A farm of one machine, tried with the published client: ``make demo``."""
