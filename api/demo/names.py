"""Names, places and contact ranges of the fictional customers. All of our own making; no real person.

Frequencies fall as in real populations: a few names are very common and a long tail is rare. E-mail
domains are those RFC 2606 reserves. Phone numbers are from the ranges that Ofcom (United Kingdom) and
the North American plan (555-01xx) keep for fiction; Spain keeps none, so its numbers are random. National
numbers are from ranges that no authority issues.
"""

from collections.abc import Sequence
from typing import Final


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ES_MEN: Final = _words(
    "Antonio Manuel José Francisco David Juan Javier Daniel Carlos Jesús Alejandro Miguel Rafael Pedro "
    "Ángel Pablo Sergio Fernando Jorge Luis Alberto Álvaro Adrián Diego Raúl Iván Rubén Enrique Óscar "
    "Ramón Vicente Andrés Joaquín Santiago Víctor Mario Eduardo Roberto Jaime Ignacio Marcos Salvador "
    "Ricardo Emilio Hugo Gabriel Julián Tomás Agustín Félix Gonzalo Nicolás Martín Guillermo Cristian "
    "Lorenzo Mateo Sebastián Esteban Ismael Rodrigo Héctor Germán Leandro Fermín Eusebio Baltasar Telmo"
)
ES_WOMEN: Final = _words(
    "María Carmen Ana Isabel Laura Cristina Marta Lucía Pilar Dolores Teresa Rosa Elena Paula Raquel Sara "
    "Mercedes Beatriz Rocío Silvia Patricia Irene Nuria Sonia Julia Andrea Alba Montserrat Encarnación "
    "Inés Yolanda Concepción Mónica Eva Susana Victoria Claudia Natalia Margarita Lorena Verónica "
    "Inmaculada Noelia Esther Carolina Ángela Amparo Sofía Martina Daniela Consuelo Celia Olga Lidia "
    "Gloria Fátima Ainhoa Aurora Blanca Jimena Valeria Estrella Macarena Remedios Leire Candela Maite "
    "Begoña"
)
EN_MEN: Final = _words(
    "James John Robert Michael William David Richard Joseph Thomas Christopher Charles Daniel Matthew "
    "Anthony Mark Steven Paul Andrew Joshua Kenneth Kevin Brian George Timothy Edward Ronald Jason "
    "Jeffrey Ryan Jacob Gary Nicholas Eric Jonathan Stephen Larry Justin Scott Brandon Benjamin Samuel "
    "Gregory Alexander Frank Patrick Raymond Jack Dennis Peter Tyler Aaron Henry Douglas Nathan Adam "
    "Zachary Walter Kyle Harold Carl Arthur Roger Keith Lawrence Terry Albert Oliver Simon Graham Duncan "
    "Rupert Alistair Winston"
)
EN_WOMEN: Final = _words(
    "Mary Patricia Jennifer Linda Elizabeth Barbara Susan Jessica Sarah Karen Lisa Nancy Margaret Sandra "
    "Ashley Kimberly Emily Donna Michelle Carol Amanda Dorothy Melissa Deborah Stephanie Rebecca Sharon "
    "Laura Cynthia Kathleen Amy Angela Shirley Anna Brenda Pamela Emma Nicole Helen Samantha Katherine "
    "Christine Rachel Carolyn Janet Catherine Maria Heather Diane Ruth Julie Olivia Joyce Virginia "
    "Victoria Kelly Lauren Christina Joan Evelyn Judith Megan Andrea Cheryl Hannah Martha Gillian Fiona "
    "Philippa Imogen"
)
ES_COMMON_SURNAMES: Final = _words(
    "García Rodríguez González Fernández López Martínez Sánchez Pérez Gómez Martín Jiménez Ruiz Hernández "
    "Díaz Moreno Muñoz Álvarez Romero Alonso Gutiérrez Navarro Torres Domínguez Vázquez Ramos Gil Ramírez "
    "Serrano Blanco Molina Morales Suárez Ortega Delgado Castro Ortiz Rubio Marín Sanz Núñez Iglesias "
    "Medina Garrido Cortés Castillo Santos Lozano Guerrero Cano Prieto Méndez Cruz Calvo Gallego Vidal "
    "León Márquez Herrera Peña Flores Cabrera Campos Vega Fuentes Carrasco Diez Caballero Reyes Nieto "
    "Aguilar Pascual Santana"
)
EN_COMMON_SURNAMES: Final = _words(
    "Smith Johnson Williams Brown Jones Miller Davis Wilson Anderson Taylor Thomas Moore Jackson Martin "
    "Lee Thompson White Harris Clark Lewis Robinson Walker Young Allen King Wright Scott Hill Green Adams "
    "Nelson Baker Hall Campbell Mitchell Carter Roberts Phillips Evans Turner Parker Collins Edwards "
    "Stewart Morris Murphy Cook Rogers Morgan Cooper Peterson Reed Bailey Bell Kelly Howard Ward Cox "
    "Richardson Wood Watson Brooks Bennett Gray Hughes Price Myers Foster Sanders Ross Powell Sullivan "
    "Russell Fisher Henderson"
)

