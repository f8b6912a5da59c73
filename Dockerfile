# An image with fairverdict and its packages at the versions of constraints.txt: docs/kubernetes.md.
#   docker build -t fairverdict .                                   PyTorch with CUDA
#   docker build -t fairverdict --build-arg TORCH_BACKEND=cpu .     PyTorch for CPUs, which is much smaller
#   docker run --rm --shm-size=11g fairverdict fairverdict run --preset quick
FROM python:3.11-slim-bookworm

# gcc compiles the kernels. KubeRay's probes call wget.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev wget \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/fairverdict
COPY pyproject.toml constraints.txt ./
ARG TORCH_BACKEND=""
RUN python -m pip install --no-cache-dir --disable-pip-version-check -c constraints.txt uv \
    && uv pip install --system --no-cache --compile-bytecode -c constraints.txt \
       ${TORCH_BACKEND:+--torch-backend=$TORCH_BACKEND} -r pyproject.toml

COPY . .
RUN uv pip install --system --no-cache --compile-bytecode --no-deps .

# NVIDIA's container toolkit reads these.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN useradd --create-home --uid 1000 fairverdict
USER 1000
WORKDIR /home/fairverdict
CMD ["fairverdict", "--help"]
