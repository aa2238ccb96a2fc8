"""Every published release against our daemons: ``make compat``, and the cells of it that ``make test`` runs."""
