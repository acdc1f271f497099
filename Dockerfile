# Lectern's images: `cpu`, the default, and `gpu`. How to build, run and upgrade them: docs/containers.md.
# The embedded weights are fetched while an image is built, so that its container needs no network.

FROM python:3.11-slim-bookworm AS base
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# The lines above "For the tests" are what the product profits from.
RUN --mount=type=bind,source=requirements-apt.txt,target=/tmp/packages.txt \
    apt-get update \
    && sed '/For the tests/,$d; /^#/d' /tmp/packages.txt \
    | DEBIAN_FRONTEND=noninteractive xargs apt-get install --yes --no-install-recommends \
    && rm -rf /var/lib/apt/lists/*
# /weights is where compose.yaml mounts the checkpoints of large models; who pulls them there must be able to write.
RUN useradd --uid 10001 --create-home lectern \
    && mkdir /data /documents /weights \
    && chown lectern /data /weights
WORKDIR /opt/lectern
ENV LECTERN_HOME=/data LECTERN_CACHE=/home/lectern/cache LECTERN_PORT=7860 PYTHONUNBUFFERED=1
EXPOSE 7860
VOLUME /data
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", \
    "import os, urllib.request as u; u.urlopen('http://127.0.0.1:%s/v1/health/live' % os.environ['LECTERN_PORT'])"]
# Inside the container every address is the container's own; publish the port on the host's loopback only.
CMD ["python", "app.py", "serve", "--host", "0.0.0.0", "--docs", "/documents"]

FROM base AS gpu
# pip 24 and older cannot read what faiss-gpu-cuvs requires.
COPY requirements-common.txt requirements-gpu.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install pip==26.1.2 && pip install -r requirements-gpu.txt
# The driver comes from the host by NVIDIA's container toolkit, CUDA's libraries with torch; FAISS looks for them here.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    LD_LIBRARY_PATH=/usr/local/lib/python3.11/site-packages/nvidia/cu13/lib:/usr/local/lib/python3.11/site-packages/nvidia/nccl/lib
COPY . .
USER 10001
RUN python app.py models pull

FROM base AS cpu
# An index that has torch's CPU build saves the 5 GB of CUDA that come with the other one.
ARG PIP_EXTRA_INDEX_URL
COPY requirements-common.txt requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/pip pip install -r requirements.txt
COPY . .
USER 10001
RUN python app.py models pull
