"""From a config to a packaged model."""
