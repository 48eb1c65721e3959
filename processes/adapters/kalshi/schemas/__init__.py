"""The exchange's messages as typed structs: WebSocket frames and commands, REST bodies."""
