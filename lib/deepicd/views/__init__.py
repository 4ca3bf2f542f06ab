"""What a person looks at: figures, tables, words, marked notes."""
