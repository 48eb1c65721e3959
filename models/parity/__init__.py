"""Replay a recorded session and compare every live decision with the recorded one."""
