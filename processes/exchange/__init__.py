"""The local Kalshi-compatible exchange: matching, order flow, replay of recordings, REST, WebSocket."""
