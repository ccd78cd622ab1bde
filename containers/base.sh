#!/usr/bin/env bash
# containers/base.sh: Debian 12 with Python 3.11 as localhost/assay-base:12, and with venv as localhost/assay-build-base:12.
# For machines that have no base of their own to name in BASE and BUILD_BASE; wants mmdebstrap and a Debian mirror.
set -euo pipefail

base() { # NAME PACKAGE,…
  if buildah inspect --type image "localhost/$1:12" > /dev/null 2>&1; then return; fi
  root=$(mktemp)
  mmdebstrap --quiet --variant=minbase --include="$2" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/lintian/*' \
    --format=tar bookworm - > "$root"
  container=$(buildah from scratch)
  buildah add -q "$container" "$root" / > /dev/null
  buildah commit -q --rm "$container" "localhost/$1:12" > /dev/null
  rm "$root"
}

base assay-base python3,libpython3.11,ca-certificates
base assay-build-base python3,libpython3.11,ca-certificates,python3-venv
