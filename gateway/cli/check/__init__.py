"""`gateway check`: tries the configuration step by step, and says what to do where a step fails."""
