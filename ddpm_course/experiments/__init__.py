"The experiments of the course: protocols, tables and studies. No method module imports them."
