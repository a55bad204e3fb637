"""The paper's tables on labelled samples: rows, measures, layout. `ranking` has Table 3."""
