// The search, and where the reader is in the list of pages.

const field = document.querySelector("#search input");
const list = document.querySelector("#search ul");
let chosen = 0;

// Beginnings of a name first, then of a word in it; short names before long ones.
function rank(name, wanted) {
  const at = name.toLowerCase().indexOf(wanted);
  if (at < 0) return Infinity;
  return (at === 0 ? 0 : /[a-z]/i.test(name[at - 1]) ? 2000 : 1000) + name.length;
}

function choose(index) {
  chosen = Math.max(0, Math.min(index, list.children.length - 1));
  [...list.children].forEach((item, i) => item.classList.toggle("chosen", i === chosen));
  list.children[chosen]?.scrollIntoView({block: "nearest"});
}

field.addEventListener("input", () => {
  const wanted = field.value.trim().toLowerCase();
  const found = wanted === "" ? [] : names.map(([name, link, scope]) => [rank(name, wanted), name, link, scope])
      .filter(([order]) => order < Infinity)
      .sort((a, b) => a[0] - b[0])
      .slice(0, 40);
  list.replaceChildren(...found.map(([, name, link, scope]) => {
    const item = document.createElement("li");
    const anchor = item.appendChild(document.createElement("a"));
    anchor.href = link;
    anchor.textContent = name;
    anchor.appendChild(document.createElement("small")).textContent = scope;
    return item;
  }));
  if (wanted !== "" && found.length === 0) list.innerHTML = "<li>Nothing has this name.</li>";
  list.hidden = wanted === "";
  choose(0);
});

field.addEventListener("keydown", event => {
  const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
  if (step) {
    event.preventDefault();
    choose(chosen + step);
  } else if (event.key === "Enter") {
    list.children[chosen]?.querySelector("a")?.click();
  } else if (event.key === "Escape") {
    list.hidden = true;
    field.blur();
  }
});
list.addEventListener("click", () => list.hidden = true);
document.addEventListener("click", event => {
  if (!event.target.closest("#search")) list.hidden = true;
});
document.addEventListener("keydown", event => {
  if (event.key === "/" && document.activeElement !== field) {
    event.preventDefault();
    field.focus();
  }
});

const here = location.href.split("#")[0];
for (const link of document.querySelectorAll("nav a")) {
  if (link.href === here) {
    link.setAttribute("aria-current", "page");
    const group = link.closest("details");
    if (group) group.open = true;
    const nav = link.closest("nav");
    nav.scrollTop = Math.max(0, link.offsetTop - nav.clientHeight / 2);
  }
}
