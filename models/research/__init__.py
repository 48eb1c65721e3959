"""What was tried: trainings beside each other, and a search over variants of the rules."""
