"""A real Active Directory: Samba's domain controller, LDAP only, on a loopback address of its own.

The domain is made once per version of Samba and of the accounts (15 s) and kept, packed, in
/var/tmp; later runs unpack it.
"""

import contextlib
import hashlib
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import time
import uuid
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import ldap3  # pyright: ignore[reportMissingTypeStubs]

from tests.fakes.certificates import Authority
from tests.fakes.child import START_TIMEOUT_S, Child, find_program, search_path

_ldap3: Any = ldap3

PACKAGES = (
    "samba samba-ad-provision samba-dsdb-modules samba-vfs-modules winbind python3-samba "
    "ldb-tools attr"
)
DOMAIN = "DC=corp,DC=test"
PEOPLE = f"OU=Сотрудники,{DOMAIN}"
GROUPS = f"OU=Группы,{DOMAIN}"
PASSWORD = "Ключ: от сейфа 8"
SERVICE_DN, SERVICE_PASSWORD = f"CN=assistant,OU=Служебные,{DOMAIN}", "service: reads only 7"
ADMIN, ADMIN_PASSWORD = "administrator@corp.test", "Admin: of the tests 9"
ACCOUNTS = Path(__file__).with_name("samba_accounts.py")
KEPT = Path("/var/tmp")
SYSTEM_PYTHON = "/usr/bin/python3"
ONLY_DACL = ("1.2.840.113556.1.4.801", True, b"\x30\x03\x02\x01\x04")  # LDAP_SERVER_SD_FLAGS


