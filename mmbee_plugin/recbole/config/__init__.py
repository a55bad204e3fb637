"""The settings of a run under RecBole: their sources, checks, and the resulting Config."""
