"""From book to action, and how that is trained. Imports `ipc` only."""
