"""Faults in the middle of builds: ``make faults``, ``python -m tests.faults``.

A seed makes a schedule of faults (:mod:`tests.faults.schedule`). Real daemons in networks of their own meet them
(:mod:`tests.faults.farm`) while the published client builds two hundred files (:mod:`tests.faults.build`); then
nothing may have failed and nothing may be left (:mod:`tests.faults.traces`).
"""
