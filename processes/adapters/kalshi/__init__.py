"""The Kalshi exchange, real or local: REST, WebSocket, wire messages, recordings."""
