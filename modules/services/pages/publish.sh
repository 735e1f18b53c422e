# Publishes a branch of a repository as a site: sh publish.sh SITE URL BRANCH LIMIT_KIB
#
# What was published before stays until the new one is there as a whole. Links are left out, as they could lead anywhere.
set -eu
PATH=/run/current-system/sw/bin:/usr/bin:/bin
site=$1 url=$2 branch=$3 limit=$4
cd /var/lib/pages

published=.published/$site
newest=$(GIT_TERMINAL_PROMPT=0 git ls-remote --quiet --exit-code "$url" "refs/heads/$branch" | cut -f 1)
if [ -e "$published" ] && [ "$(cat "$published")" = "$newest" ]; then
  exit 0
fi

draft=$(mktemp -d .draft-XXXXXX)
trap 'rm -rf "$draft"' EXIT
GIT_TERMINAL_PROMPT=0 git -c core.symlinks=false -c protocol.allow=never -c protocol.https.allow=always \
  clone --quiet --depth 1 --single-branch --branch "$branch" -- "$url" "$draft/site"
rm -rf "$draft/site/.git"
find "$draft/site" -type l -delete
size=$(du -sk "$draft/site" | cut -f 1)
if [ "$size" -gt "$limit" ]; then
  echo "the site $site has $size KiB, and may have $limit" >&2
  exit 1
fi
chmod -R u=rwX,go=rX "$draft/site"
mkdir -p sites .published
if [ -e "sites/$site" ]; then
  mv "sites/$site" "$draft/old"
fi
mv "$draft/site" "sites/$site"
printf '%s\n' "$newest" > "$published"
