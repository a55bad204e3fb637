# docker build -t mmbee .                              for a CPU
# docker build -t mmbee:cuda --build-arg VARIANT=cuda .
# docker run --rm -v "$PWD:/work" mmbee train --model=MMBee --dataset=tiktok     (--gpus=all for cuda)
ARG PYTHON=3.11
FROM python:${PYTHON}-slim-bookworm AS build
ARG VARIANT=cpu
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /source
RUN python -m venv /opt/mmbee
COPY constraints.txt setup.py pyproject.toml README.md LICENSE ./
COPY packaging packaging
COPY mmbee_plugin mmbee_plugin
COPY recbole_configs recbole_configs
COPY torchrec_configs torchrec_configs
COPY examples examples
# PyTorch's own index has a build for CPUs that is ten times smaller; fbgemm's CPU build goes with it.
RUN case "${VARIANT}" in \
        cpu) torch=(--index-url https://download.pytorch.org/whl/cpu) fbgemm=(./packaging/fbgemm-cpu) ;; \
        cuda) torch=() fbgemm=() ;; \
        *) echo "VARIANT=${VARIANT}: cpu or cuda" >&2; exit 2 ;; \
    esac \
    && /opt/mmbee/bin/pip install --no-cache-dir --no-deps "${torch[@]}" -c constraints.txt torch \
    && /opt/mmbee/bin/pip install --no-cache-dir -c constraints.txt \
        ".[recbole,torchrec,logs,serve]" ./packaging/ray-none "${fbgemm[@]}"

FROM python:${PYTHON}-slim-bookworm
COPY --from=build /opt/mmbee /opt/mmbee
RUN useradd --create-home --uid 1000 mmbee && install -d -o mmbee -g mmbee /work
ENV PATH=/opt/mmbee/bin:$PATH
USER 1000:1000
# Datasets, checkpoints, logs and bundles are made below it: mount a folder that uid 1000 may write.
WORKDIR /work
EXPOSE 8000
ENTRYPOINT ["mmbee"]
CMD ["--help"]
