"What builds the site: reference pages, links, printable parts, an index of figures, and checks."
