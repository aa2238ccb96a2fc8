"""The suite: it mirrors the package; ``support`` is shared, ``functional`` drives real processes."""
