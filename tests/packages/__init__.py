"""What administrators install, from nothing to a remote compile: ``make test-packages``, for root."""
