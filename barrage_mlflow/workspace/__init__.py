"""The artifact folder: names of files, lock, and what was begun in it."""
