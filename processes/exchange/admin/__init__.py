"""The admin port, loopback only: fault commands and inspection, for tests."""
