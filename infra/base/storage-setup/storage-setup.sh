#!/bin/sh
# Makes the object store what Teiten needs: buckets, lifecycle rules, CORS, access, and where the store is MinIO one user
# for each component with no more rights than it uses. Says what it does; a second run changes nothing. What a store lacks
# is left out with a message. Needs mc and a POSIX shell alone.
#
# From the environment: AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY (an administrator's), TEITEN_…
# (settings/teiten.env), KEYS: a folder with <component>/AWS_ACCESS_KEY_ID and <component>/AWS_SECRET_ACCESS_KEY.
set -eu
work=${MC_CONFIG_DIR:?}
export MC_CONFIG_DIR
frames=${TEITEN_FRAMES_BUCKET:-frames}
media=${TEITEN_MEDIA_BUCKET:-media}

say() { echo "storage-setup: $*"; }
fail() { say "$*" >&2; exit 1; }
# Runs mc; where it fails, its words are in $answer.
try() { answer=$(mc --quiet "$@" 2>&1); }

connect() {
  tries=0
  until try alias set store "${AWS_ENDPOINT_URL_S3:-https://s3.amazonaws.com}" "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY"; do
    tries=$((tries + 1))
    [ "$tries" -lt 30 ] || fail "the store does not answer: $answer"
    sleep 2
  done
}

buckets() {
  for bucket in "$frames" "$media"; do
    try mb --ignore-existing --region "${AWS_REGION:-us-east-1}" "store/$bucket" || fail "bucket $bucket: $answer"
    say "bucket $bucket is there"
  done
}

# lifecycle BUCKET RULES: RULES are the bucket's only ones from now on.
lifecycle() {
  echo "{\"Rules\":[$2]}" >"$work/lifecycle.json"
  if answer=$(mc --quiet ilm rule import "store/$1" <"$work/lifecycle.json" 2>&1); then
    say "bucket $1: lifecycle $2"
  else
    say "bucket $1: LEFT OUT: this store takes no lifecycle rules, so nothing is ever deleted ($answer)"
  fi
}

# rule ID PREFIX DAYS
rule() {
  echo "{\"ID\":\"$1\",\"Status\":\"Enabled\",\"Filter\":{\"Prefix\":\"$2\"},\"Expiration\":{\"Days\":$3}}"
}

# The cameras that have anything in the bucket of media.
cameras() {
  mc --quiet ls "store/$media" | while read -r line; do
    name=${line##* }
    case "$name" in
      */) name=${name%/} ;;
      *) continue ;;
    esac
    case "$name" in
      *[!a-z0-9-]* | -* | *-) ;;
      *) echo "$name" ;;
    esac
  done
}

