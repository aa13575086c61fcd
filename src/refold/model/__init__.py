"""Projects, pipelines and blocks as their files say: read, checked, and written back."""
