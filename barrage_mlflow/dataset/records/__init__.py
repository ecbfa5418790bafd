"""Reading: files and frames become records over typed columns."""
