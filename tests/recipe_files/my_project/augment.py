def shift(data_record, pixels: int, wrap: bool = True):
    return data_record


def add_noise(data_record, deviation: float, rng):
    return data_record