# Footage goes by date, below <camera>/2… for this century's years: what does not change with time (<camera>/init-….mp4,
# live.m3u8, cameras.json, the viewer) never goes. So there is a rule for each camera.
media_rules() {
  rules=
  for camera in $(cameras); do
    days=${TEITEN_MEDIA_RETENTION_DAYS:-7}
    for pair in ${TEITEN_MEDIA_RETENTION_DAYS_BY_CAMERA:-}; do
      [ "${pair%%=*}" = "$camera" ] && days=${pair#*=}
    done
    rules="$rules${rules:+,}$(rule "$camera" "$camera/2" "$days")"
  done
  echo "$rules"
}

retention() {
  lifecycle "$frames" "$(rule frames "" "${TEITEN_FRAMES_RETENTION_DAYS:-1}")"
  rules=$(media_rules)
  if [ -n "$rules" ]; then
    lifecycle "$media" "$rules"
  else
    say "bucket $media: no camera yet, so no lifecycle rules yet"
  fi
}

cors() {
  cat >"$work/cors.xml" <<XML
<CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><CORSRule>
<AllowedOrigin>${TEITEN_CORS_ORIGIN:-*}</AllowedOrigin><AllowedMethod>GET</AllowedMethod><AllowedMethod>HEAD</AllowedMethod>
<AllowedHeader>*</AllowedHeader><ExposeHeader>Date</ExposeHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>3600</MaxAgeSeconds>
</CORSRule></CORSConfiguration>
XML
  if try cors set "store/$media" "$work/cors.xml"; then
    say "bucket $media: pages of ${TEITEN_CORS_ORIGIN:-*} may play it"
  else
    say "bucket $media: LEFT OUT: this store has no CORS for a bucket; MinIO has it for the server (MINIO_API_CORS_ALLOW_ORIGIN)"
  fi
}

access() {
  case "${TEITEN_MEDIA_ACCESS:-private}" in
    private) try anonymous set none "store/$media" || fail "bucket $media: cannot be made private: $answer" ;;
    public)
      echo "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":[\"*\"]},\"Action\":[\"s3:GetObject\"],\"Resource\":[\"arn:aws:s3:::$media/*\"]}]}" \
        >"$work/public.json"
      try anonymous set-json "$work/public.json" "store/$media" || fail "bucket $media: cannot be made public: $answer" ;;
    *) fail "TEITEN_MEDIA_ACCESS is private or public, not ${TEITEN_MEDIA_ACCESS}" ;;
  esac
  try anonymous set none "store/$frames" || fail "bucket $frames: cannot be made private: $answer"
  say "bucket $media is ${TEITEN_MEDIA_ACCESS:-private}, bucket $frames is private"
}

# allow BUCKET ACTION…: a policy's statements; listing (ls) is also what makes an absent object a 404 instead of a 403.
allow() {
  bucket=$1
  shift
  for action in "$@"; do
    case "$action" in
      get) echo "{\"Effect\":\"Allow\",\"Action\":[\"s3:GetObject\"],\"Resource\":[\"arn:aws:s3:::$bucket/*\"]}" ;;
      put) echo "{\"Effect\":\"Allow\",\"Action\":[\"s3:PutObject\"],\"Resource\":[\"arn:aws:s3:::$bucket/*\"]}" ;;
      ls) echo "{\"Effect\":\"Allow\",\"Action\":[\"s3:ListBucket\",\"s3:GetBucketLocation\"],\"Resource\":[\"arn:aws:s3:::$bucket\"]}" ;;
    esac
  done
}

# Nobody deletes; the lifecycle does.
statements() {
  case "$1" in
    bridge) allow "$frames" get put ls ;; # get: late frames are merged into their batch
    encode) allow "$frames" get ls; allow "$media" get put ls ;;
    playlist) allow "$media" get put ls ;;
    reconcile) allow "$frames" get ls; allow "$media" get put ls ;;
  esac
}

policy() {
  all=
  for statement in $(statements "$1"); do all="$all${all:+,}$statement"; done
  echo "{\"Version\":\"2012-10-17\",\"Statement\":[$all]}"
}

users() {
  if ! try admin info store; then
    say "LEFT OUT: users, which this store does not let mc make. Make one for each component, with this policy:"
    for component in bridge encode playlist reconcile; do echo "$component: $(policy "$component")"; done
    return
  fi
  for component in bridge encode playlist reconcile; do
    key=$(cat "$KEYS/$component/AWS_ACCESS_KEY_ID")
    secret=$(cat "$KEYS/$component/AWS_SECRET_ACCESS_KEY")
    policy "$component" >"$work/policy.json"
    try admin policy create store "teiten-$component" "$work/policy.json" || fail "policy teiten-$component: $answer"
    try admin user add store "$key" "$secret" || fail "user $component: $answer"
    if ! try admin policy attach store "teiten-$component" --user "$key"; then
      case "$answer" in
        *"already in effect"* | *"already attached"*) ;;
        *) fail "user $component: $answer" ;;
      esac
    fi
    say "user $component has its rights and no others"
  done
}

mkdir -p "$work"
connect
buckets
retention
cors
access
users
say "done"
