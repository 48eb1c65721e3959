"""Stops our orders at the exchange when execution's heartbeat stops."""
