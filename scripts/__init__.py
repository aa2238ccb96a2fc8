"""What the checkout is kept with: programs that are not part of the package."""
