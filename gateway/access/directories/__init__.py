"""What authenticators ask about users: directories, databases, and the texts that these hold."""
