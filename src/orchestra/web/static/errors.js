// A page that says that the database cannot be reached looks again, and is replaced as soon as there is another answer.

const FIRST = 2000;
const LONGEST = 30000;

export function returnWhenWell() {
  const said = document.getElementById("retried");
  if (!said) return;
  said.querySelector("span").hidden = false;
  let pause = FIRST;
  const look = async () => {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    if (answer && answer.status < 500) return location.reload();
    pause = Math.min(2 * pause, LONGEST);
    setTimeout(look, pause);
  };
  setTimeout(look, pause);
}
