// The code of a one-time link is in the address's fragment, which no server and no log gets. It is sent once.

const code = location.hash.slice(1);
if (code) {
  history.replaceState(null, "", location.pathname + location.search);
  const form = document.getElementById("with-code");
  form.elements.code.value = code;
  form.submit();
}
