"""How well policies do on recorded markets, and how that is reported."""