# Rare surnames are put together from parts, as toponyms are: thousands without a list of thousands.
_ES_STEMS: Final = _words(
    "Al Ar Bal Bar Ben Ber Bo Bu Cal Can Car Cas Cer Co Cor Cue Do Es Fer For Ga Gue Her Ila Jar La Lar "
    "Ler Lo Ma Mar Men Mi Mon Mor Na No Ol Or Pa Pe Pi Pon Que Ri Ro Sal San Se Sor Ta Ter To Ur Va Ver "
    "Vi Za Zu"
)
_ES_ENDINGS: Final = _words(
    "badejo rabal daña gosa meda nilla rrero ldizar tejón varría queda llosa rinas mendi ñuela zabal ceda "
    "driales lantero mosa tondo yuela"
)
_EN_STEMS: Final = _words(
    "Ash Beck Black Brad Brook Burn Cald Chad Clay Cole Crom Dal Den Ding Dray East Elm Fair Farn Fen "
    "Glen Gold Hard Hart Hazel Hether Hol Hunt Ken King Lang Lin Lock Long Marl Mar Mill New North Nor "
    "Oak Old Pen Pick Rad Red Rip Rock Row Sher Stan Stock Thorn Thur Under Wake Wal War West Whit Win "
    "Wood Wyn"
)
_EN_ENDINGS: Final = _words(
    "berry bourne bridge brook bury by combe croft dale den field ford ham hurst land ley low mere more "
    "rick shaw stead stone thorpe ton ville wick wood worth"
)

NICKNAMES: Final[dict[str, tuple[str, ...]]] = {
    "Antonio": ("Toño", "Antón"), "Manuel": ("Manolo", "Manu"), "José": ("Pepe",),
    "Francisco": ("Paco", "Fran"), "Javier": ("Javi",), "Daniel": ("Dani", "Dan"), "Jesús": ("Chus",),
    "Alejandro": ("Álex",), "Rafael": ("Rafa",), "Ignacio": ("Nacho",), "Enrique": ("Quique",),
    "Santiago": ("Santi",), "Guillermo": ("Guille",), "Eduardo": ("Edu",), "Dolores": ("Lola",),
    "Mercedes": ("Merche",), "Pilar": ("Pili",), "Isabel": ("Isa",), "Concepción": ("Concha",),
    "Encarnación": ("Encarna",), "Inmaculada": ("Inma",), "Teresa": ("Maite", "Tere"),
    "Montserrat": ("Montse",), "Beatriz": ("Bea",), "Margarita": ("Marga",), "Consuelo": ("Chelo",),
    "James": ("Jim", "Jamie"), "John": ("Jack", "Johnny"), "Robert": ("Bob", "Rob"), "Michael": ("Mike",),
    "William": ("Bill", "Will"), "Richard": ("Dick", "Rich"), "Joseph": ("Joe",), "Thomas": ("Tom",),
    "Christopher": ("Chris",), "Charles": ("Charlie",), "Matthew": ("Matt",), "Anthony": ("Tony",),
    "Steven": ("Steve",), "Andrew": ("Andy", "Drew"), "Edward": ("Ted", "Ed"), "Benjamin": ("Ben",),
    "Samuel": ("Sam",), "Alexander": ("Alex", "Sandy"), "Elizabeth": ("Liz", "Beth"), "Jennifer": ("Jen",),
    "Margaret": ("Peggy", "Maggie"), "Katherine": ("Kate", "Kathy"), "Patricia": ("Pat", "Patty"),
    "Deborah": ("Debbie",), "Rebecca": ("Becky",), "Kimberly": ("Kim",), "Susan": ("Sue",),
    "Barbara": ("Barb",), "Jessica": ("Jess",), "Stephanie": ("Steph",), "Christine": ("Chris", "Tina"),
    "Samantha": ("Sam",),
}  # fmt: skip

ES_STREETS: Final = tuple(
    f"{kind} {name}"
    for kind in ("Calle", "Avenida", "Plaza", "Paseo", "Camino")
    for name in (
        "Mayor", "Real", "de la Constitución", "del Sol", "de los Olivos", "Nueva", "de Cervantes",
        "San Juan",
        "de la Paz", "del Prado", "de las Flores", "del Carmen", "Ancha", "de Goya", "del Puerto",
        "La Fuente",
        "de Extremadura", "de la Iglesia", "del Molino", "Santa Ana", "de Colón", "de Aragón", "del Río",
    )
)  # fmt: skip
EN_STREETS: Final = tuple(
    f"{name} {kind}"
    for kind in ("Street", "Road", "Avenue", "Lane", "Close", "Drive")
    for name in (
        "Oak", "High", "Station", "Church", "Maple", "Victoria", "Park", "Mill", "Green", "Chestnut", "Manor",
        "Kings", "Cedar", "Elm", "Grove", "Orchard", "Springfield", "Meadow", "Bridge", "Highland", "Lake",
    )
)  # fmt: skip

