"""What a tracking server that is far away, gone or silent costs a training."""

CASES: dict = {}
