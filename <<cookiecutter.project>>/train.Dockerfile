# Trains on the records in data/, which stay outside of the image; README.md has the commands.
FROM python:<< cookiecutter.python_version >>-slim

# git is for an engine that is installed from a git address.
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir uv
RUN mkdir /project && chown nobody /project

USER nobody
WORKDIR /project
ENV HOME=/tmp PATH="/project/.venv/bin:$PATH" UV_COMPILE_BYTECODE=1 TF_CPP_MIN_LOG_LEVEL=2
COPY pyproject.toml uv.lock* ./
RUN uv sync --no-cache --no-install-project
COPY . .
RUN uv sync --no-cache

ENTRYPOINT ["mlflow", "run", ".", "--env-manager", "local", "-P", "register=<< cookiecutter.project >>"]