# City and the first characters of its postcodes.
CITIES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "ES": (
        ("Madrid", "28"), ("Barcelona", "08"), ("Valencia", "46"), ("Sevilla", "41"), ("Zaragoza", "50"),
        ("Málaga", "29"), ("Murcia", "30"), ("Palma", "07"), ("Bilbao", "48"), ("Alicante", "03"),
        ("Córdoba", "14"), ("Valladolid", "47"), ("Vigo", "36"), ("Gijón", "33"), ("A Coruña", "15"),
        ("Granada", "18"), ("Cádiz", "11"), ("León", "24"), ("Cáceres", "10"), ("Logroño", "26"),
    ),
    "US": (
        ("Springfield", "627"), ("Columbus", "432"), ("Austin", "787"), ("Denver", "802"),
        ("Portland", "972"),
        ("Miami", "331"), ("Phoenix", "850"), ("Albany", "122"), ("Boise", "837"), ("Omaha", "681"),
        ("Tucson", "857"), ("Raleigh", "276"), ("Madison", "537"), ("Salem", "973"), ("Santa Fe", "875"),
    ),
    "GB": (
        ("Leeds", "LS"), ("Sheffield", "S"), ("Nottingham", "NG"), ("Leicester", "LE"), ("Bristol", "BS"),
        ("Reading", "RG"), ("Birmingham", "B"), ("Edinburgh", "EH"), ("Glasgow", "G"), ("Liverpool", "L"),
        ("Manchester", "M"), ("London", "SE"), ("Newcastle", "NE"), ("Belfast", "BT"), ("Cardiff", "CF"),
    ),
}  # fmt: skip

# Ofcom's numbers for drama: each stem is followed by 000 to 999 (the mobile range first).
GB_FICTION_STEMS: Final = (
    "7700900", "1134960", "1144960", "1154960", "1164960", "1174960", "1184960", "1214960", "1314960",
    "1414960", "1514960", "1614960", "2079460", "1914980", "2896496", "2920180", "1632960",
)  # fmt: skip

# Area codes in use in the United States; 555-0100 to 555-0199 is kept for fiction in each.
US_AREA_CODES: Final = _words(
    "201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 224 225 228 229 231 234 239 240 "
    "248 251 252 253 254 256 260 262 267 269 270 276 281 301 302 303 304 305 307 308 309 310 312 313 314 "
    "315 316 317 318 319 320 321 323 325 330 334 336 337 347 351 352 360 361 386 401 402 404 405 406 407 "
    "408 409 410 412 413 414 415 417 419 423 424 425 432 434 435 440 443 469 478 479 480 484 501 502 503 "
    "504 505 507 508 509 510 512 513 515 516 517 518 520 530 540 541 551 559 561 562 563 567 570 571 573 "
    "574 580 585 586 601 602 603 605 606 607 608 609 610 612 614 615 616 617 618 619 620 623 626 630 631 "
    "636 641 646 650 651 660 661 662 678 682 701 702 703 704 706 707 708 712 713 714 715 716 717 718 719 "
    "720 724 727 731 732 734 740 754 757 760 763 765 770 772 773 774 775 781 785 786 801 802 803 804 805 "
    "806 808 810 812 813 814 815 816 817 818 828 830 831 832 843 845 847 850 856 857 858 859 860 862 863 "
    "864 865 870 901 903 904 906 907 908 909 910 912 913 914 915 916 917 918 919 920 925 928 931 936 937 "
    "940 941 947 949 951 952 954 956 970 971 972 973 978 979 980 985 989"
)

EMAIL_DOMAINS: Final = (
    "example.com", "example.com", "mail.example.com", "example.org", "correo.example.org", "example.net",
)  # fmt: skip

# What staff type when a customer gives nothing, and the call centre's own number.
PLACEHOLDER_EMAILS: Final = ("noemail@example.com", "none@example.com", "sin@example.com")
PLACEHOLDER_PHONES: Final = ("000000000", "600000000", "999999999")
CALL_CENTRE_PHONE: Final = "+44 20 7946 0999"
PLACEHOLDER_BIRTH_DATE: Final = "1900-01-01"


def zipf_table(
    common: Sequence[str], rare: Sequence[str] = (), *, rare_share: float = 0.0
) -> tuple[str, ...]:
    """Return a table to draw from evenly: names of `common` about as 1 / rank, then `rare` all alike.

    `rare_share` is the part of the draws that falls on a rare name.
    """
    weights = [1.0 / (rank + 6) for rank in range(len(common))]
    copies = max(2.0, len(rare) * (1 - rare_share) / rare_share) if rare else 4000.0
    scale = copies / sum(weights)
    table = [
        name for name, weight in zip(common, weights, strict=True) for _ in range(max(1, int(weight * scale)))
    ]
    return (*table, *rare)


ES_RARE_SURNAMES: Final = tuple(stem + ending for stem in _ES_STEMS for ending in _ES_ENDINGS)
EN_RARE_SURNAMES: Final = tuple(stem + ending for stem in _EN_STEMS for ending in _EN_ENDINGS)
