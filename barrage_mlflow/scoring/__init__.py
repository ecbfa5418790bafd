"""The packaged model: records in, scores out; made, proved, loaded and served."""
