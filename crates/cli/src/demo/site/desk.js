// The members' desk: signs in, searches, turns pages. It asks the same API as every other program.
(() => {
  const form = document.querySelector("#search");
  const status = document.querySelector("#status");
  const rows = document.querySelector("#rows");
  const earlier = document.querySelector("#earlier");
  const later = document.querySelector("#later");
  let key = null, page = 1, asked = 0;

  async function signIn() {
    const response = await fetch("/api/login", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ user: "desk", password: "lantern-demo" }),
    });
    if (!response.ok) throw new Error(`sign-in answered ${response.status}`);
    key = (await response.json()).key;
  }

  async function show() {
    const mine = ++asked;
    status.textContent = "Looking…";
    try {
      if (!key) await signIn();
      const query = new URLSearchParams({ q: form.q.value, page, per_page: 12 });
      const response = await fetch(`/api/members?${query}`, { headers: { "x-api-key": key } });
      if (response.status === 401) { key = null; return show(); }
      if (!response.ok) throw new Error(`the API answered ${response.status}`);
      const found = await response.json();
      if (mine !== asked) return;
      rows.replaceChildren(...found.members.map(member => {
        const row = document.createElement("tr");
        for (const field of ["id", "name", "email", "branch", "since", "status"]) {
          const cell = document.createElement("td");
          cell.textContent = member[field];
          row.append(cell);
        }
        return row;
      }));
      status.textContent = `${found.total.toLocaleString()} members, page ${found.page} of ${found.pages}`;
      earlier.disabled = found.page <= 1;
      later.disabled = found.page >= found.pages;
    } catch (error) {
      status.textContent = `That did not work: ${error.message}.`;
    }
  }

  form.addEventListener("submit", event => { event.preventDefault(); page = 1; show(); });
  earlier.addEventListener("click", () => { page -= 1; show(); });
  later.addEventListener("click", () => { page += 1; show(); });
  form.hidden = false;
  document.querySelector("#result").hidden = false;
  show();
})();
