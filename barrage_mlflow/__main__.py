"""``python -m barrage_mlflow`` is ``barrage-mlflow``."""

from barrage_mlflow.cli import main

if __name__ == "__main__":
    main()
