"""Where issuers' keys come from: fetched or mounted, kept for the next start, or minted here."""