class SambaServer:
    """A throwaway domain controller; the same data over stop and start. Needs root.

    Raises:
        RuntimeError: Samba is not installed, or does not start; the text says which.
    """

    def __init__(self) -> None:
        self._program = find_program("samba", PACKAGES)
        find_program("samba-tool", PACKAGES)
        if os.geteuid() != 0:
            raise RuntimeError("Samba's domain controller runs as root only")
        self._root = Path(tempfile.mkdtemp(prefix="genai-samba-"))
        self.address = _free_address()
        self._child: Child | None = None
        authority = Authority(self._root / "tls")
        self.ca_file = authority.ca_file
        files = authority.issue("dc1.corp.test", "localhost", self.address)
        for name in ("run", "ncalrpc", "lock"):
            (self._root / name).mkdir()
        self._options = {
            "server services": "ldap",
            "interfaces": f"{self.address}/8",  # without a mask it finds no network
            "bind interfaces only": "yes",
            "tls cafile": self.ca_file,
            "tls certfile": files.cert,
            "tls keyfile": files.key,
            "pid directory": self._root / "run",
            "ncalrpc dir": self._root / "ncalrpc",
            "lock directory": self._root / "lock",
            "log file": self._root / "log",
            "dns update command": "/bin/true",
        }
        try:
            self._unpack()
            self.start()
        except BaseException:
            self.remove()
            raise

    @property
    def url(self) -> str:
        return f"ldaps://{self.address}"

    @property
    def start_tls_url(self) -> str:
        return f"ldap://{self.address}"

    def settings(self, **overrides: object) -> dict[str, Any]:
        """The settings that name this directory."""
        return {
            "ldap_urls": (self.url,),
            "ldap_bind_dn": SERVICE_DN,
            "ldap_bind_password": SERVICE_PASSWORD,
            "ldap_user_base": PEOPLE,
            "ldap_ca_file": self.ca_file,
            "ldap_allowed_groups": ("assistant-users",),
            "ldap_admin_groups": ("assistant-admins",),
            **overrides,
        }

    def start(self) -> None:
        """Returns when its ports are open."""
        command = [self._program, "-i", "-M", "single", "-d", "1"]
        command += ["-s", str(self._root / "domain/etc/smb.conf")]
        command += [f"--option={name}={value}" for name, value in self._options.items()]
        self._child = Child(command, ready="started.", cwd=self._root, env=self._environment())
        until = time.monotonic() + START_TIMEOUT_S
        while True:  # it says nothing when it listens
            with contextlib.suppress(OSError):
                socket.create_connection((self.address, 636), 1).close()
                return
            if not self._child.alive or time.monotonic() > until:
                raise RuntimeError(f"Samba does not listen:\n{self._child.output}")
            time.sleep(0.05)

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

    def remove(self) -> None:
        """Stop it and delete its data."""
        self.stop()
        shutil.rmtree(self._root)

    def disable(self, login: str) -> None:
        self.change(login, userAccountControl="514")

    def enable(self, login: str) -> None:
        self.change(login, userAccountControl="512")

    def change(self, login: str, **attributes: str) -> None:
        """Replace attributes; an empty value removes one."""
        with self._administrator() as admin:
            changes = {
                name: [(_ldap3.MODIFY_REPLACE, [value] if value else [])]
                for name, value in attributes.items()
            }
            _must(admin, admin.modify(self._dn(admin, login), changes))

    def change_bytes(self, login: str, **attributes: bytes) -> None:
        """Replace attributes that are no text."""
        with self._administrator() as admin:
            changes = {
                name: [(_ldap3.MODIFY_REPLACE, [value])] for name, value in attributes.items()
            }
            _must(admin, admin.modify(self._dn(admin, login), changes))

    def set_mail(self, login: str, mail: str) -> None:
        self.change(login, mail=mail)

    def rename_group(self, name: str, new_name: str) -> None:
        """Its DN and its login; the SID stays."""
        with self._administrator() as admin:
            dn = f"CN={name},{GROUPS}"
            _must(admin, admin.modify_dn(dn, f"CN={new_name}"))
            changes = {"sAMAccountName": [(_ldap3.MODIFY_REPLACE, [new_name])]}
            _must(admin, admin.modify(f"CN={new_name},{GROUPS}", changes))

    def deny_service(self, dn: str, mask: int) -> bytes:
        """Take rights on one entry from the service account. Returns what `restore_rights` needs.

        Args:
            mask: of [MS-ADTS] 5.1.3.2: 0x4 lists the entries in it, 0x10 reads its attributes.
        """
        with self._administrator() as admin:
            sid = _read(admin, SERVICE_DN, "objectSid")
            descriptor = _read(admin, dn, "nTSecurityDescriptor")
            _write_rights(
                admin, dn, descriptor, struct.pack("<BBHI", 1, 0, 8 + len(sid), mask) + sid
            )
        return descriptor

    def restore_rights(self, dn: str, descriptor: bytes) -> None:
        """Undo `deny_service`."""
        with self._administrator() as admin:
            _write_rights(admin, dn, descriptor)

    def set_domain(self, **attributes: str) -> None:
        """Replace attributes of the domain itself."""
        with self._administrator() as admin:
            changes = {
                name: [(_ldap3.MODIFY_REPLACE, [value])] for name, value in attributes.items()
            }
            _must(admin, admin.modify(DOMAIN, changes))

    def set_groups(self, login: str, groups: Sequence[str]) -> None:
        """The groups of the tests that the account is directly in."""
        with self._administrator() as admin:
            dn = self._dn(admin, login)
            admin.search(GROUPS, "(objectClass=group)", attributes=["sAMAccountName", "member"])
            rows = [row for row in admin.response if row["type"] == "searchResEntry"]
            for row in rows:
                name = row["raw_attributes"]["sAMAccountName"][0].decode()
                members = [each.decode() for each in row["raw_attributes"]["member"]]
                if (name in groups) != (dn in members):
                    how = _ldap3.MODIFY_ADD if name in groups else _ldap3.MODIFY_DELETE
                    _must(admin, admin.modify(row["dn"], {"member": [(how, [dn])]}))

    def rename(self, login: str, *, new_login: str, new_cn: str) -> None:
        """A new surname: another DN and another login, the same objectGUID."""
        with self._administrator() as admin:
            _must(admin, admin.modify_dn(self._dn(admin, login), f"CN={new_cn}"))
            names = {"sAMAccountName": new_login, "userPrincipalName": f"{new_login}@corp.test"}
            changes = {name: [(_ldap3.MODIFY_REPLACE, [value])] for name, value in names.items()}
            _must(admin, admin.modify(self._dn(admin, login), changes))

    def move(self, login: str, folder: str) -> None:
        """Into another organizational unit."""
        with self._administrator() as admin:
            dn = self._dn(admin, login)
            name = re.split(r"(?<!\\),", dn)[0]
            _must(admin, admin.modify_dn(dn, name, new_superior=folder))

    def wrong_tries(self, login: str) -> int:
        """The wrong passwords in a row that it counts for an account."""
        with self._administrator() as admin:
            return int(_read(admin, self._dn(admin, login), "badPwdCount"))

    def id_of(self, login: str) -> str:
        """The objectGUID of an account."""
        with self._administrator() as admin:
            admin.search(self._dn(admin, login), "(objectClass=*)", attributes=["objectGUID"])
            raw = admin.response[0]["raw_attributes"]["objectGUID"][0]
        return str(uuid.UUID(bytes_le=raw))

    @contextlib.contextmanager
    def _administrator(self) -> Generator[Any]:
        # this process started the server; ldap3's own check of names is deprecated on Python 3.11
        tls = _ldap3.Tls(validate=ssl.CERT_NONE)
        server = _ldap3.Server(self.address, use_ssl=True, tls=tls, get_info=_ldap3.NONE)
        link = _ldap3.Connection(
            server, ADMIN, ADMIN_PASSWORD, auto_referrals=False, check_names=False
        )
        try:
            _must(link, link.bind())
            yield link
        finally:
            link.unbind()

    def _dn(self, admin: Any, login: str) -> str:
        admin.search(DOMAIN, f"(sAMAccountName={login})", attributes=["1.1"])
        (dn,) = [row["dn"] for row in admin.response if row["type"] == "searchResEntry"]
        return str(dn)

    def _unpack(self) -> None:
        version = subprocess.run(
            [self._program, "--version"], capture_output=True, text=True, check=True
        ).stdout.split()[-1]
        state = hashlib.sha256(ACCOUNTS.read_bytes() + Path(__file__).read_bytes()).hexdigest()
        cache = KEPT / f"genai-samba-cache-{version}"
        packed = cache / f"{state[:16]}.tar"
        domain = self._root / "domain"
        xattrs = ("--xattrs", "--xattrs-include=*")
        if packed.exists():
            domain.mkdir()
            _run(["tar", *xattrs, "-xf", str(packed), "-C", str(domain)])
        else:
            self._provision(domain)
            (domain / "origin").write_text(str(domain))
            cache.mkdir(mode=0o700, exist_ok=True)
            made = cache / f"{self._root.name}.part"
            _run(["tar", *xattrs, "-cf", str(made), "-C", str(domain), "."])
            for old in cache.glob("*.tar"):
                old.unlink(missing_ok=True)
            made.rename(packed)  # whole, or not there
        config = domain / "etc/smb.conf"
        origin = (domain / "origin").read_text()
        config.write_text(config.read_text().replace(origin, str(domain)))

    def _provision(self, domain: Path) -> None:
        domain.mkdir()
        options = (f"interfaces={self.address}/8", "bind interfaces only=yes", "log file=/dev/null")
        environment = self._environment()
        _run(
            [
                *("samba-tool", "domain", "provision", f"--targetdir={domain}"),
                *("--realm=CORP.TEST", "--domain=CORP", "--server-role=dc", "--dns-backend=NONE"),
                *("--host-name=dc1", f"--host-ip={self.address}"),
                f"--adminpass={ADMIN_PASSWORD}",
                *(f"--option={each}" for each in options),
            ],
            environment,
        )
        config = str(domain / "etc/smb.conf")
        _run([SYSTEM_PYTHON, str(ACCOUNTS), config, PASSWORD, SERVICE_PASSWORD], environment)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": search_path(),
            "LC_ALL": "C.UTF-8",
            "TMPDIR": str(self._root),
            "PYTHONDONTWRITEBYTECODE": "1",
        }


