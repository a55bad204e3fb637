"""The offline graph stage: arrays in, arrays out (section 5 of MMBee). Authors are the items of a
recommender."""
