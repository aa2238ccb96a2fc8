"""Programs that maintain the checkout and are not part of the package."""
