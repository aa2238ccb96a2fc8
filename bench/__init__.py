"""``make bench``: our daemons and the published ones under the same load, side by side, as a table with plots."""
