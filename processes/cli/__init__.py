"""`kalshi-actor`: one command for everything that a user does."""
