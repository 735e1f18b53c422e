# Makes nginx read its configuration again and waits until it has: reload.sh MASTER_PID.
#
# The signal alone returns at once, while requests are still answered as before. A shell does it, as Python takes ten times as
# long to start.
set -eu

# What proc(5) says here ends without a line break, which `read` tells as a failure.
workers() {
  now=
  read -r now < "/proc/$master/task/$master/children" || :
}

master=$1
workers
before=$now
kill -HUP "$master"
turns=0
# nginx starts the new workers before it tells the old ones to take no more connections.
while :; do
  workers
  for worker in $now; do
    case " $before " in
      *" $worker "*) ;;
      *) sleep 0.05; exit 0 ;;
    esac
  done
  turns=$((turns + 1))
  if [ "$turns" -gt 500 ] || ! kill -0 "$master"; then
    echo "nginx did not take its new configuration" >&2
    exit 1
  fi
  sleep 0.02
done
