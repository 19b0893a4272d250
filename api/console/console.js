// The token lives in this variable alone: no cookie, no storage, gone when the page closes.
let token = null;
const part = (id) => document.getElementById(id);

async function signIn(event) {
  event.preventDefault();
  const form = new URLSearchParams({
    grant_type: "client_credentials",
    client_id: part("client").value,
    client_secret: part("secret").value,
  });
  part("secret").value = "";
  const answer = await fetch("../v1/token", { method: "POST", body: form });
  if (!answer.ok) return say("Unknown client or wrong secret.");
  token = (await answer.json()).access_token;
  await showStatus();
}

async function showStatus() {
  const answer = await fetch("../v1/status", { headers: { Authorization: `Bearer ${token}` } });
  if (answer.status === 403) return signOut("This client's role has no console.");
  if (!answer.ok) return signOut("Signed out: the access has run out.");
  const status = await answer.json();
  fill("counts", {
    "Records with a golden ID": status.records,
    "Golden IDs": status.golden_ids,
    "Consent events": status.ledger_size,
    "Publications": status.published_version,
  });
  fill("run", status.last_run ?? { "": "none yet" });
  part("enter").hidden = true;
  part("status").hidden = false;
  part("leave").hidden = false;
  say("");
}

function fill(id, values) {
  const rows = Object.entries(values).flatMap(([name, value]) => {
    const dt = document.createElement("dt");
    const dd = document.createElement("dd");
    dt.textContent = name.replaceAll("_", " ");
    dd.textContent = typeof value === "number" ? value.toLocaleString() : String(value);
    return [dt, dd];
  });
  part(id).replaceChildren(...rows);
}

function signOut(message) {
  token = null;
  part("enter").hidden = false;
  part("status").hidden = true;
  part("leave").hidden = true;
  say(message);
}

function say(message) {
  part("message").textContent = message;
}

part("enter").addEventListener("submit", signIn);
part("leave").addEventListener("click", () => signOut("Signed out."));
setInterval(() => token && showStatus(), 10000);
