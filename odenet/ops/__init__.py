"""Operations whose derivative or whose algorithm on a CPU is written here."""
