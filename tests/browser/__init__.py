"""The page in a real browser, Debian's Chromium, on a real farm."""
