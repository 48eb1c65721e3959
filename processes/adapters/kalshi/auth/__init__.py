"""API keys, request signatures, and which exchange a URL belongs to."""
