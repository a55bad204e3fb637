"""The world `livesim 2`: livesim 1 with a platform's ranking, drift, gifts that follow gifts, and purses."""
