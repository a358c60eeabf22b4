"""The load tools' parts, without a gateway."""
