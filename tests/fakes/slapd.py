"""A real OpenLDAP with the people of tests/corpora/company.ldif."""

import base64
import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.fakes.certificates import Authority
from tests.fakes.child import START_TIMEOUT_S, Child, find_program
from tests.fakes.services import free_port

SUFFIX = "dc=corp,dc=test"
PEOPLE = f"ou=people,{SUFFIX}"
GROUPS = f"ou=groups,{SUFFIX}"
PASSWORD = "Ключ: от сейфа 8"
SERVICE_DN, SERVICE_PASSWORD = f"cn=assistant,ou=system,{SUFFIX}", "service: reads only 7"
ROOT_DN, ROOT_PASSWORD = f"cn=root,{SUFFIX}", "root: of the tests"
COMPANY = Path(__file__).parents[1] / "corpora" / "company.ldif"

# simple_bind=128: a password in clear text is refused; the loading goes over a local socket
CONFIG = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload refint
moduleload ppolicy
TLSCACertificateFile {root}/tls/ca.pem
TLSCertificateFile {cert}
TLSCertificateKeyFile {key}
localSSF 256
security simple_bind=128
sizelimit 300
database mdb
suffix "{suffix}"
rootdn "{root_dn}"
rootpw "{root_password}"
directory {root}/data
dbnosync
index objectClass,uid,cn,member,uniqueMember,memberUid,entryUUID eq
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{service_dn}" read by * none
overlay memberof
overlay refint
refint_attributes member
overlay ppolicy
ppolicy_default "cn=standard,ou=system,{suffix}"
ppolicy_use_lockout
"""
ACCESS = "access to * by"  # the last rule of the above, which others go before


class SlapdServer:
    """A throwaway directory; the same ports and data over stop and start.

    Raises:
        RuntimeError: OpenLDAP is not installed, or does not start; the text says which.
    """

    def __init__(self) -> None:
        self._program = find_program("slapd", "slapd ldap-utils")
        self._root = Path(tempfile.mkdtemp(prefix="genai-slapd-"))
        self.port, self.ldaps_port = free_port(), free_port()
        self._local = "ldapi://" + str(self._root / "socket").replace("/", "%2F")
        self._child: Child | None = None
        authority = Authority(self._root / "tls")
        self.ca_file = authority.ca_file
        files = authority.issue("localhost", "127.0.0.1")
        (self._root / "data").mkdir()
        self._config = CONFIG.format(
            root=self._root,
            cert=files.cert,
            key=files.key,
            suffix=SUFFIX,
            root_dn=ROOT_DN,
            root_password=ROOT_PASSWORD,
            service_dn=SERVICE_DN,
        )
        (self._root / "slapd.conf").write_text(self._config)
        try:
            self.start()
            self.change(COMPANY.read_text(encoding="utf-8"))
        except BaseException:
            self.remove()
            raise

    @property
    def ldaps_url(self) -> str:
        return f"ldaps://127.0.0.1:{self.ldaps_port}"

    @property
    def start_tls_url(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    def settings(self, **overrides: object) -> dict[str, Any]:
        """The settings that name this directory."""
        return {
            "ldap_urls": (self.ldaps_url,),
            "ldap_bind_dn": SERVICE_DN,
            "ldap_bind_password": SERVICE_PASSWORD,
            "ldap_user_base": PEOPLE,
            "ldap_ca_file": self.ca_file,
            "ldap_allowed_groups": ("assistant-users",),
            "ldap_admin_groups": ("assistant-admins",),
            **overrides,
        }

    def start(self) -> None:
        """Returns when it listens."""
        listen = f"ldap://127.0.0.1:{self.port} {self.ldaps_url} {self._local}"
        self._child = Child(
            [self._program, "-d", "stats", "-f", str(self._root / "slapd.conf"), "-h", listen],
            ready="slapd starting",  # said a moment before it listens
            cwd=self._root,
        )
        until = time.monotonic() + START_TIMEOUT_S
        for port in (self.port, self.ldaps_port):
            while True:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                if not self._child.alive or time.monotonic() > until:
                    raise RuntimeError(f"slapd does not listen:\n{self._child.output}")
                time.sleep(0.01)

    def stop(self) -> None:
        if self._child is not None:
            self._child.end()

    def freeze(self) -> None:
        """It takes connections and answers nothing, until `thaw`."""
        assert self._child is not None
        self._child.freeze()

    def thaw(self) -> None:
        assert self._child is not None
        self._child.thaw()

    def change(self, ldif: str) -> None:
        """Apply LDIF records as the administrator: entries, or `changetype:` modify, modrdn ..."""
        done = subprocess.run(
            [
                *("ldapmodify", "-a", "-x", "-e", "relax", "-M", "-H", self._local),
                *("-D", ROOT_DN, "-w", ROOT_PASSWORD),
            ],
            input=ldif,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"ldapmodify failed:\n{done.stderr}")

    def set_mail(self, login: str, mail: str) -> None:
        entry = f"dn: {self.dn_of(login)}\nchangetype: modify\n"
        self.change(f"{entry}replace: mail\n" + (f"mail: {mail}\n" if mail else ""))

    def dn_of(self, login: str) -> str:
        """The DN of the one account below the people with that uid."""
        done = self._search(PEOPLE, f"(uid={login})", "dn")
        (line,) = [each for each in done.splitlines() if each.startswith(("dn: ", "dn:: "))]
        name, _, value = line.partition(" ")
        return base64.b64decode(value).decode() if name == "dn::" else value

    def rename_group(self, name: str, new_name: str) -> None:
        self.change(
            f"dn: cn={name},{GROUPS}\nchangetype: modrdn\nnewrdn: cn={new_name}\ndeleteoldrdn: 1\n"
        )

    def deny_service(self, dn: str, *, subtree: bool = False) -> None:
        """Hide an entry, with all below it or not, from the service account, by a restart."""
        style = "subtree" if subtree else "base"
        rule = f'access to dn.{style}="{dn}" by dn.exact="{SERVICE_DN}" none by * none'
        self._restart_with(self._config.replace(ACCESS, f"{rule}\n{ACCESS}"))

    def restore_rights(self) -> None:
        """Undo `deny_service`."""
        self._restart_with(self._config)

    def _restart_with(self, config: str) -> None:
        self.stop()
        (self._root / "slapd.conf").write_text(config)
        self.start()

    def look_up(self, base: str, criteria: str, attribute: str) -> str:
        """An attribute of the one entry that meets a filter."""
        done = self._search(base, criteria, attribute)
        (line,) = [each for each in done.splitlines() if each.startswith(f"{attribute}: ")]
        return line.partition(": ")[2]

    def _search(self, base: str, criteria: str, attribute: str) -> str:
        return subprocess.run(
            [
                *("ldapsearch", "-x", "-LLL", "-M", "-o", "ldif-wrap=no", "-H", self._local),
                *("-D", ROOT_DN, "-w", ROOT_PASSWORD, "-b", base, criteria, attribute),
            ],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout

    def remove(self) -> None:
        """Stop it and delete its data."""
        self.stop()
        shutil.rmtree(self._root)
