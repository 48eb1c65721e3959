"""The collector: connects, subscribes, keeps books and their journal, triggers the actor."""
