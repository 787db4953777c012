#!/bin/sh
# Installs the product from the bundle that this file lies in. Nothing is fetched.
#
#   ./install.sh /opt/genai              install, or upgrade what is there
#   ./install.sh --rollback /opt/genai   back to the version before, and again forth
#
# In /opt/genai: bin/genai, the command; .env, your settings; data/, yours too; releases/, a folder
# for each version with its own Python environment; current and previous, which point to two of them.
# Exit codes: 0 done, 1 failed and nothing changed, 2 misused.
set -eu
umask 022
export LC_ALL=C
unset PYTHONPATH PYTHONHOME CDPATH

fail() {
  echo "install.sh: $1" >&2
  exit "${2:-1}"
}

say() { echo "$1"; }

# point LINK TARGET: at one instant, so that there always is a version
point() {
  rm -f "$1.new"
  ln -s "$2" "$1.new"
  mv -T "$1.new" "$1"
}

roll_back() {
  [ -L "$root/previous" ] || fail "there is no version before this one in $root"
  before=$(readlink "$root/previous") now=$(readlink "$root/current")
  [ -e "$root/$before/.complete" ] || fail "$root/$before is not whole"
  point "$root/current" "$before"
  point "$root/previous" "$now"
  say "$root is at $before now, was at $now. Start the service again."
  say "A newer version may have changed the database: then restore the backup made before it."
}

check_sums() {
  say "Checking the bundle ..."
  bad=$(sha256sum --check --quiet --strict SHA256SUMS 2>&1) ||
    fail "the bundle is damaged, nothing was installed:
$bad"
  strange=$(find . ! -type d ! -path ./SHA256SUMS |
    awk 'NR == FNR { known["./" substr($0, 67)]; next } !($0 in known)' SHA256SUMS -)
  [ -z "$strange" ] || fail "these are no part of the bundle, nothing was installed:
$strange"
}

# check_python PYTHON: says why it does not fit, or nothing
check_python() {
  "$1" -I - "$python" "$platform" << 'PYTHON'
import os, platform, re, sys

wanted, system = sys.argv[1:]
found = "%d.%d" % sys.version_info[:2]
if found != wanted:
    sys.exit("is Python %s, the bundle is for %s" % (found, wanted))
machine = re.sub(r"^[a-z]+_\d+_\d+_", "", system)
if platform.machine() != machine:
    sys.exit("runs on %s, the bundle is for %s" % (platform.machine(), machine))
glibc = re.match(r"manylinux_2_(\d+)_", system)
if glibc:
    try:
        own = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (OSError, ValueError):
        own = ""
    own = re.match(r"glibc 2\.(\d+)", own)
    if not own or int(own[1]) < int(glibc[1]):
        sys.exit("has not the glibc 2.%s or newer that the bundle is for" % glibc[1])
try:
    import ensurepip, venv
except ImportError:
    sys.exit("has no venv with pip: install the package python%s-venv" % wanted)
PYTHON
}

find_python() {
  reasons=
  for each in ${PYTHON:-"python$python" python3}; do
    path=$(command -v "$each") || continue
    if reason=$(check_python "$path" 2>&1); then
      PYTHON=$path
      return
    fi
    reasons="$reasons
  $path $reason"
  done
  fail "Python $python is needed (PYTHON=/path/to/python$python ./install.sh ...):${reasons:-
  none is on the PATH}"
}

install_release() {
  release=$root/$1
  rm -rf "$release"
  mkdir -p "$release"
  trap 'rm -rf "$release"' EXIT
  trap 'exit 1' HUP INT TERM
  say "Copying the product ..."
  # not with the times of the bundle: browsers tell files of two versions apart by them
  cp -R app/. "$release/"
  cp -R licences sbom.cdx.json about install.sh "$release/"
  say "Installing $(find wheels -name '*.whl' | wc -l) packages, about half a minute ..."
  "$PYTHON" -I -m venv "$release/.venv" || fail "$PYTHON could not make an environment"
  for each in app/requirements*.txt; do
    PIP_CONFIG_FILE=/dev/null "$release/.venv/bin/python" -I -m pip --isolated install --quiet \
      --disable-pip-version-check --no-cache-dir --no-warn-script-location \
      --no-index --find-links wheels --only-binary :all: --no-deps --require-hashes -r "$each" ||
      fail "the packages could not be installed"
  done
  site=$("$release/.venv/bin/python" -I -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  echo "$release" > "$site/genai.pth"
  "$release/.venv/bin/python" -I -m compileall -q "$release/genai_app" "$release/alembic" ||
    fail "the product could not be compiled"
  "$release/.venv/bin/python" -I -m genai_app --help > /dev/null || fail "the product does not start"
  : > "$release/.complete"
  trap - EXIT HUP INT TERM
}

write_command() {
  mkdir -p "$root/bin"
  cat > "$root/bin/genai.new" << COMMAND
#!/bin/sh
# Whatever the environment sets comes before $root/.env.
exec "$root/current/.venv/bin/python" -I -m dotenv -f "$root/.env" run --no-override -- \\
  "$root/current/.venv/bin/python" -I -m genai_app "\$@"
COMMAND
  chmod 755 "$root/bin/genai.new"
  mv "$root/bin/genai.new" "$root/bin/genai"
}

write_settings() {
  [ ! -e "$root/.env" ] && [ ! -L "$root/.env" ] || return 0
  (
    umask 077
    sed "s|^#GENAI_DATA_DIR=.*|GENAI_DATA_DIR=$root/data|" app/.env.example > "$root/.env"
  )
  [ -d "$root/data" ] || mkdir -m 700 "$root/data"
}

remove_old() {
  for each in "$root"/releases/*; do
    case releases/${each##*/} in
      "$(readlink "$root/current")" | "$(readlink "$root/previous" || true)") ;;
      *) rm -rf "$each" ;;
    esac
  done
}

action=install
if [ "${1:-}" = --rollback ]; then
  action=roll_back
  shift
fi
[ $# -eq 1 ] && [ -n "$1" ] || fail "usage: ./install.sh [--rollback] DIRECTORY" 2
case $1 in
  -*) fail "usage: ./install.sh [--rollback] DIRECTORY" 2 ;;
  *[!A-Za-z0-9/._-]*) fail "only letters, digits and / . _ - in the name of the directory" 2 ;;
  /*) root=${1%/} ;;
  *) fail "the directory's whole name is needed, such as /opt/genai" 2 ;;
esac
if [ "$action" = roll_back ]; then
  roll_back
  exit
fi

cd "$(dirname "$0")"
check_sums
. ./about
find_python
mkdir -p "$root" || fail "$root cannot be made; are you root?"
name=releases/$version-$(sha256sum SHA256SUMS | cut -c 1-8)
now=$(readlink "$root/current" || true)
[ -e "$root/$name/.complete" ] || install_release "$name"
write_settings
write_command
point "$root/current" "$name"
if [ -n "$now" ] && [ "$now" != "$name" ]; then
  point "$root/previous" "$now"
fi
remove_old

if [ -z "$now" ]; then
  say "
Version $version is in $root. What is next:
  1. write the settings into $root/.env (the model server's address first, GENAI_LLM_BASE_URL);
     $root/current/docs/install-offline.md says what else
  2. $root/bin/genai serve
     and as a service: $root/current/docs/install-offline.md"
else
  say "
Version $version is in $root; settings and data are as they were. Start the service again."
  [ ! -L "$root/previous" ] || say "Back: $root/current/install.sh --rollback $root"
fi
