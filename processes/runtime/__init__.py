"""What every process starts with: configuration, run loop, logging."""
