"""The benchmark: `make bench`.  Begin to read in __main__.py."""
