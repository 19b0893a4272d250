"""Given names -> the full names that they may stand for: Bob is Robert, Pepe is José. Pure.

English: the `nicknames` wheel (carltonnorthern/nicknames, Apache-2.0, about 1,100 full names, curated by
hand). No maintained source covers Spanish and Portuguese, so the common short forms stand here, written
for this project under its own licence.
"""

from functools import lru_cache
from typing import Final

from nicknames import NickNamer

SEPARATOR: Final = ","
"""Between the full names; a normalised name holds letters, digits and spaces only."""

# Full name: its short forms, in plain letters.
_IBERIAN: Final = {
    "adela": "adelita", "adrian": "adri", "agustin": "agus tincho", "agustina": "agus tina",
    "alberto": "beto tito berto", "alejandra": "ale alex jandra sandra",
    "alejandro": "ale alex jandro sandro", "alfonso": "fonso poncho foncho", "alfredo": "fredo",
    "alicia": "licha ali", "alvaro": "alvi varo", "ana": "anita", "ana isabel": "anabel",
    "ana maria": "anamari ani", "andrea": "andre", "andres": "andresito andy", "angel": "angelito gelo",
    "angela": "angelita gela", "angeles": "geles", "antonia": "tona toni tonia",
    "antonio": "tono toni tonio anton tonho", "armando": "mando", "aurora": "rora",
    "beatriz": "bea betty bia", "begona": "bego", "bernardo": "berna nardo",
    "carlos": "carlitos charly litos", "carlota": "carlotita lota",
    "carmen": "carmela carmina mamen menchu carmencita carmelita", "carolina": "caro carol carola",
    "catalina": "cata lina", "cecilia": "ceci chila", "concepcion": "concha conchi conchita chon",
    "consuelo": "chelo consu", "cristina": "cris tina crista", "cristobal": "tobal", "daniel": "dani",
    "daniela": "dani", "diego": "dieguito", "dolores": "lola loli lolita doli",
    "eduardo": "edu lalo eddy guayo dudu", "elena": "lena nena", "elisa": "eli lisa",
    "encarnacion": "encarna encarni", "enrique": "quique kike rique", "ernesto": "neto tito",
    "esperanza": "espe", "esteban": "teban", "eugenia": "genia maru", "eulalia": "lala lali",
    "facundo": "facu", "federico": "fede fico", "felipe": "pipe feli", "fernanda": "fer nanda",
    "fernando": "fer nando ferni", "florencia": "flor",
    "francisca": "paca paqui paquita fran quica curra chica",
    "francisco": "fco paco fran pancho kiko quico curro paquito pacho chico frasco francis cisco xisco",
    "gabriel": "gabi gabo biel", "gabriela": "gabi gaby", "gerardo": "gera", "gertrudis": "tula",
    "gonzalo": "gonza chalo", "gregoria": "goya", "gregorio": "goyo grego",
    "guadalupe": "gpe lupe lupita guada", "guillermo": "guille memo willy", "gustavo": "gus tavo guga",
    "hector": "tito", "ignacio": "nacho ignasi nachete", "inmaculada": "inma macu",
    "isabel": "isa chabela bela sabela", "ivan": "ivancito", "jaime": "jaimito",
    "javier": "javi javito xavi xabi", "jesus": "chus chuy chucho suso", "jesusa": "chus susa",
    "joao": "joaozinho jango", "joaquin": "quino ximo joaco quim", "jorge": "jorgito coque coco",
    "jose": "pepe pepito chepe pep joselito ze cheo", "jose antonio": "josean joseto",
    "jose luis": "joselu pepelu", "jose manuel": "josema chema ze manel",
    "jose maria": "chema josemari txema chemari", "jose miguel": "josemi", "jose ramon": "joserra",
    "josefa": "pepa pepi fina pepita chefa", "josefina": "fina pepa", "juan": "juanito juancho",
    "juan antonio": "juanan", "juan carlos": "juanca juancar", "juan jose": "juanjo",
    "juan manuel": "juanma", "juan miguel": "juanmi", "juan pablo": "juampa juampi", "juan ramon": "juanra",
    "juana": "juani juanita", "julia": "juli", "julian": "juli", "julio": "julito", "laura": "lau lauri",
    "leonardo": "leo nardo", "leticia": "leti", "lorena": "lore", "lorenzo": "loren lencho",
    "lourdes": "lurdes lourditas", "lucia": "luci lucy", "luciano": "lucho luci chano",
    "luis": "lucho luisito luisinho", "luis miguel": "luismi luismiguel", "luisa": "lulu luisi",
    "magdalena": "magda malena lena", "manuel": "manolo manu lolo manolito manny nel manel",
    "manuela": "manoli manola manu lola", "marcelo": "chelo marce", "margarita": "marga margari rita mague",
    "maria": "mari marita mariquita maruja marucha", "maria angeles": "mariangeles marian",
    "maria antonia": "mariantonia", "maria carmen": "maricarmen mamen mari", "maria cristina": "maricris",
    "maria dolores": "lola loli mariloli", "maria elena": "malena", "maria eugenia": "maru maruge",
    "maria isabel": "maribel mabel", "maria jesus": "chus mariaje", "maria jose": "majo marijose mariajo",
    "maria luisa": "marisa malu mariluisa", "maria pilar": "mapi maripili pili", "maria rosa": "marirosa",
    "maria soledad": "marisol", "maria teresa": "maite mayte maritere", "maria victoria": "mavi",
    "mariana": "nana", "mario": "mayito", "marta": "martita", "martin": "tin", "mateo": "teo",
    "matias": "mati", "maximiliano": "maxi max", "mercedes": "merche meche", "miguel": "migue miki",
    "miguel angel": "miguelangel miguela", "milagros": "mila mili milagritos", "monica": "moni",
    "montserrat": "montse", "natalia": "nati talia nata", "natividad": "nati", "nicolas": "nico colas",
    "nieves": "nievitas", "octavio": "tavo", "pablo": "pablito", "paloma": "palo",
    "patricia": "patri pati paty patty", "pedro": "perico pedrito pedrinho", "piedad": "pie",
    "pilar": "pili pilarin piluca", "purificacion": "puri", "rafael": "rafa rafi fael",
    "rafaela": "rafi fela", "ramon": "moncho mon ramoncito", "ramona": "moncha mona", "raquel": "raque",
    "remedios": "reme", "ricardo": "ricky richi", "roberto": "beto rober tito", "rocio": "chio roci",
    "rodolfo": "fito rodo rudy", "rodrigo": "rodri rorro", "rogelio": "roge", "rosa": "rosi rosita",
    "rosario": "charo chayo", "salvador": "salva chava", "santiago": "santi yago tiago chago",
    "santos": "santi", "sebastian": "sebas bastian", "sergio": "checo sergi", "silvia": "silvi",
    "sofia": "sofi chofi", "soledad": "sole", "susana": "susi susa", "teodoro": "teo doro",
    "teresa": "tere teresita maite mayte", "tomas": "tomasito tommy", "valentina": "vale valen tina",
    "valeria": "vale", "vanesa": "vane", "veronica": "vero", "vicenta": "vicen chenta",
    "vicente": "vicen chente tente", "victor": "vitor", "victoria": "vicky toya viqui",
    "virginia": "virgi vir", "virtudes": "virtu", "ximena": "mena", "yolanda": "yoli yola",
}  # fmt: skip


def _canonicals() -> dict[str, set[str]]:
    """Return every known name with the full names it may stand for, itself included."""
    found = {name: {name, *full} for name, full in NickNamer().canonical_lookup.items()}
    for full, short_forms in _IBERIAN.items():
        for name in (full, *short_forms.split()):
            found.setdefault(name, {name}).add(full)
    for full_names in tuple(found.values()):
        for full in full_names:
            found.setdefault(full, {full})
    return found


_CANONICALS: Final = _canonicals()


@lru_cache(maxsize=32768)
def full_names(first_name: str) -> str:
    """Return the full names that a normalised given name may stand for, in order; empty where none is known.

    Two names are alike if these overlap.

    >>> full_names("pepe"), full_names("jose")
    ('jose,pepe', 'jose')
    """
    return SEPARATOR.join(sorted(_CANONICALS.get(first_name, ())))
