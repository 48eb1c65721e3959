"""The stop past execution: our orders by their mark, our order groups, what the watchdog did."""
