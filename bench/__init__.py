"""``make bench``: our daemons and the published ones under the same load, compared in a table with plots."""
