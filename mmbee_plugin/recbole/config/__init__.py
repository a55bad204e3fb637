"""The settings of a run under RecBole: where they come from, what they may be, and the Config they make."""
