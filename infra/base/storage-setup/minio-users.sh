#!/bin/sh
# Where the store is MinIO: one user for each component, with the policy that `setup` wrote and no other. No S3 operation
# makes users, and only MinIO's own client speaks its administration. Elsewhere it says what they have to be allowed. A component's user of other keys, that `./just deploy` made
# before, goes: its keys are valid no longer. Policies are named after the bucket of media, too, and so other installations at the same
# MinIO keep theirs and their users. A second run changes nothing. Needs mc and a POSIX shell alone.
#
# From the environment: AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY (an administrator's), MC_CONFIG_DIR;
# TEITEN_MEDIA_BUCKET; TEITEN_STORAGE_PRINCIPALS: who has his rights from the buckets' policies;
# POLICIES: a folder with <component>.json; KEYS: one with <component>/AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
set -eu

say() { echo "minio-users: $*"; }
fail() { say "$*" >&2; exit 1; }
# Runs mc; where it fails, its words are in $answer.
try() { answer=$(mc --quiet "$@" 2>&1); }
# Says what the users are to be allowed that others make, but for those that the buckets' policies know.
tell_rights() {
  for file in "$POLICIES"/*.json; do
    component=${file##*/}
    component=${component%.json}
    case " ${TEITEN_STORAGE_PRINCIPALS:-}" in
      *" $component="*) ;;
      *) say "rights of $component: its user's own policy has to be $(cat "$file")" ;;
    esac
  done
}
# The policies of the user $1, with commas between them.
policies_of() {
  try admin user info store "$1" || fail "user $1: $answer"
  attached=${answer#*PolicyName: }
  attached=${attached%%"
"*}
}
# Whether $1 is an access key that deploy makes for the component $2: 20 characters, 12 of them at most "<component>-", and random
# letters and digits (infra/cluster/src/secrets.rs).
is_made_for() {
  prefix=$(printf '%.12s' "$2-")
  [ ${#1} -eq 20 ] || return 1
  case "$1" in
    "$prefix"*[!A-Za-z0-9]*) return 1 ;;
    "$prefix"*) ;;
    *) return 1 ;;
  esac
}

if [ -z "${AWS_ENDPOINT_URL_S3:-}" ]; then
  say "LEFT OUT: the store is AWS S3, so its users are made by other means"
  tell_rights
  exit
fi
try alias set store "$AWS_ENDPOINT_URL_S3" "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" || fail "no answer: $answer"
if ! try admin info store; then
  say "LEFT OUT: the store is no MinIO, so its users are made by other means"
  tell_rights
  exit
fi
try admin user list store || fail "no list of users: $answer"
users=$answer
for file in "$POLICIES"/*.json; do
  component=${file##*/}
  component=${component%.json}
  if [ ! -e "$KEYS/$component/AWS_ACCESS_KEY_ID" ]; then
    say "LEFT OUT: user $component: there is no Secret storage-$component"
    continue
  fi
  key=$(cat "$KEYS/$component/AWS_ACCESS_KEY_ID")
  secret=$(cat "$KEYS/$component/AWS_SECRET_ACCESS_KEY")
  policy=teiten-$TEITEN_MEDIA_BUCKET-$component
  try admin policy create store "$policy" "$file" || fail "policy $policy: $answer"
  try admin user add store "$key" "$secret" || fail "user $component: $answer"
  if ! try admin policy attach store "$policy" --user "$key"; then
    case "$answer" in
      *"already in effect"* | *"already attached"*) ;;
      *) fail "user $component: $answer" ;;
    esac
  fi
  # Policies had no bucket in their names once. MinIO keeps one that another installation's user still has.
  policies_of "$key"
  case ",$attached," in
    *",teiten-$component,"*)
      try admin policy detach store "teiten-$component" --user "$key" || fail "user $component: $answer"
      try admin policy remove store "teiten-$component" || :
      ;;
  esac
  say "user $component has its rights and no others"
  # The list has other words, too (states, policies): none looks like a key.
  set -f
  for user in $users; do
    if [ "$user" = "$key" ] || ! is_made_for "$user" "$component"; then continue; fi
    policies_of "$user"
    if [ "$attached" = "$policy" ]; then
      try admin user remove store "$user" || fail "user $user: $answer"
      say "user $user, of other keys of $component, is gone"
    fi
  done
  set +f
done
