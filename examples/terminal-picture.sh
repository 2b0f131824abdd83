#!/bin/sh
# Makes a picture of a command in a terminal: runs it, and draws what stands on the screen at its end as an SVG.
#
#   examples/terminal-picture.sh [--output FILE.svg] [--columns N] [COMMAND ARGUMENT...]
#
# Without a command it runs `milvusctl up`, and without a file it writes examples/up.svg. Needs Python 3 alone.
# Ends with the command's exit code.
command -v python3 >/dev/null || { echo "terminal-picture.sh: python3 was not found in PATH" >&2; exit 3; }
exec python3 "$(dirname "$0")/terminal-picture.py" "$@"
