"""The REST client, its HTTP transport, rate limits, and typed results in integers."""
