"""The pages of the site, and the code that draws parts of them from the sources."""
