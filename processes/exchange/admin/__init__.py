"""The admin port, loopback only: looks at the exchange and orders to it, for tests."""
