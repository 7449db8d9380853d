"""The Simple API: names, pages, and content negotiation."""
