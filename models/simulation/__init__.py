"""Recorded markets replayed as arrays: fills, accounts, and the environments to learn in."""
