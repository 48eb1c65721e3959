"""What `kalshi-actor check` finds out: exchange, account, markets, protocol, this machine."""
