# Deploys a system to a machine the way Berth's daemon does: the machine switches to it, proves that every service answers
# and puts itself back if one does not; what it boots is changed last, over a new connection.
#
# usage: deploy.sh switch|dry-activate SYSTEM USER HOST [OPTION_OF_SSH…]
#
# The options hold no spaces. NIX_SSHOPTS is obeyed as by Nix' own tools, such as NIX_SSHOPTS='-i KEY'.
set -euf
action=$1 system=$2 user=$3 host=$4
shift 4
agent=$system/sw/bin/berth-agent
# No connection that is open already: each one proves that the machine can still be reached.
export NIX_SSHOPTS="${NIX_SSHOPTS:-} $* -o ControlPath=none"

say() { printf '%s\n' "$*" >&2; }
on_the_machine() {
  # shellcheck disable=SC2086 # split at spaces, as Nix does it
  if [ "$user" = root ]; then
    ssh $NIX_SSHOPTS -T -l "$user" -- "$host" "$@"
  else
    ssh $NIX_SSHOPTS -T -l "$user" -- "$host" sudo -n -- "$@"
  fi
}

case $action in
  switch | dry-activate) ;;
  *)
    say "“$action” is neither switch nor dry-activate"
    exit 2
    ;;
esac

say "copying $system to $host"
nix-copy-closure --to "$user@$host" "$system"

if [ "$action" = dry-activate ]; then
  on_the_machine "$system/bin/switch-to-configuration" dry-activate
  exit
fi

say "switching; until its services answer, a reboot brings back the system of before"
on_the_machine "$agent" try "$system"

say "making it what the machine boots"
on_the_machine "$agent" commit "$system" || {
  say "The machine runs the new system, but boots the one of before. Run this again, or reboot it."
  exit 1
}
