"""Builds the Dockerfile's `cpu` target from nothing and runs what it makes, where there is no Docker and no registry.

    apt-get install --no-install-recommends buildah runc debootstrap
    python tests/containers/build_image.py [--target gpu] [--lend /etc/pip.conf /opt/wheels ...]

Not part of `make test`: it installs everything anew, for ten minutes, and needs root, a Linux kernel and Debian's
archive. Buildah carries out the Dockerfile's own lines, each in a container. Only the base image is another one:
`python:3.11-slim-bookworm` is remade from Debian's packages, so its Python is Debian's 3.11. `--lend` names files and
folders of this machine that the build may read, pip's configuration say.

The image is then run as its own user, with no network and no capability: `doctor`, the appliance over the sample
documents, its health check, its page, an answer. The exit status is 0 when all of that works.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BASE = "docker.io/library/python:3.11-slim-bookworm"
TOOLS = ("buildah", "runc", "debootstrap")
QUESTION = "When is the lamp lit?"

# Runs inside the container, so that the page and who asks for it meet in its own, empty network.
CHECKS = """
import json, subprocess, sys, time, urllib.request
command, health, question = json.loads(sys.argv[1])
doctor = subprocess.run([sys.executable, "app.py", "doctor"])
serving = subprocess.Popen(command)
try:
    until = time.monotonic() + 120
    while subprocess.run(health, capture_output=True).returncode:
        assert serving.poll() is None and time.monotonic() < until, "the health check never succeeded"
        time.sleep(1)
    page = urllib.request.urlopen("http://127.0.0.1:7860/").read()
    print(f"The health check says that it lives; the page has {len(page)} bytes.", flush=True)
    subprocess.run([sys.executable, "app.py", "ingest", "/documents"], check=True)
    subprocess.run([sys.executable, "app.py", "ask", question], check=True)
finally:
    serving.terminate()
    serving.wait(20)
sys.exit(doctor.returncode)
"""


class Buildah:
    """Buildah with a store of its own, so that images of this machine are neither used nor changed."""

    def __init__(self, work: Path) -> None:
        self._command = ["buildah", "--root", str(work / "store"), "--runroot", str(work / "run")]
        # Debian's crun refuses machines that have both versions of control groups; runc takes any.
        self._environment = {**os.environ, "BUILDAH_RUNTIME": "runc"}

    def say(self, *arguments: str) -> str:
        command = [*self._command, *arguments]
        done = subprocess.run(command, env=self._environment, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    def run(self, *arguments: str) -> int:
        return subprocess.run([*self._command, *arguments], env=self._environment, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--target", default="cpu", choices=("cpu", "gpu"))
    parser.add_argument("--lend", nargs="*", default=[], metavar="PATH[:PLACE]", help="to be read while building")
    parser.add_argument("--mirror", default="http://deb.debian.org/debian", help="of Debian's packages")
    options = parser.parse_args()
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        print(f"{', '.join(missing)} not found. As root: apt-get install {' '.join(TOOLS)}", file=sys.stderr)
        return 1
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="lectern-image-") as work:
        buildah = Buildah(Path(work))
        make_base(buildah, Path(work) / "base", options.mirror)
        image = build(buildah, options.target, [lent(each) for each in options.lend])
        print(f"Built in {time.monotonic() - started:.0f} s.", flush=True)
        return run(buildah, image)


def lent(named: str) -> str:
    path, _, place = named.partition(":")
    return f"--volume={path}:{place or path}:ro"


def make_base(buildah: Buildah, root: Path, mirror: str) -> None:
    """The base image under its own name: Debian, with Python in /usr/local as in the official one."""
    debian = ["debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", str(root), mirror]
    subprocess.run(debian, check=True, stdout=subprocess.DEVNULL)
    for command in (
        ["apt-get", "install", "--yes", "-qq", "--no-install-recommends", "python3.11-venv"],
        ["python3.11", "-m", "venv", "/usr/local"],
        ["apt-get", "clean"],
    ):
        subprocess.run(["chroot", root, *command], check=True, stdout=subprocess.DEVNULL)
    container = buildah.say("from", "scratch")
    buildah.say("add", "--quiet", container, str(root), "/")
    buildah.say("commit", "--quiet", "--rm", container, BASE)
    shutil.rmtree(root)


def build(buildah: Buildah, target: str, volumes: list[str]) -> str:
    """The image's name."""
    image = f"lectern:{target}"
    # Docker's format, as the other one knows no health check.
    options = ["--format=docker", "--pull=never", f"--target={target}", f"--tag={image}", *volumes]
    if buildah.run("build", *options, str(ROOT)):
        raise SystemExit(f"The Dockerfile's target {target} could not be built.")
    return image


def run(buildah: Buildah, image: str) -> int:
    """As the compose files run it: the image's user, no capability, documents that can only be read; and no network."""
    config = json.loads(buildah.say("inspect", "--type", "image", image))["Docker"]["config"]
    health = config["Healthcheck"]["Test"][1:]
    print(f"User {config['User']}, command {config['Cmd']}, health check {health}", flush=True)
    container = buildah.say("from", "--pull=never", "--cap-drop=all", image)
    documents = f"--volume={ROOT / 'docs' / 'sample'}:/documents:ro"
    checks = json.dumps([config["Cmd"], health, QUESTION])
    return buildah.run("run", "--network=none", documents, container, "--", "python", "-c", CHECKS, checks)


if __name__ == "__main__":
    sys.exit(main())
