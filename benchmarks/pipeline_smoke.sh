#!/usr/bin/env bash
# Every stage on generated scenes, twice: once undisturbed, and once interrupted and killed in each stage and resumed.
# Both must end in the same weights, figures, pictures and report.
#
#   benchmarks/pipeline_smoke.sh            # a command for each stage: Ctrl-C and SIGKILL in each, under 15 minutes
#   benchmarks/pipeline_smoke.sh --short    # `run`, killed in each of its stages: about four minutes
#   benchmarks/pipeline_smoke.sh --seed 1   # other moments
#   benchmarks/pipeline_smoke.sh --keep DIR # leave the runs and what the programs printed there
#
# For Linux, whose /proc says which processes are left over.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1
exec "${PYTHON:-python}" -m benchmarks.smoke "$@"
