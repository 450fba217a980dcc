"What builds the site: reference, links, printable parts, index of figures, pictures, measures."
