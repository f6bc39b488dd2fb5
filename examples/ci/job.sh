#!/bin/sh
# A whole CI job, with sh and curl alone: it proves who it is, gets a token for minutes, publishes a post with it, is refused
# what the token is not for, and leaves nothing behind. README.md says what must be there. Every answer is checked.
set -eu
: "${LATCHKEY_URL:?where Latchkey is}" "${POSTS_URL:?where the example product is}"

umask 077
folder=$(mktemp -d)
token=
trap 'revoke || true; rm -rf "$folder"' EXIT

fail() {
  echo "$1" >&2
  exit 1
}

# Secrets are told to curl by stdin: arguments can be read by every process.
bearer() {
  printf 'header = "Authorization: Bearer %s"\n' "$1"
}

# member file: of flat JSON
member() {
  sed -n 's/.*"'"$1"'" *: *"\([^"]*\)".*/\1/p' "$2"
}

# token method url [JSON]: the answer is in $folder/answer and $status
ask() {
  secret=$1 method=$2 url=$3
  shift 3
  if [ $# -gt 0 ]; then set -- -H 'Content-Type: application/json' --data "$1"; fi
  status=$(bearer "$secret" | curl -sS -K - -o "$folder/answer" -w '%{http_code}' -X "$method" "$POSTS_URL$url" "$@")
}

# The same, and the status must be the first argument.
expect() {
  wanted=$1
  shift
  ask "$@"
  echo "$2 $3 → $status"
  if [ "$status" != "$wanted" ]; then fail "Expected $wanted, and was answered: $(cat "$folder/answer")"; fi
}

# What the CI provider says of the job: GitLab puts it into a variable, GitHub gives it out on request.
identity() {
  if [ -n "${LATCHKEY_JWT:-}" ]; then
    printf '%s' "$LATCHKEY_JWT"
  else
    : "${ACTIONS_ID_TOKEN_REQUEST_URL:?this job has no identity; on GitHub it needs \"permissions: { id-token: write }\"}"
    bearer "$ACTIONS_ID_TOKEN_REQUEST_TOKEN" |
      curl -sSf -K - -o "$folder/identity" "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=$LATCHKEY_URL"
    member value "$folder/identity"
  fi
}

exchange() {
  urn=urn:ietf:params:oauth
  identity | curl -sS -o "$folder/granted" "$LATCHKEY_URL/oauth2/token" --data-urlencode subject_token@- \
    --data-urlencode "grant_type=$urn:grant-type:token-exchange" \
    --data-urlencode "subject_token_type=$urn:token-type:jwt" \
    --data-urlencode "scope=posts:write" --data-urlencode "audience=posts" --data-urlencode "expires_in=300"
  token=$(member access_token "$folder/granted")
  if [ -z "$token" ]; then fail "There is no token: $(cat "$folder/granted")"; fi
  echo "A token with $(member scope "$folder/granted"), for five minutes."
}

revoke() {
  if [ -z "$token" ]; then return 0; fi
  secret=$token
  token=
  { bearer "$secret" && printf 'data = "token=%s"\n' "$secret"; } |
    curl -sSf -K - -o "$folder/answer" "$LATCHKEY_URL/oauth2/revoke"
  echo 'The token is revoked.'
}

exchange

# What it is for.
expect 201 "$token" POST /v1/posts '{"title": "Release 1.2", "body": "Published by a CI job."}'
post=$(member id "$folder/answer")
expect 200 "$token" POST "/v1/posts/$post/publish"

# What it is not for: refused before anything is done, and told why.
expect 403 "$token" POST /v1/workspaces/main/runs
echo "Refused: $(member detail "$folder/answer") ($(member code "$folder/answer"))"

# Its end. Services remember tokens, and are told to forget this one; should no word get through, in a few seconds.
ended=$token
revoke
tries=0
until ask "$ended" GET /v1/posts && [ "$status" = 401 ]; do
  tries=$((tries + 1))
  if [ "$tries" = 10 ]; then fail "It is still good: $status"; fi
  sleep 1
done
echo 'GET /v1/posts → 401. Nothing is left behind.'
