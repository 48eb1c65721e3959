"""Actions as orders, the one accounting, fees, and which markets are traded."""
