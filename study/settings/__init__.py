"""What a study is asked to do."""
