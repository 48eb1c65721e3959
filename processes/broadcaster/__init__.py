"""WebSocketManager and its server: books and decisions on `/rl/ws`, and the dashboard's pages."""
