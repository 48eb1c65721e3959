"""KalshiOrderManager: intents become orders, orders become fills, fills become an account."""
