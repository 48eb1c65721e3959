"""The exchange's REST: who asks, what a request may say, and every answer's body."""
