"""Latency and throughput, of the parts and of the whole; nothing imports this package."""
