"""The synthetic order flow of one market: a pure core, seeded, in market time."""
