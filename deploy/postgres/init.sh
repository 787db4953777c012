#!/bin/bash
# The product's role, which is no superuser, and its database. Run once: by the container of
# deploy/compose.yaml at its first start, or by hand as the superuser:
#   sudo -u postgres PASSWORD_FILE=/etc/genai/secrets/postgres_password deploy/postgres/init.sh
set -euo pipefail
PASSWORD=$(cat "${PASSWORD_FILE:-/run/secrets/postgres_password}")
export PASSWORD # not an argument, which everybody on the host could read
psql --set ON_ERROR_STOP=1 --no-psqlrc --quiet --username "${POSTGRES_USER:-postgres}" --dbname postgres << 'SQL'
\set password `printf %s "$PASSWORD"`
SET password_encryption = 'scram-sha-256';
-- CREATEDB: a drill restores a backup into a database of its own
CREATE ROLE genai LOGIN CREATEDB PASSWORD :'password';
CREATE DATABASE genai OWNER genai TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';
REVOKE ALL ON DATABASE genai FROM PUBLIC;
SQL
