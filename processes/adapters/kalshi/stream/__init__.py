"""The WebSocket connection and its subscriptions."""
