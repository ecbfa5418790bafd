"""The artifact folder: names of files, whole writes, lock, and what was begun in it."""
