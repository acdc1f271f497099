# Lectern on the CPU: docker build -t lectern . && docker run -p 127.0.0.1:7860:7860 -v /my/folder:/documents:ro -v lectern:/data lectern
# Weights are fetched while the image is built, so that the container needs no network.
FROM python:3.11-slim-bookworm

COPY requirements-apt.txt /tmp/
# The lines above "For the tests" are what the product profits from.
RUN apt-get update \
    && sed '/For the tests/,$d; /^#/d' /tmp/requirements-apt.txt | xargs apt-get install -y --no-install-recommends \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home lectern && mkdir /data /documents && chown lectern /data
WORKDIR /opt/lectern
COPY requirements.txt requirements-common.txt ./
RUN pip install --no-cache-dir -r requirements.txt

COPY app.py LICENSE ./
COPY models models
COPY indexes indexes
COPY ingest ingest
COPY rag rag
COPY web web

USER lectern
ENV LECTERN_HOME=/data LECTERN_CACHE=/home/lectern/cache PYTHONUNBUFFERED=1
RUN python app.py models pull

EXPOSE 7860
VOLUME /data
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/v1/health/live')"]
# Inside the container every address is the container's own; publish the port on the host's loopback only.
CMD ["python", "app.py", "serve", "--host", "0.0.0.0", "--docs", "/documents"]
