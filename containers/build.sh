#!/usr/bin/env bash
# make images: builds the images as localhost/assay-NAME:VERSION. BUILD_BASE and BASE are references of images with
# Python 3.11, with and without venv and pip; wheels come from pip's own configuration, once, into WHEELS.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${BUILD_BASE:?an image with python3.11, venv and pip, by digest}" "${BASE:?an image with python3.11, by digest}"
WHEELS=${WHEELS:-runs/wheels}
VERSION=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' assay/__init__.py)
COMMIT=$(git rev-parse HEAD)
mkdir -p "$WHEELS"

build() { # NAME CONTAINERFILE REQUIREMENTS [PROGRAM]
  .venv/bin/python -m pip download -q --no-deps --require-hashes --only-binary=:all: -d "$WHEELS" -r "$3"
  buildah bud -q --network none --build-context "wheels=$WHEELS" --build-arg "BUILD_BASE=$BUILD_BASE" \
    --build-arg "BASE=$BASE" --build-arg "NAME=$1" --build-arg "VERSION=$VERSION" --build-arg "COMMIT=$COMMIT" \
    --build-arg "REQUIREMENTS=$3" --build-arg "PROGRAM=${4:-}" --ignorefile "${2%.Containerfile}.ignore" \
    -t "localhost/assay-$1:$VERSION" -f "$2" .
  # What is in it: beside the image, as a list of wheels by version and hash.
  mkdir -p runs/images && cp "$3" "runs/images/assay-$1.software.txt"
  buildah inspect --type image --format '{{.FromImageDigest}}' "localhost/assay-$1:$VERSION" > "runs/images/assay-$1.digest"
}

R=containers/requirements
for name in ${*:-gateway services ingest triton-cpu}; do
  case $name in
    gateway|services|ingest) build "$name" containers/program.Containerfile "$R/$name.txt" "$name" ;;
    triton-cpu)
      .venv/bin/python -m pip download -q --no-deps --require-hashes -d "$WHEELS" -r triton_server/requirements.txt
      build triton-cpu containers/triton-cpu.Containerfile "$R/triton-cpu.txt" ;;
    *) echo "there is no image $name" >&2; exit 2 ;;
  esac
done
