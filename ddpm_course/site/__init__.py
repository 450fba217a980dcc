"What builds the site: reference pages, links, pictures of the landing page."
