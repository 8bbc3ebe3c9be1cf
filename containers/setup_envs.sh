# Makes a shell inside the image ready: `source /setup_envs.sh`, or `. /setup_envs.sh` in a job's command.

# A PATH that came from outside may lack the image's own folders.
case ":$PATH:" in
*:/usr/local/bin:*) ;;
*) export PATH="/usr/local/bin:/usr/bin:/bin:$PATH" ;;
esac

# Names of files and tasks are UTF-8 also where the image knows none of the outside's locales.
export LC_ALL="${LC_ALL:-C.UTF-8}"

# What pip installed in a user's home for the Python outside does not fit the image's.
export PYTHONNOUSERSITE="${PYTHONNOUSERSITE:-1}"

case "${BASH_VERSION:-}:$-" in
[0-9]*:*i*) eval "$(maestro completion bash 2>/dev/null)" ;;
esac
