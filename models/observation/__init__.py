"""What a policy sees: schemas as data, and one builder for live and training."""
