// Quarto's search button has no name of its own.
for (const button of document.querySelectorAll("#quarto-search button, .aa-DetachedSearchButton"))
  button.setAttribute("aria-label", "Search")
