"""The web server of both roles: connections, requests, and the envelope of every route.

It decides on a request when the headers are there, chooses where the body goes, and turns an error into a response. It
knows nothing of scheduling or building.
"""
