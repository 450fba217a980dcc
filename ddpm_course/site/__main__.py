"`python -m ddpm_course.site` writes the pages that are made for the site, before it is rendered."

from ddpm_course.site.extras import extras
from ddpm_course.site.reference import references

if __name__ == "__main__":
    pages = references() + extras()
    print(f"made {len(pages)} pages for the site in nbs/")
