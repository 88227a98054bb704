"""What the client of any HTTP API needs: errors, URL checks, pacing, retries, the exchange itself. Knows no API by
name; what an answer means, and what to do about it, belongs to each client."""
