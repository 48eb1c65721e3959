"""What the servers of this exchange share: its state, accounts, clock and connections."""
