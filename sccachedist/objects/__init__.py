"""An object store, by the protocol of S3: objects with names in one bucket. What is in them is not known here."""
