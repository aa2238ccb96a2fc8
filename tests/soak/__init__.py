"""A farm under mixed load for hours: ``make soak``, ``python -m tests.soak --seconds 7200``.

Between rounds of load (:mod:`tests.soak.load`) the farm rests and is looked at (:mod:`tests.soak.gauges`); what it
holds at the end has to be what it held at the beginning (:mod:`tests.soak.growth`).
"""
