"""The local Kalshi-compatible exchange: matching, flow, replay, REST, WebSocket, faults."""
