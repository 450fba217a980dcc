"`python -m ddpm_course.site` writes the pages that are made for the site, before it is rendered."

from ddpm_course.site.extras import extras
from ddpm_course.site.reference import references

print(f"made {len(references()) + len(extras())} pages for the site in nbs/")
