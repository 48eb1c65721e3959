"""From recorded markets to a trained policy: which markets, which settings, in which stages."""
