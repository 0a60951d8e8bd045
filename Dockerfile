# nuclex in a container, for CPUs and for NVIDIA GPUs; docs/install.md shows how it is run.
#
#   docker build -t nuclex .                                                             CPU
#   docker build -t nuclex:gpu --build-arg TORCH_INDEX=https://pypi.org/simple .         GPU: torch brings CUDA with it
#   docker build -t nuclex-serve --target serve .                                        a page at port 8000
#
# The base is pinned by its tag; for a build that is the same next year, add the digest that `docker pull` prints.
ARG PYTHON=3.12-slim-bookworm

FROM python:${PYTHON} AS build
# Beside PyPI, whose torch for Linux is that for GPUs. Of two builds of the pinned version pip takes the one with +cpu.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=cluster,web,hub,scan
WORKDIR /source
COPY constraints.txt ./
RUN python -m venv /opt/nuclex \
    && /opt/nuclex/bin/pip install --no-cache-dir -c constraints.txt --extra-index-url "${TORCH_INDEX}" torch
COPY pyproject.toml README.md LICENSE ./
COPY recipes recipes
COPY src src
RUN /opt/nuclex/bin/pip install --no-cache-dir -c constraints.txt ".[${EXTRAS}]"

FROM python:${PYTHON} AS runtime
RUN useradd --create-home --uid 1000 nuclex && install --directory --owner 1000 --group 1000 /data
COPY --from=build /opt/nuclex /opt/nuclex
ENV PATH=/opt/nuclex/bin:${PATH} PYTHONUNBUFFERED=1
USER 1000:1000
WORKDIR /data
VOLUME /data

# Only this one is asked for its health: a training run answers no requests.
FROM runtime AS serve
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/api/v1/about', timeout=4)"]
ENTRYPOINT ["nuclex", "serve", "--host", "0.0.0.0", "--port", "8000"]
CMD ["bundle"]

FROM runtime AS nuclex
ENTRYPOINT ["nuclex"]
CMD ["--help"]
