"""What one asks of a farm: ``status``, ``servers``, ``jobs`` and their like, each from a document to a text."""
