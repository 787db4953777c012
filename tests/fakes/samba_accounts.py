"""Puts the people of the tests into the database of a new Samba domain, before its first start.

Runs by itself under the system's Python, for which Debian builds Samba's modules:
`samba_accounts.py SMB_CONF PASSWORD SERVICE_PASSWORD`.
"""

# pyright: basic, reportMissingImports=false

import base64
import sys

import ldb
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB

DOMAIN = "DC=corp,DC=test"
PEOPLE = f"OU=Сотрудники,{DOMAIN}"
GROUPS = f"OU=Группы,{DOMAIN}"
SYSTEM = f"OU=Служебные,{DOMAIN}"
SECURITY, MAILING_LIST = "-2147483646", "2"  # global groups
LONG_AGO = "125911584000000000"  # the year 2000, in tenths of a microsecond since 1601
SET_LONG_AGO = "local_oid:1.3.6.1.4.1.7165.4.3.20:0"  # lets an import say when a password was set


class Company:
    """Adds accounts and groups to `database`."""

    def __init__(self, database, password):
        self._db, self._password = database, password

    def person(self, login, cn, folder=PEOPLE, *, password="", **attributes):
        dn = ldb.Dn(self._db, folder)
        dn.add_child(ldb.Dn(self._db, f"CN={cn}"))
        self._db.add(
            {
                "dn": dn,
                "objectClass": "user",
                "sAMAccountName": login,
                "userPrincipalName": f"{login}@corp.test",
                "userAccountControl": "514",  # disabled, until it has a password
                **attributes,
            }
        )
        self._db.setpassword(
            f"(sAMAccountName={login})",
            password or self._password,
            force_change_at_next_login=login == "newcomer",
        )
        return str(dn)

    def group(self, name, members, kind=SECURITY):
        dn = f"CN={name},{GROUPS}"
        self._db.add({"dn": dn, "objectClass": "group", "sAMAccountName": name, "groupType": kind})
        for member in members:
            self.change(dn, f"add: member\nmember:: {_base64(member)}")
        return dn

    def change(self, dn, text):
        self._db.modify_ldif(f"dn:: {_base64(dn)}\nchangetype: modify\n{text}\n")


def _base64(text):
    return base64.b64encode(text.encode()).decode()


def main(conf, password, service_password):
    settings = LoadParm()
    settings.load(conf)
    database = SamDB(
        url=settings.private_path("sam.ldb"), session_info=system_session(), lp=settings
    )
    company = Company(database, password)
    for folder in (PEOPLE, GROUPS, SYSTEM):
        database.add({"dn": folder, "objectClass": "organizationalUnit"})
    database.set_minPwdAge("0")
    company.change(
        DOMAIN,
        "replace: lockoutThreshold\nlockoutThreshold: 5\n-\n"
        "replace: lockoutDuration\nlockoutDuration: -18000000000\n-\n"
        "replace: lockOutObservationWindow\nlockOutObservationWindow: -18000000000",
    )

    person, group = company.person, company.group
    person("assistant", "assistant", SYSTEM, password=service_password)
    ivanov = person("ivanov", "Пётр Иванов", displayName="Иванов Пётр Ильич", mail="o@corp.test")
    # her UPN does not begin with her login
    smirnova = person(
        "osmirnova", "Ольга Смирнова", mail="o@corp.test", userPrincipalName="olga@corp.test"
    )
    kuznetsov = person("kuznetsov", "Илья Кузнецов (мл.)")
    li = person("li", "Ли\\, Мария")
    primary = person("primary", "Вид Основной")
    person("outsider", "Роман Сторонний")
    movable = person("movable", "Зоя Подвижная")
    disabled = person("disabled", "Вера Ушедшая")
    person("newcomer", "Нина Новенькая")
    person("expired", "Семён Временный", accountExpires=LONG_AGO)
    person("night", "Ким Ночной", logonHours=bytes(21))
    person("desk", "Ян Кабинетный", userWorkstations="PC-77")
    person("locked", "Глеб Забывчивый")
    oldpassword = person("oldpassword", "Ада Давняя")
    database.disable_account("(sAMAccountName=disabled)")  # setpassword enables

    sales = group("sales", [smirnova])
    commerce = group("Торговля (опт)", [sales])
    crew = group("crew", [])
    post = group("post", [li], MAILING_LIST)
    ring_a = group("ring-a", [kuznetsov])
    ring_b = group("ring-b", [ring_a])
    company.change(ring_a, f"add: member\nmember:: {_base64(ring_b)}")
    users = [ivanov, commerce, crew, kuznetsov, movable, disabled]
    group("assistant-users", users)
    group("assistant-admins", [ivanov])
    group("assistant-post", [post, crew], MAILING_LIST)
    group("crew-of-one", [primary])
    company.change(crew, f"add: member\nmember:: {_base64(primary)}")
    row = database.search(base=crew, scope=ldb.SCOPE_BASE, attrs=["objectSid"])[0]
    rid = int.from_bytes(bytes(row["objectSid"][0])[-4:], "little")
    company.change(primary, f"replace: primaryGroupID\nprimaryGroupID: {rid}")

    # Samba ignores an age of a day or less
    database.add(
        {
            "dn": f"CN=short,CN=Password Settings Container,CN=System,{DOMAIN}",
            "objectClass": "msDS-PasswordSettings",
            "msDS-PasswordSettingsPrecedence": "1",
            "msDS-PasswordReversibleEncryptionEnabled": "FALSE",
            "msDS-PasswordHistoryLength": "0",
            "msDS-PasswordComplexityEnabled": "FALSE",
            "msDS-MinimumPasswordLength": "1",
            "msDS-MinimumPasswordAge": "0",
            "msDS-MaximumPasswordAge": "-36288000000000",
            "msDS-LockoutThreshold": "0",
            "msDS-LockoutObservationWindow": "-18000000000",
            "msDS-LockoutDuration": "-18000000000",
            "msDS-PSOAppliesTo": oldpassword,
        }
    )
    message = ldb.Message()
    message.dn = ldb.Dn(database, oldpassword)
    message["pwdLastSet"] = ldb.MessageElement(LONG_AGO, ldb.FLAG_MOD_REPLACE, "pwdLastSet")
    database.modify(message, controls=[SET_LONG_AGO])


if __name__ == "__main__":
    main(*sys.argv[1:])
