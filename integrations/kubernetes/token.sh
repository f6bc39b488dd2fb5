#!/bin/sh
# Keeps a token of Latchkey in a file, for the other containers of its pod: exchanged for the pod's identity, renewed
# before it ends, revoked when the pod ends. Needs curl; secrets are in no argument, which others could read.
set -eu
# For others of the pod (fsGroup), and nobody else.
umask 027
url=${LATCHKEY_URL%/}
urn=urn:ietf:params:oauth
used=
sleeping=

exchange() {
  set --
  for service in ${LATCHKEY_SERVICES:-}; do set -- "$@" --data-urlencode "audience=$service"; done
  answer=$(printf 'subject_token=%s' "$used" |
    curl -sS --retry 3 --retry-connrefused -w '\n%{http_code}' "$url/oauth2/token" --data @- \
      --data-urlencode "grant_type=$urn:grant-type:token-exchange" \
      --data-urlencode "subject_token_type=$urn:token-type:jwt" \
      --data-urlencode "scope=${LATCHKEY_SCOPES:-}" \
      --data-urlencode "expires_in=${LATCHKEY_EXPIRES_IN:-900}" "$@") || exit 1
  token=$(printf '%s\n' "$answer" | sed -n 's/.*"access_token" *: *"\([^"]*\)".*/\1/p')
  seconds=$(printf '%s\n' "$answer" | sed -n 's/.*"expires_in" *: *\([0-9]*\).*/\1/p')
  if [ -z "$token" ] || [ -z "$seconds" ]; then
    echo "Latchkey gives no token: $answer" >&2
    exit 1
  fi
}

# Whoever reads the file finds a whole token in it, at any moment.
keep() {
  if [ -s "$TOKEN_FILE" ]; then cp "$TOKEN_FILE" "$TOKEN_FILE.before"; fi
  printf '%s' "$token" >"$TOKEN_FILE.next"
  mv "$TOKEN_FILE.next" "$TOKEN_FILE"
}

revoke() {
  for file in "$TOKEN_FILE" "$TOKEN_FILE.before"; do
    [ -s "$file" ] || continue
    token=$(cat "$file")
    rm -f "$file"
    status=$(printf 'header = "Authorization: Bearer %s"\ndata = "token=%s"\n' "$token" "$token" |
      curl -sS --retry 3 --retry-connrefused -o /dev/null -w '%{http_code}' -K - "$url/oauth2/revoke") || true
    case $status in
      200) echo 'The token is revoked.' ;;
      401) echo 'The token was over already.' ;;
      *) echo "The token could not be revoked ($status). It ends by itself soon." ;;
    esac
  done
}

# In the background, so that a signal is heard at once.
pause() {
  sleep "$1" &
  sleeping=$!
  wait "$sleeping"
}

end() {
  if [ -n "$sleeping" ]; then kill "$sleeping" 2>/dev/null || true; fi
  revoke
  exit 0
}

case $url in
  https://?* | http://localhost[:/]* | http://127.0.0.1[:/]*) ;;
  *)
    echo "LATCHKEY_URL must begin with https://, not be '$url': the pod's identity is sent there." >&2
    exit 1
    ;;
esac
trap end TERM INT
while :; do
  # An identity is exchanged once; the kubelet puts another one there after some minutes.
  while [ "$(cat "$JWT_FILE")" = "$used" ]; do pause 1; done
  used=$(cat "$JWT_FILE")
  exchange
  keep
  echo "A token is in $TOKEN_FILE, good for $seconds s."
  pause $((seconds * 2 / 3))
done
