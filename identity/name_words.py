"""The words of names that are not the name itself: titles, suffixes, particles; and a few that are. Pure."""

from typing import Final

# Said before or after a name, not part of it.
TITLES: Final = frozenset(
    {
        "mr", "mrs", "ms", "miss", "mx", "dr", "prof", "professor", "sir", "dame", "lord", "lady", "rev",
        "reverend", "hon", "capt", "captain", "col", "colonel", "lt", "maj", "major", "gen", "sgt", "herr",
        "frau", "mme", "mlle", "monsieur", "madame", "sr", "sra", "srta", "don", "dona", "senor", "senora",
        "senorita", "dra",
    }
)  # fmt: skip

# Tell a father from a son: kept apart from the surname, as one value.
GENERATIONS: Final = {
    "jr": "jr", "jnr": "jr", "junior": "jr", "sr": "sr", "snr": "sr", "senior": "sr",
    "ii": "ii", "iii": "iii", "iv": "iv", "2nd": "ii", "3rd": "iii", "4th": "iv",
    "hijo": "jr", "filho": "jr",
}  # fmt: skip

# Honours and degrees after a name.
HONOURS: Final = frozenset(
    {
        "esq", "esquire", "phd", "md", "dds", "dvm", "cpa", "mba", "msc", "bsc", "obe", "mbe", "cbe", "kbe",
        "frs", "qc", "kc", "mp", "baronet", "bart", "bt", "1st", "5th", "6th", "7th", "8th", "9th", "10th",
    }
)  # fmt: skip

# Before a surname of birth.
BORN: Final = frozenset({"nee", "geb", "geborene", "nacida", "born"})

# Begin a surname of several words: "de la Cruz", "van der Berg".
PARTICLES: Final = frozenset(
    {
        "de", "del", "la", "las", "los", "da", "das", "do", "dos", "di", "du", "des", "le", "van", "von",
        "der", "den", "ten", "ter", "zu", "bin", "ibn", "al", "el", "st", "mac", "mc", *BORN,
    }
)  # fmt: skip

# Written as a word of their own or together with the next: Mac Donald, St. John.
JOINED: Final = frozenset({"mac", "mc", "st", "fitz", "o"})

# Devotions of Mary that follow her name in a given name: María del Carmen, Maria das Dores.
DEVOTIONS: Final = frozenset(
    {
        "carmen", "pilar", "angeles", "dolores", "mercedes", "rosario", "mar", "luz", "jesus", "lourdes",
        "fatima", "guadalupe", "concepcion", "nieves", "soledad", "remedios", "amparo", "consuelo", "rocio",
        "socorro", "milagros", "esperanza", "carmo", "dores", "gracas", "conceicao", "ceu",
    }
)  # fmt: skip

# The most frequent surnames of Spain, Portugal and Latin America that are hardly ever given names: between a
# given name and a last word they are the first of two surnames, elsewhere a middle name.
IBERIAN_SURNAMES: Final = frozenset(
    {
        "aguilar", "aguirre", "almeida", "alvarez", "araujo", "arias", "barbosa", "benitez", "blanco",
        "bravo", "caballero", "cabrera", "calvo", "campos", "cano", "cardoso", "carrasco", "carvalho",
        "castillo", "castro", "chavez", "contreras", "cordero", "coronado", "correia", "cortes", "costa",
        "crespo", "cruz", "delgado", "diaz", "diez", "dominguez", "duran", "escobar", "espinosa", "espinoza",
        "esteban", "fernandes", "fernandez", "ferreira", "ferrer", "figueroa", "flores", "fonseca",
        "fuentes", "gallardo", "gallego", "garcia", "garrido", "gimenez", "gomes", "gomez", "goncalves",
        "gonzales", "gonzalez", "guerrero", "gutierrez", "guzman", "hernandez", "herrera", "herrero",
        "hidalgo", "ibanez", "iglesias", "jimenez", "juarez", "lopes", "lopez", "lorenzo", "lozano",
        "machado", "marin", "marques", "marquez", "martinez", "medina", "mejia", "mendez", "mendoza",
        "molina", "montero", "montoya", "mora", "morales", "moreno", "moya", "munoz", "navarro", "nieto",
        "nunez", "oliveira", "ortega", "ortiz", "padilla", "parra", "pastor", "pena", "peralta", "pereira",
        "perez", "prieto", "quintero", "ramirez", "ramos", "redondo", "reyes", "ribeiro", "rivera", "rocha",
        "rodrigues", "rodriguez", "rojas", "romero", "rubio", "ruiz", "saez", "salazar", "salinas",
        "sanchez", "santana", "santos", "sanz", "serrano", "silva", "soares", "soler", "soto", "sousa",
        "souza", "suarez", "teixeira", "torres", "trujillo", "valdez", "vargas", "vasquez", "vazquez",
        "vega", "velasco", "velazquez", "vicente", "vidal", "vieira",
    }
)  # fmt: skip

# What people write where they have nothing to write.
UNKNOWN: Final = frozenset(
    {
        "", "na", "n a", "none", "null", "unknown", "nan", "no name", "not provided", "not known",
        "not given", "no last name", "no first name", "anonymous",
    }
)  # fmt: skip

# What forms hold in place of a given name: who somebody is to the household, or to the form.
ROLES: Final = frozenset(
    {
        "adult", "aunt", "baby", "boarder", "boy", "brother", "child", "children", "cousin", "customer",
        "dad", "dau", "daughter", "eldest", "father", "female", "friend", "gentleman", "gentlemen", "girl",
        "grandchild", "granddaughter", "grandfather", "grandmother", "grandson", "guest", "householder",
        "husband", "infant", "inmate", "kid", "lady", "male", "minor", "mom", "mother", "mum", "nephew",
        "newborn", "niece", "occupant", "oldest", "owner", "parent", "partner", "person", "resident",
        "respondent", "roommate", "sister", "spouse", "stepdaughter", "stepson", "tenant", "test", "uncle",
        "wife", "woman", "youngest", "abuela", "abuelo", "bebe", "cliente", "esposa", "esposo", "hermana",
        "hermano", "hija", "hijo", "madre", "marido", "mujer", "nina", "nino", "padre", "titular",
    }
)  # fmt: skip

# Stand with such a word; alone they may be names.
ROLE_FILLERS: Final = frozenset({"a", "f", "house", "in", "m", "man", "no", "of", "one", "son", "the"})
