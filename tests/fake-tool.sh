#!/bin/sh
# A fake kind, kubectl, helm or docker, depending on the name it is called by.
#
# FAKE_TOOL_DIR/calls gets one line per call: the command line, and the length of standard input.
# FAKE_TOOL_DIR/input.PID holds the standard input, unless empty.
# FAKE_TOOL_DIR/pids gets the ID of the process that answers.
# FAKE_TOOL_DIR/answers holds, for each answer NNN in order: NNN.prefix (of the command lines it is for),
# NNN.out, NNN.err, and if needed NNN.code (exit status), NNN.seconds (how long it takes),
# NNN.stubborn (ignores SIGTERM), NNN.once (answers only once) and NNN.sh (a script to run with the arguments).
# The first answer with a matching prefix wins; a call without a match fails with 97.
PATH=/usr/bin:/bin
answers=$FAKE_TOOL_DIR/answers
line="${0##*/}${*:+ $*}"
line=$(printf '%s' "$line" | tr '\n' ' ')
# The standard input of a port-forward, and of a node that connects, stays open as long as it runs.
case $line in *' port-forward '* | 'docker exec -i '*' bash -c read '*) bytes=0 ;; *) bytes=$(tee "$FAKE_TOOL_DIR/input.$$" | wc -c | tr -d ' ') ;; esac
suffix=
[ "$bytes" -eq 0 ] && rm -f "$FAKE_TOOL_DIR/input.$$" || suffix=" <$bytes bytes"
echo "$$" >>"$FAKE_TOOL_DIR/pids"
printf '%s%s\n' "$line" "$suffix" >>"$FAKE_TOOL_DIR/calls"

for prefix in "$answers"/*.prefix; do
  [ -e "$prefix" ] || continue
  wanted=$(cat "$prefix")
  case $line in "$wanted" | "$wanted "*) ;; *) continue ;; esac
  answer=${prefix%.prefix}
  [ ! -e "$answer.once" ] || rm "$prefix"
  cat "$answer.out"
  cat "$answer.err" >&2
  [ ! -e "$answer.sh" ] || exec sh "$answer.sh" "$@"
  if [ -e "$answer.seconds" ]; then
    # The nap must not keep our outputs open when we are killed.
    sleep "$(cat "$answer.seconds")" >/dev/null 2>&1 &
    nap=$!
    if [ -e "$answer.stubborn" ]; then trap '' TERM; else trap 'kill $nap; exit 143' TERM; fi
    wait "$nap"
  fi
  [ ! -e "$answer.code" ] || exit "$(cat "$answer.code")"
  exit 0
done
echo "fake-tool: no answer for: $line" >&2
exit 97
