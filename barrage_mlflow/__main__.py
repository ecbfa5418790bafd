"""``python -m barrage_mlflow`` is ``barrage-mlflow``."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        # The working folder, whose files would take the place of the standard library's.
        del sys.path[0]

    from barrage_mlflow.cli import main

    main()
