"""The services section of a config: what watches over a training, always on.

Best checkpoint, resume checkpoint, TensorBoard, report, early stopping on train and on
validation.
"""
