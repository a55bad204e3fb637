"""The paper's tables: rows of settings, cells trained once and kept, figures with their uncertainty, a report."""
