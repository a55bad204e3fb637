"""A job's processes: how they start and end, what they tell each other, whether their libraries fit together."""
