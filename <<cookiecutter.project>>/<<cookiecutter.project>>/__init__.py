"""What `config.json` imports."""