def _read(admin: Any, dn: str, attribute: str) -> bytes:
    admin.search(dn, "(objectClass=*)", _ldap3.BASE, attributes=[attribute], controls=[ONLY_DACL])
    return admin.response[0]["raw_attributes"][attribute][0]


def _write_rights(admin: Any, dn: str, descriptor: bytes, first: bytes = b"") -> None:
    """Write the access list of a security descriptor ([MS-DTYP] 2.4.6), with one more entry before
    the others."""
    (at,) = struct.unpack("<I", descriptor[16:20])
    revision, _, size, count, _ = struct.unpack("<BBHHH", descriptor[at : at + 8])
    entries = first + descriptor[at + 8 : at + size]
    rights = struct.pack("<BBHHH", revision, 0, 8 + len(entries), count + bool(first), 0) + entries
    (flags,) = struct.unpack("<H", descriptor[2:4])
    # self-relative, with a DACL that is as inherited as it was
    head = struct.pack("<BBHIIII", 1, 0, 0x8004 | flags & 0x1400, 0, 0, 0, 20)
    changes = {"nTSecurityDescriptor": [(_ldap3.MODIFY_REPLACE, [head + rights])]}
    _must(admin, admin.modify(dn, changes, controls=[ONLY_DACL]))


def _must(link: Any, done: bool) -> None:
    if not done:
        raise RuntimeError(f"Samba refused: {link.result}")


def _run(command: Sequence[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=180,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")


def _free_address() -> str:
    """A loopback address whose port 389 nobody holds: Samba's ports are fixed."""
    start = os.getpid()
    for step in range(200):
        number = (start + step * 7) % 60_000
        address = f"127.77.{number // 250}.{number % 250 + 1}"
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((address, 389))
            return address
    raise RuntimeError("no loopback address is free for Samba")
