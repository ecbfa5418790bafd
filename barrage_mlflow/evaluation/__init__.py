"""How good a packaged model is."""
