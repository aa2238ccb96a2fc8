"""The envelope of every route, in memory."""
