# Makes a certificate for some hosts that nobody vouches for: sh self-signed.sh OPENSSL FOLDER OWNER HOST…
#
# The one that is there stays while it is for the same hosts. Nothing renews it, so it holds for ten years.
set -eu
PATH=/run/current-system/sw/bin:/usr/bin:/bin
openssl=$1 folder=$2 owner=$3
shift 3
names=$(printf ',DNS:%s' "$@")
names=${names#,}

umask 077
if [ -e "$folder/certificate.pem" ] && [ "$(cat "$folder/names")" = "$names" ]; then
  exit 0
fi
"$openssl" req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -days 3650 \
  -subj '/CN=Self-signed' -addext "subjectAltName=$names" \
  -keyout "$folder/key.pem.new" -out "$folder/certificate.pem.new" 2> /dev/null
chown "$owner" "$folder/key.pem.new" "$folder/certificate.pem.new"
mv "$folder/key.pem.new" "$folder/key.pem"
mv "$folder/certificate.pem.new" "$folder/certificate.pem"
printf '%s\n' "$names" > "$folder/names"
# A server that runs already goes on with the former one until it is told.
systemctl --no-block try-reload-or-restart nginx.service
