// A form is sent once, however often its button is pressed.

export function sendOnce() {
  document.addEventListener("submit", (event) => {
    // After the browser has collected the form's values, the pressed button's among them.
    setTimeout(() => setButtons(event.target, true));
  });
  addEventListener("pageshow", () => {
    for (const form of document.forms) setButtons(form, false);
  });
}

function setButtons(form, disabled) {
  if (form.method !== "post") return;
  for (const button of form.querySelectorAll("button:not([type=button])")) button.disabled = disabled;
}
