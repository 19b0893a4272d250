"""E-mail addresses, phone numbers and social handles -> one normal form each. Pure.

`phonenumbers` and `email-validator` decide; the patterns in front of them accept only what those
libraries would answer in the same way (tests compare the two).
"""

import re
from typing import Final

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from identity.cleaning import visible

_PLAIN_EMAIL = re.compile(
    r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*@(?:[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?\.){1,4}[a-z]{2,12}"
)
_SUSPECT_DOMAIN = re.compile(r"@xn--|\.xn--|@..--|\...--")  # internationalised labels go to the library
_LONGEST_EMAIL: Final = 320  # 64 of the local part, the at-sign, 255 of the domain (RFC 5321, 4.5.3.1)

_NANP = re.compile(r"(\+?1)?[ .-]?\(?([2-9]\d{2})\)?[ .-]?([2-9]\d{2})[ .-]?(\d{4})")
_NANP_REGIONS: Final = frozenset({"US", "CA"})
# Countries without a trunk prefix or of one length: calling code, and what a national number looks like.
_PLAIN_NUMBERS: Final = {"ES": r"34[6-9]\d{8}", "PT": r"351[29]\d{8}", "FR": r"33[1-9]\d{8}"}
_INTERNATIONAL = re.compile(rf"\+(?:{'|'.join(_PLAIN_NUMBERS.values())})", re.ASCII)
_SPANISH = re.compile(r"[6-9]\d{8}", re.ASCII)
_GROUPING: Final = str.maketrans("", "", " -.")
_NON_DIGIT = re.compile(r"\D+")


def email(raw: str) -> str | None:
    """Return the address in lower case, or None where it is no address.

    Left out: a display name (`Ann <a@b.org>`) and the subaddress (`+tag`), which reach the same mailbox.
    More than 320 characters are no address, whatever they say.
    """
    if len(raw) > _LONGEST_EMAIL:
        return None
    text = visible(raw).casefold()
    if text.endswith(">"):
        text = text[text.rfind("<") + 1 : -1]
    local, at, domain = text.partition("@")
    if "+" in local:
        text = local.partition("+")[0] + at + domain
    if _PLAIN_EMAIL.fullmatch(text) and text.index("@") <= 64 and not _SUSPECT_DOMAIN.search(text):
        return text
    return _checked_email(text)


def _checked_email(text: str) -> str | None:
    try:
        checked = validate_email(text, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError:
        return None
    return checked.normalized.casefold()


def phone(raw: str, region: str | None) -> str | None:
    """Return the number in E.164 (with `x` and its extension), or its 7 to 15 digits, or None.

    `region` is the ISO 3166 country whose national numbers are assumed. A number that can't be placed
    in a country keeps its digits: it still compares with others written alike.
    """
    match = _NANP.fullmatch(raw)
    if match and (match[1] == "+1" or (region in _NANP_REGIONS and match[1] in {None, "1"})):
        return f"+1{match[2]}{match[3]}{match[4]}"
    joined = raw.translate(_GROUPING)
    if _INTERNATIONAL.fullmatch(joined):
        return joined
    if region == "ES" and _SPANISH.fullmatch(joined):
        return f"+34{joined}"
    return _parsed_phone(visible(raw), region)


def _parsed_phone(text: str, region: str | None) -> str | None:
    digits = _NON_DIGIT.sub("", text)
    if len(digits) < 7:
        return None
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return digits if len(digits) <= 15 else None
    if not phonenumbers.is_possible_number(number):
        return digits if len(digits) <= 15 else None
    plain = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{plain}x{number.extension}" if number.extension else plain


def social_handle(raw: str) -> str | None:
    """Return the handle in lower case without `@`; of a profile's URL its last part."""
    text = visible(raw).casefold().rstrip("/")
    handle = text.rsplit("/", 1)[-1].lstrip("@").strip()
    return handle or None
