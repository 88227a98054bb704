"""What the client of any HTTP API needs: errors, URL checks, pacing, retries, and the exchange itself.

Not here: what an API's answers mean and what to do about them (each API's own client, such as `pipedrive`).
"""
