"use strict";
// Choosing works without a script. This adds: a second tap on what is chosen, or Escape, clears the films.
for (const study of document.querySelectorAll(".study")) {
  const none = study.querySelector(".sentence.none input");
  study.addEventListener("click", (event) => {
    const chosen = event.target.closest(".sentence, .finding");
    const input = chosen && chosen.querySelector("input");
    if (input && event.target !== input && input.checked) {
      event.preventDefault();
      none.checked = true;
    }
  });
  study.addEventListener("keydown", (event) => {
    if (event.key === "Escape") none.checked = true;
  });
}
