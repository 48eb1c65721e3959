"""The synthetic flow beside real order flow: the same statistics of both."""
