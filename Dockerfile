# CPU:  docker build -t panoptic3d .
# CUDA: docker build -t panoptic3d --build-arg TORCH_INDEX=<the index of a CUDA build on pytorch.org> .
FROM python:3.11-slim
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --no-cache-dir torch --index-url "$TORCH_INDEX"
COPY . /source
RUN pip install --no-cache-dir '/source[app]' && rm -rf /source
RUN useradd --create-home user && install --directory --owner user /work
USER user
WORKDIR /work
ENTRYPOINT ["panoptic3d"]
