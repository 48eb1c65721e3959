"""Stored sessions at the command line: look at them, check, archive, import, delete them."""
