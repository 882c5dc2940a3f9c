#!/usr/bin/env bash
# The work pool that prefect.yaml names, made with stock Prefect; an existing one is left as it is.
set -euo pipefail
prefect work-pool inspect notify >/dev/null 2>&1 || prefect work-pool create notify --type notify
