# Installed later in this file's history: see docs/contributors.md.
