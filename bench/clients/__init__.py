"""Programs that contestants start: what an expert would write who has only a library, or only ``ssh``."""
