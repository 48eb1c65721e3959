"""WebSocketManager and its server: the books and the actor's life on `/rl/ws`, the dashboard."""
