"""The one definition of what a search finds: the words of a text, and of a query."""
