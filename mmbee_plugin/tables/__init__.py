"""The paper's tables of labelled samples: which rows, which measures, which layout. `ranking` has Table 3."""
