"""Country names and codes -> ISO 3166-1 alpha-2. Pure."""

from functools import lru_cache
from typing import Final

import phonenumbers

from identity.cleaning import words

# alpha-3 and the English, Spanish and own names of countries, where they differ from the alpha-2 code.
_NAMES: Final = {
    "AR": "arg argentina",
    "AT": "aut austria|osterreich",
    "AU": "aus australia",
    "BE": "bel belgium|belgica",
    "BG": "bgr bulgaria",
    "BO": "bol bolivia",
    "BR": "bra brazil|brasil",
    "CA": "can canada",
    "CH": "che switzerland|suiza|schweiz",
    "CL": "chl chile",
    "CN": "chn china",
    "CO": "col colombia",
    "CR": "cri costa rica",
    "CZ": "cze czechia|czech republic",
    "DE": "deu germany|alemania|deutschland",
    "DK": "dnk denmark|dinamarca",
    "EC": "ecu ecuador",
    "EG": "egy egypt|egipto",
    "ES": "esp spain|espana",
    "FI": "fin finland|finlandia",
    "FR": "fra france|francia",
    "GB": "gbr uk|united kingdom|great britain|england|scotland|wales|reino unido",
    "GR": "grc greece|grecia",
    "HK": "hkg hong kong",
    "HU": "hun hungary",
    "IE": "irl ireland|irlanda",
    "IL": "isr israel",
    "IN": "ind india",
    "IT": "ita italy|italia",
    "JP": "jpn japan|japon",
    "KH": "khm cambodia",
    "KR": "kor south korea|corea del sur",
    "LI": "lie liechtenstein|lichtenstein",
    "LU": "lux luxembourg",
    "MA": "mar morocco|marruecos",
    "MX": "mex mexico",
    "NL": "nld netherlands|the netherlands|holland|paises bajos",
    "NO": "nor norway|noruega",
    "NZ": "nzl new zealand",
    "PA": "pan panama",
    "PE": "per peru",
    "PK": "pak pakistan",
    "PL": "pol poland|polonia",
    "PT": "prt portugal",
    "PY": "pry paraguay",
    "RO": "rou romania",
    "RU": "rus russia|rusia",
    "SE": "swe sweden|suecia",
    "SG": "sgp singapore",
    "TR": "tur turkey|turkiye|turquia",
    "UA": "ukr ukraine",
    "US": "usa united states|united states of america|u s a|u s|estados unidos|america",
    "UY": "ury uruguay",
    "VE": "ven venezuela",
    "ZA": "zaf south africa|sudafrica",
}

_CODES: Final = {
    alias: code
    for code, names in _NAMES.items()
    for alias in (names.split(" ", 1)[0], *names.split(" ", 1)[1].split("|"))
}


@lru_cache(maxsize=4096)
def country_code(raw: str) -> str | None:
    """Return the alpha-2 code of a country's code or name, or None where it is not known."""
    text = words(raw)
    if len(text) == 2 and text.upper() in phonenumbers.SUPPORTED_REGIONS:
        return text.upper()
    return _CODES.get(text)
