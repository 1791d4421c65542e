"""The package of `raddle.concurrent.futures`, so that the name differs from the standard library's by its first part only."""
