"""In what order records reach the network, in which batches, and who makes them."""
