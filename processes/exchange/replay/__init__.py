"""Recordings as flow: what was recorded happens again, in its own time or faster."""
