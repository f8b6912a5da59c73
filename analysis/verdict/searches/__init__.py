"""The wider question of a verdict: networks that are tuned by a search each, not two given configurations."""
