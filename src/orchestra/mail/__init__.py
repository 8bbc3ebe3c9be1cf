"""Mail: notifications as text and HTML, and the transports that send them. Imports the domain only."""
