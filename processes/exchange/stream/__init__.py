"""The exchange's WebSocket: subscriptions, frames, and connections that may be slow."""
