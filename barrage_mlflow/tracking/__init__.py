"""Everything that is written to MLflow, which is imported when its store is opened, not before."""
