"""Mail: letters in words, as text and HTML, and the ways by which they leave. Knows the domain alone."""
