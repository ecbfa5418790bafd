"""What `config.json` imports: loader, transformer, augmentors and network."""
