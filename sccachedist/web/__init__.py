"""The envelope of every route.

What is decided when the headers are there, where a body goes, which answer an error becomes. It knows nothing of
scheduling or building.
"""
