#!/usr/bin/env bash
# A study on Slurm: docs/slurm.md. Submit it from a folder that every node sees, with the flags of a study:
#   sbatch deploy/slurm.sh --name first --dataset cifar10 --storage "$PWD/storage"
# The same command goes on with a study that was interrupted. Slurm repeats it by itself when a node fails, when another
# job takes the nodes, and before the time limit.
#SBATCH --job-name=fairverdict
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=fairverdict-%j.log
##SBATCH --gpus-per-node=1
set -euo pipefail
trap 'scontrol requeue "$SLURM_JOB_ID"' USR1

# A token of this job alone, which srun brings to every node.
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token
# The nodes may take minutes to read Python and torch from a shared disk.
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=600

# This script runs on the job's first node, which becomes Ray's head.
srun --cpu-bind=none --kill-on-bad-exit=1 \
    ray symmetric-run --address "$(hostname -I | cut -d ' ' -f 1):6379" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus "$SLURM_CPUS_ON_NODE" --disable-usage-stats -- \
    python -m study.run --address auto --resume "$@" &
wait $!
