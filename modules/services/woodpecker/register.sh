# Makes Woodpecker known to a forge, once: sh register.sh FORGE PROGRAM WORK_PATH CONFIG FORGE_API REDIRECT OUT
#
# As the forge's own account. FORGE is the word in Woodpecker's variables (FORGEJO, GITEA), PROGRAM the forge's command. What
# the forge answers is written to OUT as variables of the environment. No secret is an argument of any program.
set -eu
PATH=/run/current-system/sw/bin:/usr/bin:/bin
forge=$1 program=$2 work_path=$3 config=$4 api=$5 redirect=$6 out=$7
account=woodpecker

if [ -s "$out" ]; then
  exit 0
fi
umask 077

forge_admin() {
  "$program" --work-path "$work_path" --config "$config" admin user "$@"
}

# It takes a while until the forge answers.
tries=0
until curl --silent --fail --output /dev/null "$api/version"; do
  tries=$((tries + 1))
  if [ "$tries" -gt 120 ]; then
    echo "the forge does not answer at $api" >&2
    exit 1
  fi
  sleep 1
done

# An account that nobody signs in with; the application is its own.
forge_admin list | grep -qw "$account" ||
  forge_admin create --username "$account" --email "$account@localhost.invalid" --random-password \
    --must-change-password=false > /dev/null
token=$(forge_admin generate-access-token --username "$account" --token-name "register-$(date +%s)" \
  --scopes write:user --raw)

answer=$(printf 'header = "Authorization: token %s"\nheader = "Content-Type: application/json"\ndata = "%s"\n' "$token" \
  "{\\\"name\\\":\\\"Woodpecker\\\",\\\"redirect_uris\\\":[\\\"$redirect\\\"],\\\"confidential_client\\\":true}" |
  curl --silent --show-error --fail --config - "$api/user/applications/oauth2")
field() {
  printf '%s' "$answer" | sed -n "s/.*\"$1\" *: *\"\\([^\"]*\\)\".*/\\1/p"
}
client=$(field client_id)
secret=$(field client_secret)
if [ -z "$client" ] || [ -z "$secret" ]; then
  echo "the forge's answer names no client" >&2
  exit 1
fi
printf 'WOODPECKER_%s_CLIENT="%s"\nWOODPECKER_%s_SECRET="%s"\n' "$forge" "$client" "$forge" "$secret" > "$out.new"
mv "$out.new" "$out"
