"The experiments of the course: protocols, tables and studies. No module of the method imports this."
