"""The project's loader, transformer and augmentors, and what calls them."""
