#!/bin/sh
# Makes the secrets of an installation, each in a file of its own, and never touches one that is there.
#
#   deploy/make-secrets.sh DIRECTORY [DATABASE_HOST[:PORT] [STATE_REDIS[:PORT] [CACHE_REDIS[:PORT]]]]
#
# The hosts' defaults are the services of deploy/compose.yaml. Directory: 0700, files: 0444, so that
# the containers' users can read what is mounted into them while nobody else on the host can.
set -eu
umask 077
directory=${1:?usage: make-secrets.sh DIRECTORY [DATABASE_HOST [STATE_REDIS [CACHE_REDIS]]]}
database=${2:-postgres}
state=${3:-redis-state}
cache=${4:-redis-cache:6380}
mkdir -p "$directory"
cd "$directory"

put() { # name, from standard input
  [ -e "$1" ] || { cat > "$1.new" && chmod 0444 "$1.new" && mv "$1.new" "$1"; }
}
random() { od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n'; }
digest() { printf %s "$(cat "$1")" | sha256sum | cut -d' ' -f1; }

for name in secret_key metrics_token postgres_password postgres_superuser_password redis_state_password redis_cache_password grafana_password; do
  random | put "$name"
done
printf 'postgresql://genai:%s@%s/genai' "$(cat postgres_password)" "$database" | put database_url
printf 'redis://genai:%s@%s/0' "$(cat redis_state_password)" "$state" | put redis_url
printf 'redis://genai:%s@%s/0' "$(cat redis_cache_password)" "$cache" | put cache_redis_url

# F4: who can write here gives others their answers and lifts limits. No user but ours, no keys but the
# product's, and no command that reconfigures, flushes, loads modules or replicates.
put redis_state_acl << ACL
user default off resetchannels -@all
user genai on #$(digest redis_state_password) ~genai:* resetchannels &genai:* +@all -@admin -@dangerous
ACL
put redis_cache_acl << ACL
user default off resetchannels -@all
user genai on #$(digest redis_cache_password) ~genai:* resetchannels -@all +@connection -@dangerous +get +set +del +sadd +smembers +expire +scan
ACL

# to be filled in, if they are used
for name in ldap_bind_password llm_api_key; do
  put "$name" < /dev/null
done
echo "$PWD: secrets are there. Put the directory's password into ldap_bind_password and the model server's key into llm_api_key if you use them."
