# Brings Garage's layout, buckets and keys to what a list says: sh provision.sh LIST ADMIN_URL ADMIN_TOKEN_FILE. Safe to
# run again.
#
# LIST has a line for each bucket: its name, `public` or `private`, how much it may hold in bytes or `-`, and the two files
# with a key that may read and write it or `-` `-`. Nothing is ever deleted here.
set -eu
PATH=/run/current-system/sw/bin:/usr/bin:/bin
list=$1
admin=$2
token_file=$3

# Garage's own command takes the secret as an argument, which every process can see. This way it goes over a pipe.
import_key() {
  request=$(printf '{\\"name\\":\\"%s\\",\\"accessKeyId\\":\\"%s\\",\\"secretAccessKey\\":\\"%s\\"}' "$1" "$2" "$(cat "$3")")
  # The second address is that of Garage before 2.0.
  for call in v2/ImportKey v1/key/import; do
    printf 'header = "Authorization: Bearer %s"\nheader = "Content-Type: application/json"\ndata = "%s"\n' \
      "$(cat "$token_file")" "$request" |
      curl --silent --fail --output /dev/null --config - "$admin/$call" && return
  done
  echo "Garage does not take the key of the bucket $1" >&2
  return 1
}

# It takes a while until the server answers.
tries=0
until garage status > /dev/null 2>&1; do
  tries=$((tries + 1))
  if [ "$tries" -gt 60 ]; then
    echo "Garage does not answer" >&2
    exit 1
  fi
  sleep 1
done

# A single node, which holds everything.
case $(garage layout show 2>&1) in
  *"No nodes currently have a role"*)
    node=$(garage node id --quiet)
    garage layout assign --zone here --capacity 1T "${node%%@*}" > /dev/null
    garage layout apply --version 1 > /dev/null
    ;;
esac

while read -r bucket audience quota id_file key_file; do
  garage bucket info "$bucket" > /dev/null 2>&1 || garage bucket create "$bucket" > /dev/null
  if [ "$audience" = public ]; then
    garage bucket website --allow "$bucket" > /dev/null
  else
    garage bucket website --deny "$bucket" > /dev/null 2>&1 || :
  fi
  if [ "$quota" = - ]; then
    garage bucket set-quotas --max-size none "$bucket" > /dev/null
  else
    garage bucket set-quotas --max-size "$quota" "$bucket" > /dev/null
  fi
  if [ "$id_file" != - ]; then
    id=$(cat "$id_file")
    garage key info "$id" > /dev/null 2>&1 || import_key "$bucket" "$id" "$key_file"
    garage bucket allow --read --write --key "$id" "$bucket" > /dev/null
  fi
done < "$list"
