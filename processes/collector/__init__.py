"""Connect, subscribe, decode, journal, apply, trigger."""
